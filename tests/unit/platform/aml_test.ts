/** AML encodings against ACPI 6.4 §20.2 and §6.4. */

import { assertEquals } from "@std/assert";
import * as aml from "../../../src/platform/acpi/aml.ts";
import * as resource from "../../../src/platform/acpi/resources.ts";

Deno.test("AML integers take their shortest form", () => {
  assertEquals(aml.integer(0), [0x00]);
  assertEquals(aml.integer(1), [0x01]);
  assertEquals(aml.integer(2), [0x0a, 2]);
  assertEquals(aml.integer(0xff), [0x0a, 0xff]);
  assertEquals(aml.integer(0x100), [0x0b, 0x00, 0x01]);
  assertEquals(aml.integer(0xffff_ffff), [0x0c, 0xff, 0xff, 0xff, 0xff]);
});

Deno.test("AML names have four characters a segment and mark roots and pairs", () => {
  const value = aml.integer(0);
  assertEquals(aml.name("\\_S5", value), [0x08, 0x5c, 0x5f, 0x53, 0x35, 0x5f, 0x00]);
  assertEquals(aml.name("RTC", value), [0x08, 0x52, 0x54, 0x43, 0x5f, 0x00]);
  assertEquals(aml.name("_SB.PCI0", value).slice(0, 6), [0x08, 0x2e, 0x5f, 0x53, 0x42, 0x5f]);
});

Deno.test("AML packs plug-and-play identifiers as the specification's example does", () => {
  // §19.3.4: EISAID("PNP0C09") is 0x090CD041.
  assertEquals(aml.eisaId("PNP0C09"), [0x0c, 0x41, 0xd0, 0x0c, 0x09]);
});

Deno.test("AML package lengths count themselves, in one to four bytes", () => {
  const lengthOf = (bytes: number) => {
    const encoded = aml.scope("ROOT", new Array(bytes - 4).fill(0xa3)); // 4 bytes of name
    assertEquals(encoded[0], 0x10);
    const more = encoded[1] >>> 6;
    let length = encoded[1] & (more === 0 ? 0x3f : 0x0f);
    for (let i = 0; i < more; i++) length += encoded[2 + i] * 2 ** (4 + 8 * i);
    assertEquals(length, encoded.length - 1);
    return 1 + more;
  };
  assertEquals([lengthOf(62), lengthOf(63)], [1, 2]);
  assertEquals([lengthOf(4093), lengthOf(4094)], [2, 3]);
  assertEquals([lengthOf(2 ** 20 - 4), lengthOf(2 ** 20 - 3)], [3, 4]);
});

Deno.test("AML packages and buffers tell how much they hold", () => {
  assertEquals(aml.packageOf(aml.integer(5), aml.integer(0)), [0x12, 5, 2, 0x0a, 5, 0x00]);
  assertEquals(aml.buffer([9, 8]), [0x11, 5, 0x0a, 2, 9, 8]);
  assertEquals(aml.string("AB"), [0x0d, 0x41, 0x42, 0]);
});

Deno.test("AML resources have the specification's descriptors and an end tag", () => {
  assertEquals(resource.resources(), [0x11, 5, 0x0a, 2, 0x79, 0]);
  assertEquals(resource.ports(0x3f8, 8), [0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 1, 8]);
  assertEquals(resource.isaIrq(12), [0x22, 0x00, 0x10]);
  assertEquals(resource.busWindow(0, 0xff).slice(0, 6), [0x88, 13, 0, 2, 0x0c, 0]);
  assertEquals(resource.portWindow(0xd00, 0xffff).slice(3), [
    ...[1, 0x0c, 3, 0, 0, 0x00, 0x0d, 0xff, 0xff, 0, 0, 0x00, 0xf3],
  ]);
  const window = resource.memoryWindow(0xc000_0000, 0xfebf_ffff);
  assertEquals(window.length, 3 + 23);
  assertEquals(window.slice(-4), [0x00, 0x00, 0xc0, 0x3e]);
});
