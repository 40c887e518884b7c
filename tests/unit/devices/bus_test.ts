import { assertEquals, assertThrows } from "@std/assert";
import { gpa } from "../../../src/base/u64.ts";
import { MmioBus, PortBus } from "../../../src/devices/bus.ts";
import type { AccessSize, MmioDevice, PortDevice } from "../../../src/devices/device.ts";
import { Random, seed } from "../../support/random.ts";

/** Keeps a log of the accesses it got; reads give the number of the access. */
class Recorder implements PortDevice, MmioDevice {
  readonly log: string[] = [];
  constructor(readonly name = "recorder") {}
  readPort(port: number, size: AccessSize): number {
    return this.log.push(`in ${port.toString(16)}/${size}`);
  }
  writePort(port: number, size: AccessSize, value: number): void {
    this.log.push(`out ${port.toString(16)}/${size}=${value.toString(16)}`);
  }
  readMmio(offset: number, size: AccessSize): number {
    return this.log.push(`read ${offset.toString(16)}/${size}`);
  }
  writeMmio(offset: number, size: AccessSize, value: number): void {
    this.log.push(`write ${offset.toString(16)}/${size}=${value.toString(16)}`);
  }
}

/** Sixteen bytes of plain memory. */
class Scratch implements MmioDevice {
  readonly name = "scratch";
  readonly view = new DataView(new ArrayBuffer(16));
  readMmio(offset: number, size: AccessSize): number {
    if (size === 1) return this.view.getUint8(offset);
    return size === 2 ? this.view.getUint16(offset, true) : this.view.getUint32(offset, true);
  }
  writeMmio(offset: number, size: AccessSize, value: number): void {
    if (size === 1) this.view.setUint8(offset, value);
    else if (size === 2) this.view.setUint16(offset, value, true);
    else this.view.setUint32(offset, value, true);
  }
}

Deno.test("port bus gives an access to the device that claims the port", () => {
  const bus = new PortBus();
  const low = new Recorder();
  const high = new Recorder();
  bus.claim(0, 4, low);
  bus.claim(0xfffc, 4, high);
  assertEquals(bus.read(0, 4), 1);
  bus.write(0xfffe, 2, 0xabcd);
  bus.write(0xffff, 1, 0xff);
  assertEquals(low.log, ["in 0/4"]);
  assertEquals(high.log, ["out fffe/2=abcd", "out ffff/1=ff"]);
  assertEquals([bus.unclaimedReads, bus.unclaimedWrites], [0, 0]);
});

Deno.test("port bus reads all ones where no device is, drops writes there, and counts both", () => {
  const bus = new PortBus();
  assertEquals(bus.read(0x80, 1), 0xff);
  assertEquals(bus.read(0x80, 2), 0xffff);
  assertEquals(bus.read(0x80, 4), 0xffff_ffff);
  bus.write(0x80, 4, 1);
  assertEquals([bus.unclaimedReads, bus.unclaimedWrites], [3, 1]);
});

Deno.test("port bus gives no device an access that reaches beyond it", () => {
  const bus = new PortBus();
  const device = new Recorder("first");
  const neighbour = new Recorder("second");
  bus.claim(0x10, 2, device);
  bus.claim(0x12, 2, neighbour);
  bus.claim(0x20, 1, device);
  bus.claim(0x22, 2, device);
  bus.claim(0xffff, 1, device);
  for (const port of [0x30, 0x31, 0x33, 0x34]) bus.claim(port, 1, device);
  bus.claim(0x32, 1, neighbour);
  const crossing = [[0x0f, 2], [0x11, 2], [0x10, 4], [0x13, 2], [0x20, 4], [0x30, 4], [0x31, 4]];
  for (const [port, size] of crossing as [number, AccessSize][]) {
    assertEquals(bus.read(port, size), size === 2 ? 0xffff : 0xffff_ffff);
    bus.write(port, size, 0);
  }
  assertEquals(bus.read(0xffff, 2), 0xffff);
  assertEquals(bus.read(0xffff, 4), 0xffff_ffff);
  assertEquals([...device.log, ...neighbour.log], []);
  assertEquals([bus.unclaimedReads, bus.unclaimedWrites], [9, 7]);
});

Deno.test("port bus moves strings through a view, little-endian", () => {
  const bus = new PortBus();
  const device = new Recorder();
  bus.claim(0x40, 4, device);
  const view = new DataView(new ArrayBuffer(16));
  bus.readString(0x40, 2, 3, view, 2);
  assertEquals([...new Uint8Array(view.buffer)].slice(0, 10), [0, 0, 1, 0, 2, 0, 3, 0, 0, 0]);
  view.setUint32(0, 0x8899_aabb, true);
  view.setUint32(4, 0x1122_3344, true);
  bus.writeString(0x40, 4, 2, view, 0);
  assertEquals(device.log.slice(3), ["out 40/4=8899aabb", "out 40/4=11223344"]);
  bus.readString(0x80, 1, 4, view, 0);
  assertEquals(view.getUint32(0, true), 0xffff_ffff);
  assertEquals(bus.unclaimedReads, 4);
});

Deno.test("port bus refuses a port that is taken or does not exist, and says whose it is", () => {
  const bus = new PortBus();
  bus.claim(0x60, 1, new Recorder("keyboard"));
  assertThrows(
    () => bus.claim(0x5f, 2, new Recorder("other")),
    RangeError,
    "Cannot attach other to port 0x60: it belongs to keyboard",
  );
  assertThrows(() => bus.claim(0xffff, 2, new Recorder()), RangeError, "0xffff");
  assertThrows(() => bus.claim(0, 0, new Recorder()), RangeError);
  assertThrows(() => bus.claim(-1, 1, new Recorder()), RangeError);
  assertThrows(() => bus.claim(0.5, 1, new Recorder()), RangeError);
});

