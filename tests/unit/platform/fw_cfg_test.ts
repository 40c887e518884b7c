/** The fw_cfg interface against its specification (QEMU docs/specs/fw_cfg). */

import { assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { gpa } from "../../../src/base/u64.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { FwCfg } from "../../../src/platform/fw_cfg.ts";
import { FwCfgItems } from "../../../src/platform/fw_cfg_items.ts";

const RAM = 2 * 1024 * 1024;
const ROM = 64 * 1024;
const SELECTOR = 0x510, DATA = 0x511, DMA_HIGH = 0x514, DMA_LOW = 0x518;
const ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16;
const ITEM = new Uint8Array(100).map((_, i) => i + 1);

function board(fill: (items: FwCfgItems) => void = (items) => items.setBytes(5, ITEM)) {
  const items = new FwCfgItems();
  fill(items);
  const memory = GuestMemory.allocate(RAM, ROM);
  return { memory, device: new FwCfg(items, memory) };
}

function read(device: FwCfg, key: number, length: number): number[] {
  device.writePort(SELECTOR, 2, key);
  return Array.from({ length }, () => device.readPort(DATA, 1));
}

function swap(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getUint32(0, true);
}

/** Runs a DMA operation with its descriptor at `at`; the control word it leaves. */
function dma(
  { memory, device }: ReturnType<typeof board>,
  control: number,
  length: number,
  target: bigint,
  at = 0x1000,
): number {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint32(0, control);
  view.setUint32(4, length);
  view.setBigUint64(8, target);
  memory.write(gpa(at), new Uint8Array(view.buffer));
  device.writePort(DMA_LOW, 4, swap(at));
  return swap(memory.readU32(gpa(at)));
}

Deno.test("fw_cfg gives an item byte by byte and zeros after its end", () => {
  const { device } = board();
  assertEquals(read(device, 5, 103), [...ITEM, 0, 0, 0]);
  assertEquals(read(device, 5, 2), [1, 2]);
});

Deno.test("fw_cfg gives zeros for an item that is not there", () => {
  const { device } = board();
  assertEquals(read(device, 0x7777, 4), [0, 0, 0, 0]);
});

Deno.test("fw_cfg finds an item whether its key asks for writing or not, but writes nothing", () => {
  const { device } = board();
  device.writePort(SELECTOR, 2, 0x4005);
  device.writePort(DATA, 1, 0xee);
  assertEquals([device.readPort(DATA, 1), device.readPort(DATA, 1)], [1, 2]);
});

Deno.test("fw_cfg has a selector of two bytes and a data port of one", () => {
  const { device } = board();
  device.writePort(SELECTOR, 2, 5);
  device.writePort(SELECTOR, 1, 0);
  assertEquals(device.readPort(SELECTOR, 1), 0xff);
  assertEquals(device.readPort(SELECTOR, 2), 0xffff);
  assertEquals(device.readPort(DATA, 1), 1);
});

Deno.test("fw_cfg shows its signature at the DMA address", () => {
  const { device } = board();
  assertEquals(swap(device.readPort(DMA_HIGH, 4)), 0x5145_4d55);
  assertEquals(swap(device.readPort(DMA_LOW, 4)), 0x2043_4647);
  assertEquals(device.readPort(DMA_LOW + 2, 2), 0x4746);
});

Deno.test("fw_cfg lists its files in the directory under consecutive keys", () => {
  const { device } = board((items) => {
    items.addFile("opt/first", new Uint8Array([1, 2, 3]));
    items.addNumber("etc/second", 8, 0x1_2345_6789);
    items.addFile("opt/first", new Uint8Array([4, 5]));
  });
  const directory = new DataView(new Uint8Array(read(device, 0x19, 4 + 2 * 64)).buffer);
  const name = (at: number) =>
    new TextDecoder().decode(new Uint8Array(directory.buffer, at, 56)).replace(/\0+$/, "");
  assertEquals(directory.getUint32(0), 2);
  assertEquals([directory.getUint32(4), directory.getUint16(8), name(12)], [2, 0x20, "opt/first"]);
  assertEquals([directory.getUint32(68), directory.getUint16(72), name(76)], [
    8,
    0x21,
    "etc/second",
  ]);
  assertEquals(read(device, 0x20, 3), [4, 5, 0]);
  assertEquals(read(device, 0x21, 8), [0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0]);
});

Deno.test("fw_cfg takes file names of 1 to 55 printable characters only", () => {
  const items = new FwCfgItems();
  items.addFile("x".repeat(55), ITEM);
  for (const name of ["", "x".repeat(56), "opt/a b", "opt/ä", "opt/\0"]) {
    const error = assertThrows(() => items.addFile(name, ITEM), DenovisorError);
    assertEquals(error.code, "usage");
  }
});

Deno.test("fw_cfg has keys for 16,352 files and refuses the next", () => {
  const items = new FwCfgItems();
  for (let i = 0; i < 0x4000 - 0x20; i++) items.addFile(`opt/${i}`, ITEM);
  items.addFile("opt/0", ITEM); // replaces
  const error = assertThrows(() => items.addFile("opt/more", ITEM), DenovisorError);
  assertEquals(error.code, "usage");
  assertEquals(items.byKey().get(0x3fff), ITEM);
});

Deno.test("fw_cfg DMA selects, skips and reads, and clears the control word", () => {
  const machine = board();
  assertEquals(dma(machine, (5 << 16) | SELECT | READ, 10, 0x2000n), 0);
  assertEquals(machine.memory.readU8(gpa(0x2009)), 10);
  assertEquals(dma(machine, SKIP, 20, 0n), 0);
  assertEquals(dma(machine, READ, 1, 0x3000n), 0);
  assertEquals(machine.memory.readU8(gpa(0x3000)), 31);
  assertEquals(machine.device.readPort(DATA, 1), 32); // both interfaces share the position
  assertEquals(dma(machine, (5 << 16) | SELECT, 0, 0n), 0);
  assertEquals(machine.device.readPort(DATA, 1), 1);
});

Deno.test("fw_cfg DMA fills up with zeros after the end of an item", () => {
  const machine = board();
  machine.memory.fill(gpa(0x2000), 256, 0xee);
  assertEquals(dma(machine, (5 << 16) | SELECT | READ, 120, 0x2000n), 0);
  const got = new Uint8Array(121);
  machine.memory.read(gpa(0x2000), got);
  assertEquals([...got], [...ITEM, ...Array(20).fill(0), 0xee]);
  assertEquals(dma(machine, (5 << 16) | SELECT | SKIP, 0xffff_ffff, 0n), 0);
  assertEquals(dma(machine, READ, 4, 0x2000n), 0);
  assertEquals(machine.memory.readU32(gpa(0x2000)), 0);
});

Deno.test("fw_cfg DMA fails where the target is not RAM, to the byte", () => {
  const machine = board();
  const select = (5 << 16) | SELECT | READ;
  const end = BigInt(RAM);
  assertEquals(dma(machine, select, 100, end - 100n), 0);
  for (const target of [end - 99n, end, 0x1_0000_0000n - BigInt(ROM), 2n ** 52n, 2n ** 64n - 1n]) {
    assertEquals(dma(machine, select, 100, target), ERROR, target.toString(16));
  }
  assertEquals(machine.memory.readU8(gpa(0x1_0000_0000 - ROM)), 0);
});

Deno.test("fw_cfg DMA fails on writes, and on lengths far beyond the item", () => {
  const machine = board();
  assertEquals(dma(machine, WRITE, 4, 0x2000n), ERROR);
  assertEquals(dma(machine, (5 << 16) | SELECT | READ, 100 + 1024 * 1024, 0x2000n), 0);
  assertEquals(dma(machine, (5 << 16) | SELECT | READ, 101 + 1024 * 1024, 0x2000n), ERROR);
  assertEquals(dma(machine, (5 << 16) | SELECT | READ, 0xffff_ffff, 0x2000n), ERROR);
});

Deno.test("fw_cfg DMA reads nothing to anywhere without complaint", () => {
  assertEquals(dma(board(), (5 << 16) | SELECT | READ, 0, 2n ** 63n), 0);
});

Deno.test("fw_cfg DMA takes a descriptor in the last bytes of RAM", () => {
  assertEquals(dma(board(), (5 << 16) | SELECT, 0, 0n, RAM - 16), 0);
});

Deno.test("fw_cfg DMA drops a descriptor that is not in RAM, and takes all 64 address bits", () => {
  const machine = board();
  for (const at of [RAM - 15, RAM, 0xffff_0000]) {
    machine.device.writePort(DMA_LOW, 4, swap(at));
  }
  const at = 0x1000;
  machine.memory.writeU32(gpa(at), swap((5 << 16) | SELECT));
  machine.device.writePort(DMA_HIGH, 4, swap(1));
  machine.device.writePort(DMA_LOW, 4, swap(at)); // 4 GiB higher: not RAM
  assertEquals(swap(machine.memory.readU32(gpa(at))), (5 << 16) | SELECT);
  machine.device.writePort(DMA_LOW, 4, swap(at)); // the high half is zero again
  assertEquals(machine.memory.readU32(gpa(at)), 0);
});
