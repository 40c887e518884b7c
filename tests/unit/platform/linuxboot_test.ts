import { assertEquals, assertStrictEquals } from "@std/assert";
import { linuxbootFiles, linuxbootRom } from "../../../src/platform/linuxboot/linuxboot.ts";

/** Plug and Play BIOS Specification 1.0A §3.2: option ROM header and expansion header. */
const rom = linuxbootRom();
const view = new DataView(rom.buffer);
const expansion = view.getUint16(0x1a, true);

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => (total + byte) % 256, 0);
}

Deno.test("the option ROM has the size that it says and adds up to 0", () => {
  assertStrictEquals(view.getUint16(0), 0x55aa);
  assertStrictEquals(view.getUint8(2) * 512, rom.length);
  assertStrictEquals(sum(rom), 0);
});

Deno.test("the option ROM is a Plug and Play boot device with an entry of its own", () => {
  const header = rom.subarray(expansion, expansion + 32);
  assertStrictEquals(new TextDecoder().decode(header.subarray(0, 4)), "$PnP");
  assertStrictEquals(view.getUint8(expansion + 5) * 16, header.length);
  assertStrictEquals(sum(header), 0);
  const bootConnection = view.getUint16(expansion + 0x16, true);
  const bootstrapEntry = view.getUint16(expansion + 0x1a, true);
  assertStrictEquals(bootConnection, 0, "no vector that would make it a disk");
  assertStrictEquals(bootstrapEntry > 0x20 && bootstrapEntry < rom.length, true);
});

Deno.test("the names that a boot menu shows are there", () => {
  const text = (pointer: number) => {
    const start = view.getUint16(pointer, true);
    return new TextDecoder().decode(rom.subarray(start, rom.indexOf(0, start)));
  };
  assertEquals([text(expansion + 0x0e), text(expansion + 0x10)], [
    "denovisor",
    "Linux from fw_cfg",
  ]);
});

Deno.test("firmware gets the ROM as a generic one, first in the boot order", () => {
  const [romFile, order] = linuxbootFiles();
  assertEquals([romFile.name, order.name], ["genroms/linuxboot.rom", "bootorder"]);
  assertEquals(romFile.bytes, rom);
  assertStrictEquals(new TextDecoder().decode(order.bytes), "/rom@genroms/linuxboot.rom\0");
});
