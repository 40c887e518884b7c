/** What an 8259A gives a CPU that comes too late (data sheet 231468, "IR7 default"). */

import { assertEquals } from "@std/assert";
import { Pic } from "../../../../src/platform/irqchip/pic.ts";
import { PicPair } from "../../../../src/platform/irqchip/pic_pair.ts";

Deno.test("8259A gives level 7 without service when the request is gone", () => {
  const pic = new Pic({ levelCapable: 0xff, cascaded: 0, onOutput: () => {} });
  pic.edgeLevel = 0x10;
  pic.setLine(4, true);
  assertEquals(pic.output, true);
  pic.setLine(4, false);
  assertEquals(pic.output, false);
  assertEquals(pic.acknowledge(), 7);
  pic.write(0, 0x0b);
  assertEquals(pic.read(0), 0, "nothing in service: a handler can tell it from a real one");
});

Deno.test("8259A pair gives the master's IRQ 7 when neither has a request", () => {
  const pair = new PicPair(() => {});
  pair.writePort(0x20, 1, 0x11);
  pair.writePort(0x21, 1, 0x50);
  pair.writePort(0x21, 1, 0x04);
  pair.writePort(0x21, 1, 0x01);
  assertEquals(pair.acknowledge(), 0x57);
});

Deno.test("8259A tells of its output only when it changes", () => {
  const outputs: boolean[] = [];
  const pic: Pic = new Pic({
    levelCapable: 0,
    cascaded: 0,
    onOutput: () => outputs.push(pic.output),
  });
  pic.setLine(3, true);
  pic.setLine(3, true);
  pic.setLine(2, true);
  assertEquals(outputs, [true]);
  assertEquals(pic.acknowledge(), 2);
  assertEquals(outputs, [true, false]);
  pic.write(0, 0x20);
  assertEquals(outputs, [true, false, true]);
});
