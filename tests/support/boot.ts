/** Loading made short, for the tests of the boot path. */

import { Buffer } from "node:buffer";
import { assertInstanceOf, assertStrictEquals, fail } from "@std/assert";
import { type Gpa, gpa } from "../../src/base/u64.ts";
import { DenovisorError } from "../../src/base/errors.ts";
import type { BootPlatform, BootSource, Entry } from "../../src/boot/boot.ts";
import { loadGuest } from "../../src/boot/load_guest.ts";
import { Reg, Seg, State } from "../../src/cpu/state.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";

export const MIB = 1024 * 1024;

/** Where the tests say that the RSDP is. */
export const RSDP: Gpa = gpa(0xe_0000);

/** A guest as the loaders left it, with the reads that tests need. */
export interface Loaded {
  readonly memory: GuestMemory;
  readonly entry: Entry;
  readonly rip: number;
  /** 32 bits of a general register. */
  reg(index: number): number;
  u8(address: number): number;
  u16(address: number): number;
  u32(address: number): number;
  u64(address: number): number;
  bytes(address: number, length: number): Uint8Array;
  /** A zero-terminated string. */
  text(address: number): string;
}

/** Loads `source` into a guest of `ramBytes`; a bare image is the kernel, named "kernel". */
export function load(
  source: Uint8Array | BootSource,
  ramBytes: number = 32 * MIB,
  platform: BootPlatform = { rsdp: RSDP },
): Loaded {
  const memory = GuestMemory.allocate(ramBytes);
  const given = source instanceof Uint8Array ? kernel(source) : source;
  return inspect(memory, loadGuest(memory, given, platform));
}

/** A boot source with `bytes` as its kernel. */
export function kernel(bytes: Uint8Array, rest: Omit<BootSource, "kernel"> = {}): BootSource {
  return { kernel: { name: "kernel", bytes }, ...rest };
}

export function inspect(memory: GuestMemory, entry: Entry): Loaded {
  const bytes = (address: number, length: number) => {
    const out = new Uint8Array(length);
    memory.read(gpa(address), out);
    return out;
  };
  return {
    memory,
    entry,
    rip: Number(entry.state.get(State.RIP)),
    reg: (index) => Number(entry.state.gpr(index)),
    u8: (address) => memory.readU8(gpa(address)),
    u16: (address) => memory.readU16(gpa(address)),
    u32: (address) => memory.readU32(gpa(address)),
    u64: (address) => memory.readU53(gpa(address)),
    bytes,
    text: (address) => {
      let length = 0;
      while (memory.readU8(gpa(address + length)) !== 0) length++;
      return new TextDecoder().decode(bytes(address, length));
    },
  };
}

/** The message of the `image` error that loading gives; nothing may have been written by then. */
export function refusal(source: Uint8Array | BootSource, ramBytes: number = 32 * MIB): string {
  const memory = GuestMemory.allocate(ramBytes);
  const given = source instanceof Uint8Array ? kernel(source) : source;
  try {
    loadGuest(memory, given, { rsdp: RSDP });
  } catch (error) {
    assertInstanceOf(error, DenovisorError);
    assertStrictEquals(error.code, "image", error.message);
    assertStrictEquals(error.message.includes("\n"), false, "the message is one line");
    assertUntouched(memory);
    return error.message;
  }
  return fail("Expected the image to be refused");
}

/** Fails unless all of `memory` is zero. */
export function assertUntouched(memory: GuestMemory): void {
  const bytes = Buffer.from(memory.wasm.buffer);
  assertStrictEquals(bytes.equals(new Uint8Array(bytes.length)), true, "memory is untouched");
}

/** Fails unless the vCPU starts as Linux' and PVH's 32-bit entries ask: protected, flat, no paging. */
export function assertFlat32(loaded: Loaded): void {
  const { state } = loaded.entry;
  assertStrictEquals(Number(state.get(State.CR0)) & 0x8000_0001, 1, "protected mode, no paging");
  assertStrictEquals(Number(state.get(State.CR4)), 0);
  assertStrictEquals(Number(state.get(State.RFLAGS)), 2, "interrupts off");
  for (const [seg, attributes] of [[Seg.CS, 0xc09b], [Seg.DS, 0xc093], [Seg.SS, 0xc093]]) {
    const { base, limit, attributes: found } = state.segment(seg);
    assertStrictEquals(Number(base), 0);
    assertStrictEquals(limit, 0xffff_ffff);
    assertStrictEquals(found, attributes);
  }
  assertGdtMatches(loaded, 0x00cf_9b00);
}

/** Fails unless the GDT in memory has the segments that CS and DS are loaded with. */
export function assertGdtMatches(loaded: Loaded, codeUpper: number): void {
  const { state } = loaded.entry;
  const base = Number(state.get(State.GDTR));
  const limit = state.view.getUint32(State.GDTR + 8, true);
  const cs = state.segment(Seg.CS).selector;
  const ds = state.segment(Seg.DS).selector;
  assertStrictEquals(cs, 0x10, "__BOOT_CS");
  assertStrictEquals(ds, 0x18, "__BOOT_DS");
  assertStrictEquals(limit, ds + 7);
  assertStrictEquals(loaded.u32(base + cs), 0xffff);
  assertStrictEquals(loaded.u32(base + cs + 4), codeUpper);
  assertStrictEquals(loaded.u32(base + ds), 0xffff);
  assertStrictEquals(loaded.u32(base + ds + 4), 0x00cf_9300);
}

export { Reg, Seg, State };
