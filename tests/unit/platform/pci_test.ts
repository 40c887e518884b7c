/** Configuration mechanism 1 against PCI Local Bus 3.0 §3.2.2.3.2, and the 82441FX host bridge. */

import { assertEquals, assertThrows } from "@std/assert";
import type { AccessSize } from "../../../src/devices/device.ts";
import { ConfigSpace } from "../../../src/platform/pci/config_space.ts";
import { createHostBridge } from "../../../src/platform/pci/host_bridge.ts";
import { PciBus } from "../../../src/platform/pci/pci_bus.ts";
import { TestPower } from "../devices/doubles.ts";

const IDENTITY = {
  vendor: 0x1234,
  device: 0x5678,
  subsystemVendor: 0x9abc,
  subsystem: 0xdef0,
  classCode: 0x010203,
  revision: 0x42,
};

class Board {
  readonly power = new TestPower();
  readonly bus = new PciBus(this.power.sink);

  constructor() {
    this.bus.attach(0, 0, createHostBridge());
  }
  select(bus: number, device: number, fn: number, offset: number): void {
    const address = (0x8000_0000 | bus << 16 | device << 11 | fn << 8 | (offset & 0xfc)) >>> 0;
    this.bus.writePort(0xcf8, 4, address);
  }
  read(device: number, offset: number, size: AccessSize, bus = 0, fn = 0): number {
    this.select(bus, device, fn, offset);
    return this.bus.readPort(0xcfc + (offset & 3), size);
  }
  write(device: number, offset: number, size: AccessSize, value: number): void {
    this.select(0, device, 0, offset);
    this.bus.writePort(0xcfc + (offset & 3), size, value);
  }
}

Deno.test("PCI address port keeps a dword and ignores what is narrower", () => {
  const { bus } = new Board();
  bus.writePort(0xcfb, 1, 0x01);
  bus.writePort(0xcf8, 4, 0x8000_0000);
  assertEquals(bus.readPort(0xcf8, 4), 0x8000_0000);
  bus.writePort(0xcf8, 2, 0x1234);
  bus.writePort(0xcf8, 1, 0x12);
  bus.writePort(0xcfa, 4, 0);
  assertEquals(bus.readPort(0xcf8, 4), 0x8000_0000);
  assertEquals([bus.readPort(0xcf8, 1), bus.readPort(0xcf8, 2)], [0xff, 0xffff]);
  assertEquals(bus.readPort(0xcfa, 4), 0xffff_ffff);
  bus.writePort(0xcf8, 4, 0xffff_ffff); // reserved bits read as zero
  assertEquals(bus.readPort(0xcf8, 4), 0x80ff_fffc);
});

Deno.test("PCI bus has a host bridge and nothing else", () => {
  const board = new Board();
  const found: string[] = [];
  for (let bus = 0; bus < 256; bus++) {
    for (let device = 0; device < 32; device++) {
      for (let fn = 0; fn < 8; fn++) {
        const id = board.read(device, 0, 4, bus, fn);
        if (id !== 0xffff_ffff) found.push(`${bus}:${device}.${fn} ${id.toString(16)}`);
      }
    }
  }
  assertEquals(found, ["0:0.0 12378086"]);
});

Deno.test("PCI data port reads nothing while the enable bit is off", () => {
  const { bus } = new Board();
  assertEquals(bus.readPort(0xcfc, 4), 0xffff_ffff);
  bus.writePort(0xcf8, 4, 0x0000_0000);
  assertEquals([1, 2, 4].map((size) => bus.readPort(0xcfc, size as AccessSize)), [
    0xff,
    0xffff,
    0xffff_ffff,
  ]);
});

Deno.test("PCI host bridge identifies itself by bytes, words and dwords", () => {
  const board = new Board();
  assertEquals(board.read(0, 0x00, 4), 0x1237_8086);
  assertEquals([board.read(0, 0x00, 2), board.read(0, 0x02, 2)], [0x8086, 0x1237]);
  assertEquals([board.read(0, 0x01, 1), board.read(0, 0x03, 1)], [0x80, 0x12]);
  assertEquals(board.read(0, 0x01, 2), 0x3780);
  assertEquals(board.read(0, 0x08, 4), 0x0600_0002);
  assertEquals(board.read(0, 0x2c, 4), 0x1100_1af4);
  assertEquals(board.read(0, 0x0e, 1), 0x00);
});

Deno.test("PCI host bridge lets nothing but its shadowing registers be written", () => {
  const board = new Board();
  const before = Array.from({ length: 64 }, (_, i) => board.read(0, i * 4, 4));
  for (let offset = 0; offset < 256; offset += 4) board.write(0, offset, 4, 0xffff_ffff);
  for (let offset = 0; offset < 256; offset += 4) {
    const expected = offset === 0x58 ? 0x3333_3300 : offset === 0x5c ? 0x3333_3333 : 0;
    assertEquals(board.read(0, offset, 4), (before[offset / 4] | expected) >>> 0);
  }
  board.write(0, 0x59, 1, 0x30);
  assertEquals(board.read(0, 0x58, 4), 0x3333_3000);
});

Deno.test("PCI reset control resets on the rise of its trigger, and reads back", () => {
  for (const values of [[0x02, 0x06], [0x06], [0x0e], [0x04]]) {
    const { bus, power } = new Board();
    for (const value of values.slice(0, -1)) bus.writePort(0xcf9, 1, value);
    assertEquals(power.events, []);
    const last = values[values.length - 1];
    bus.writePort(0xcf9, 1, last);
    assertEquals(power.events, [{ kind: "reset" }]);
    assertEquals(bus.readPort(0xcf9, 1), last);
    bus.writePort(0xcf9, 1, last);
    assertEquals(power.events.length, 1);
    bus.writePort(0xcf9, 1, 0xfb);
    assertEquals(bus.readPort(0xcf9, 1), 0x0a);
  }
});

Deno.test("PCI functions keep what their masks let through, at any offset and width", () => {
  const space = new ConfigSpace("card", IDENTITY);
  space.define(0x40, 4, 0x1122_3344, 0xff00_00f0);
  assertEquals(space.readConfig(0x00, 4), 0x5678_1234);
  assertEquals(space.readConfig(0x08, 4), 0x0102_0342);
  space.writeConfig(0x40, 4, 0xffff_ffff);
  assertEquals(space.readConfig(0x40, 4), 0xff22_33f4);
  space.writeConfig(0x43, 1, 0x80);
  assertEquals(space.readConfig(0x42, 2), 0x8022);
});

Deno.test("PCI bus takes one function a place, and says which is there", () => {
  const { bus } = new Board();
  const card = new ConfigSpace("card", IDENTITY);
  bus.attach(31, 7, card);
  assertThrows(
    () => bus.attach(0, 0, card),
    RangeError,
    "Cannot attach card at PCI 00:0.0: it holds host bridge",
  );
  assertThrows(() => bus.attach(32, 0, card), RangeError, "no such place on the bus");
  assertThrows(() => bus.attach(1, 8, card), RangeError, "no such place on the bus");
});
