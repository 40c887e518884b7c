/** The keyboard controller against the IBM PS/2 Hardware Interface Technical Reference. */

import { assertEquals } from "@std/assert";
import { I8042 } from "../../../src/platform/i8042.ts";
import { TestIrq, TestPower } from "../devices/doubles.ts";

const FULL = 0x01, AUX = 0x20, TIMEOUT = 0x40;

class Controller {
  readonly keyboard = new TestIrq();
  readonly aux = new TestIrq();
  readonly power = new TestPower();
  readonly device = new I8042({
    keyboardIrq: this.keyboard,
    auxIrq: this.aux,
    power: this.power.sink,
  });

  status(): number {
    return this.device.readPort(0x64, 1);
  }
  read(): number {
    return this.device.readPort(0x60, 1);
  }
  command(value: number, data?: number): void {
    this.device.writePort(0x64, 1, value);
    if (data !== undefined) this.device.writePort(0x60, 1, data);
  }
  data(value: number): void {
    this.device.writePort(0x60, 1, value);
  }
}

Deno.test("i8042 passes its self test and the tests of both ports", () => {
  const controller = new Controller();
  for (const [command, answer] of [[0xaa, 0x55], [0xab, 0x00], [0xa9, 0x00]]) {
    assertEquals(controller.status() & FULL, 0);
    controller.command(command);
    assertEquals(controller.status() & FULL, FULL);
    assertEquals(controller.read(), answer);
    assertEquals(controller.status() & FULL, 0);
  }
});

Deno.test("i8042 tells a command from data and is not locked", () => {
  const controller = new Controller();
  controller.command(0xae);
  assertEquals(controller.status(), 0x1c);
  controller.data(0xff);
  assertEquals(controller.status() & 0x08, 0);
});

Deno.test("i8042 keeps its configuration and turns ports on and off in it", () => {
  const controller = new Controller();
  const config = () => (controller.command(0x20), controller.read());
  assertEquals(config(), 0x65);
  controller.command(0x60, 0x47);
  assertEquals(config(), 0x47);
  controller.command(0xa7);
  controller.command(0xad);
  assertEquals(config(), 0x77);
  controller.command(0xa8);
  controller.command(0xae);
  assertEquals(config(), 0x47);
  controller.command(0x60, 0x43);
  assertEquals(controller.status() & 0x04, 0);
  controller.command(0xaa);
  assertEquals(controller.read(), 0x55);
  assertEquals([config(), controller.status() & 0x04], [0x47, 0x04]);
});

Deno.test("i8042 answers for the absent keyboard at once, with a timeout and an interrupt", () => {
  const controller = new Controller();
  controller.data(0xf2);
  assertEquals(controller.keyboard.level, true);
  assertEquals(controller.status() & (FULL | AUX | TIMEOUT), FULL | TIMEOUT);
  assertEquals(controller.read(), 0xfe);
  assertEquals(controller.keyboard.level, false);
  assertEquals(controller.status() & (FULL | TIMEOUT), 0);
});

Deno.test("i8042 answers for the absent mouse on its own interrupt", () => {
  const controller = new Controller();
  controller.command(0x60, 0x47);
  controller.command(0xd4, 0xf2);
  assertEquals([controller.keyboard.level, controller.aux.level], [false, true]);
  assertEquals(controller.status() & (FULL | AUX | TIMEOUT), FULL | AUX | TIMEOUT);
  assertEquals(controller.read(), 0xfe);
  assertEquals(controller.aux.level, false);
});

Deno.test("i8042 loops a byte back through either output buffer", () => {
  const controller = new Controller();
  controller.command(0xd3, 0x5a);
  assertEquals(controller.status() & (FULL | AUX), FULL | AUX);
  assertEquals(controller.aux.level, false); // off in the configuration
  assertEquals(controller.read(), 0x5a);
  controller.command(0xd2, 0xa5);
  assertEquals(controller.status() & (FULL | AUX), FULL);
  assertEquals(controller.read(), 0xa5);
});

Deno.test("i8042 raises an interrupt of its own for each answer that waits", () => {
  const controller = new Controller();
  controller.command(0x60, 0x47);
  controller.data(0xed);
  controller.command(0xd3, 0x11);
  controller.data(0x02);
  assertEquals([controller.keyboard.edges, controller.aux.edges], [1, 0]);
  controller.read();
  assertEquals([controller.keyboard.edges, controller.aux.edges], [1, 1]);
  assertEquals(controller.read(), 0x11);
  assertEquals([controller.keyboard.edges, controller.aux.edges], [2, 1]);
  controller.read();
  assertEquals([controller.keyboard.level, controller.aux.level], [false, false]);
});

Deno.test("i8042 loses answers beyond sixteen instead of growing", () => {
  const controller = new Controller();
  for (let i = 0; i < 100; i++) controller.command(0xd2, i);
  const got: number[] = [];
  while ((controller.status() & FULL) !== 0) got.push(controller.read());
  assertEquals(got, Array.from({ length: 16 }, (_, i) => i));
  assertEquals(controller.read(), 15);
});

Deno.test("i8042 resets the machine by pulse and by output port, and only then", () => {
  const controller = new Controller();
  for (const command of [0xff, 0xfd, 0xf1, 0xef, 0xee]) controller.command(command);
  controller.command(0xd1, 0x03);
  controller.command(0xd1, 0x01);
  assertEquals(controller.power.events, []);
  controller.command(0xfe);
  controller.command(0xf0);
  controller.command(0xd1, 0x02);
  assertEquals(controller.power.events, Array(3).fill({ kind: "reset" }));
});

Deno.test("i8042 keeps the A20 bit and shows its interrupts in the output port", () => {
  const controller = new Controller();
  const outputPort = () => (controller.command(0xd0), controller.read());
  assertEquals(outputPort(), 0xc3);
  controller.command(0xd1, 0xdd);
  assertEquals(outputPort(), 0xc1);
  controller.command(0xd1, 0xdf);
  controller.command(0xd2, 0);
  controller.command(0xd0);
  controller.read();
  assertEquals(controller.read(), 0xd3);
  controller.command(0xd3, 0);
  controller.command(0xd0);
  controller.read();
  assertEquals(controller.read(), 0xe3);
  controller.command(0xc0);
  assertEquals(controller.read(), 0x80);
});

Deno.test("i8042 forgets a command that waits for data when another one comes", () => {
  const controller = new Controller();
  controller.command(0x60);
  controller.command(0xae);
  controller.data(0x00); // for the keyboard, not the configuration
  assertEquals(controller.read(), 0xfe);
  controller.command(0x20);
  assertEquals(controller.read(), 0x65);
});