Deno.test("port bus takes 255 devices and no more", () => {
  const bus = new PortBus();
  for (let port = 0; port < 255; port++) bus.claim(port, 1, new Recorder(`device ${port}`));
  assertThrows(() => bus.claim(255, 1, new Recorder()), RangeError, "255 devices");
});

Deno.test("mmio bus routes by all 52 address bits", () => {
  const bus = new MmioBus();
  const low = new Recorder();
  const high = new Recorder();
  bus.claim(gpa(0xd000_0000), 0x1000, low);
  bus.claim(gpa(0xf_ffff_f000_0000), 0x1000_0000, high);
  const view = new DataView(new ArrayBuffer(8));
  bus.read(0xd000_0ffc, 4, view, 0);
  bus.read(0xf_ffff_f000_0004, 4, view, 0);
  bus.read(0xf_ffff_ffff_fffc, 4, view, 0);
  bus.read(0x1_d000_0000, 4, view, 0);
  assertEquals(view.getUint32(0, true), 0xffff_ffff);
  assertEquals(low.log, ["read ffc/4"]);
  assertEquals(high.log, ["read 4/4", "read ffffffc/4"]);
  assertEquals(bus.unclaimedReads, 1);
});

Deno.test("mmio bus splits accesses of 3, 5, 6, 7 and 8 bytes into the largest that fit", () => {
  const expected: Record<number, string[]> = {
    1: ["10/1"],
    2: ["10/2"],
    3: ["10/2", "12/1"],
    4: ["10/4"],
    5: ["10/4", "14/1"],
    6: ["10/4", "14/2"],
    7: ["10/4", "14/2", "16/1"],
    8: ["10/4", "14/4"],
  };
  for (let size = 1; size <= 8; size++) {
    const bus = new MmioBus();
    const device = new Recorder();
    bus.claim(gpa(0x1000), 0x100, device);
    const view = new DataView(new ArrayBuffer(16));
    bus.read(0x1010, size, view, 3);
    assertEquals(device.log, expected[size].map((part) => `read ${part}`));
    device.log.length = 0;
    bus.write(0x1010, size, new DataView(new ArrayBuffer(16)), 3);
    assertEquals(device.log, expected[size].map((part) => `write ${part}=0`));
    const bytes = new Uint8Array(view.buffer);
    assertEquals([...bytes.subarray(0, 3), ...bytes.subarray(3 + size)], Array(16 - size).fill(0));
  }
});

Deno.test("mmio bus moves as many bytes in one access as in its parts, for random accesses", () => {
  const random = new Random(seed(1));
  for (let round = 0; round < 2000; round++) {
    const whole = new Scratch();
    const parts = new Scratch();
    const busOfWhole = new MmioBus();
    const busOfParts = new MmioBus();
    busOfWhole.claim(gpa(2 ** 51), 16, whole);
    busOfParts.claim(gpa(2 ** 51), 16, parts);
    const size = 1 + random.below(8);
    const address = 2 ** 51 + random.below(17 - size);
    const written = new DataView(random.bytes(8).buffer);
    busOfWhole.write(address, size, written, 0);
    for (let i = 0; i < size; i++) busOfParts.write(address + i, 1, written, i);
    assertEquals(whole.view, parts.view, `seed ${random.seed} round ${round}`);
    const read = new DataView(new ArrayBuffer(8));
    busOfWhole.read(address, size, read, 0);
    for (let i = 0; i < size; i++) {
      assertEquals(read.getUint8(i), written.getUint8(i), `seed ${random.seed} round ${round}`);
    }
  }
});

Deno.test("mmio bus gives all ones for the part of an access that is no device's", () => {
  const bus = new MmioBus();
  const device = new Scratch();
  bus.claim(gpa(0x1000), 16, device);
  const view = new DataView(new ArrayBuffer(8));
  bus.read(0x100c, 8, view, 0);
  assertEquals(view.getBigUint64(0, true), 0xffff_ffff_0000_0000n);
  bus.read(0x100e, 4, view, 0);
  assertEquals(view.getUint32(0, true), 0xffff_ffff);
  bus.write(0x0ffe, 4, view, 0);
  bus.write(0x100c, 8, view, 0);
  assertEquals(device.view.getUint32(12, true), 0xffff_ffff);
  assertEquals([bus.unclaimedReads, bus.unclaimedWrites], [2, 2]);
});

Deno.test("mmio bus refuses ranges that overlap, are empty or end beyond 2^52", () => {
  const bus = new MmioBus();
  bus.claim(gpa(0x2000), 0x1000, new Recorder("apic"));
  bus.claim(gpa(0x1000), 0x1000, new Recorder());
  bus.claim(gpa(0x3000), 0x1000, new Recorder());
  assertThrows(
    () => bus.claim(gpa(0x2fff), 1, new Recorder("other")),
    RangeError,
    "Cannot attach other at 0x2fff: the range belongs to apic",
  );
  assertThrows(() => bus.claim(gpa(0x3fff), 0x8000, new Recorder()), RangeError, "0x3fff");
  const alone = new MmioBus();
  alone.claim(gpa(0x2000), 0x1000, new Recorder());
  assertThrows(() => alone.claim(gpa(0x1800), 0x801, new Recorder()), RangeError);
  assertThrows(() => alone.claim(gpa(0x1800), 0x8000, new Recorder()), RangeError);
  assertThrows(() => bus.claim(gpa(0x9000), 0, new Recorder()), RangeError);
  assertThrows(() => bus.claim(gpa(2 ** 52 - 4096), 4097, new Recorder()), RangeError, "2^52");
});
