/** Memory and first state of the guest that runs random programs: handlers that keep them going. */

import { gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import { Cr0, Cr4, Efer, flat32State, long64State } from "../../../src/cpu/modes.ts";
import { type CpuState, Seg, State } from "../../../src/cpu/state.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { At, CODE_PAGES, Linear, MAPPED, RAM_BYTES, Selector, TIMER, Variable } from "./layout.ts";

/** Bits of code. */
export type Bits = 32 | 64;

/** Page-table entry bits: present, writable, user. */
const P = 1, W = 2, U = 4;
/** Vectors that push an error code (SDM 3A table 6-1). */
const WITH_CODE = [8, 10, 11, 12, 13, 14, 17, 21];
/** Bytes between two handlers, and where what they share stands. */
const STUB_BYTES = 16;
const COMMON = At.HANDLERS + 0x800;

/** Memory with everything in it but programs. */
export function buildImage(bits: Bits): GuestMemory {
  const memory = GuestMemory.allocate(RAM_BYTES);
  buildPaging(memory, bits);
  buildDescriptors(memory, bits);
  for (let vector = 0; vector < 32; vector++) {
    const at = At.HANDLERS + vector * STUB_BYTES;
    const push = WITH_CODE.includes(vector) ? [] : [0x6a, 0];
    const next = at + push.length + 5;
    memory.write(gpa(at), Uint8Array.from([...push, 0xe9, ...word(COMMON - next)]));
  }
  memory.write(gpa(At.HANDLERS + TIMER * STUB_BYTES), Uint8Array.from(timer(bits)));
  memory.write(gpa(COMMON), Uint8Array.from(bits === 64 ? handler64() : handler32()));
  return memory;
}

function word(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}

const variable = (offset: number) => word(At.VARIABLES + offset);

/** Goes on at the next of the program's targets, with pointers that are good. */
function handler64(): number[] {
  return [
    ...[0x48, 0x83, 0xc4, 0x08, 0x50], // add rsp, 8; push rax
    ...[0x8b, 0x04, 0x25, ...variable(Variable.COUNT)], // mov eax, [COUNT]
    ...[0xff, 0x04, 0x25, ...variable(Variable.COUNT)], // inc dword [COUNT]
    ...[0x83, 0xe0, 0x07], // and eax, 7
    ...[0x48, 0x8b, 0x04, 0xc5, ...variable(Variable.TARGETS)], // mov rax, [TARGETS + rax * 8]
    ...[0x48, 0x89, 0x44, 0x24, 0x08], // mov [rsp + 8], rax
    ...[0x48, 0x8b, 0x04, 0x25, ...variable(Variable.RSP)], // mov rax, [RSP]
    ...[0x48, 0x89, 0x44, 0x24, 0x20], // mov [rsp + 32], rax
    ...[0x48, 0x8b, 0x34, 0x25, ...variable(Variable.RSI)], // mov rsi, [RSI]
    ...[0x48, 0x8b, 0x3c, 0x25, ...variable(Variable.RDI)], // mov rdi, [RDI]
    ...[0x58, 0x48, 0xcf], // pop rax; iretq
  ];
}

/** The same; there is no ESP in the frame of an exception in ring 0. */
function handler32(): number[] {
  return [
    ...[0x83, 0xc4, 0x04, 0x50], // add esp, 4; push eax
    ...[0xa1, ...variable(Variable.COUNT)], // mov eax, [COUNT]
    ...[0xff, 0x05, ...variable(Variable.COUNT)], // inc dword [COUNT]
    ...[0x83, 0xe0, 0x07], // and eax, 7
    ...[0x8b, 0x04, 0xc5, ...variable(Variable.TARGETS)], // mov eax, [TARGETS + eax * 8]
    ...[0x89, 0x44, 0x24, 0x04], // mov [esp + 4], eax
    ...[0xf6, 0x44, 0x24, 0x08, 0x03, 0x74, 0x09], // test byte [esp + 8], 3; jz +9
    ...[0xa1, ...variable(Variable.RSP)], // mov eax, [RSP]
    ...[0x89, 0x44, 0x24, 0x10], // mov [esp + 16], eax
    ...[0x8b, 0x35, ...variable(Variable.RSI)], // mov esi, [RSI]
    ...[0x8b, 0x3d, ...variable(Variable.RDI)], // mov edi, [RDI]
    ...[0x58, 0xcf], // pop eax; iret
  ];
}

function timer(bits: Bits): number[] {
  return bits === 64
    ? [0xff, 0x04, 0x25, ...variable(Variable.TICKS), 0x48, 0xcf]
    : [0xff, 0x05, ...variable(Variable.TICKS), 0xcf];
}

function buildPaging(memory: GuestMemory, bits: Bits): void {
  const bytes = bits === 64 ? 8 : 4;
  const entry = (table: number, index: number, value: number) => {
    memory.writeU32(gpa(table + index * bytes), value);
  };
  const map = (linear: number, physical: number, pages: number, flags: number) => {
    for (let i = 0; i < pages; i++) {
      entry(At.PT, linear / PAGE_SIZE + i, physical + i * PAGE_SIZE | P | flags);
    }
  };
  const table = P | W | U;
  if (bits === 64) { // the first and the last entry of each table
    for (const [above, next] of [[At.ROOT, At.PDPT], [At.PDPT, At.PD], [At.PD, At.PT]]) {
      for (const index of [0, 511]) entry(above, index, next | table);
    }
    entry(At.ROOT, 255, At.PDPT | table); // the end of the lower half
  } else {
    for (const index of [0, 1023]) entry(At.ROOT, index, At.PT | table);
  }
  map(At.GDT, At.GDT, 4, W);
  map(Linear.DATA, At.DATA, 2, W | U);
  map(Linear.READ_ONLY, At.READ_ONLY, 1, U);
  map(Linear.ALIAS, At.DATA, 2, W | U);
  map(Linear.SUPERVISOR, At.SUPERVISOR, 1, W);
  map(Linear.DEVICE, At.DEVICE, 1, W | U);
  map(Linear.CODE_ALIAS, At.CODE, CODE_PAGES, W | U);
  map(Linear.STACK, At.STACK, 2, W | U);
  map(Linear.CODE, At.CODE, CODE_PAGES, U);
}

function buildDescriptors(memory: GuestMemory, bits: Bits): void {
  const descriptors: [number, bigint][] = [
    [Selector.CODE[64], 0x00af_9b00_0000_ffffn],
    [Selector.CODE[32], 0x00cf_9b00_0000_ffffn],
    [Selector.DATA, 0x00cf_9300_0000_ffffn],
    [Selector.USER_CODE[64], 0x00af_fb00_0000_ffffn],
    [Selector.USER_CODE[32], 0x00cf_fb00_0000_ffffn],
    [Selector.USER_DATA, 0x00cf_f300_0000_ffffn],
    [Selector.TSS, BigInt(At.TSS) << 16n | 0x0000_8b00_0000_0067n],
  ];
  for (const [selector, value] of descriptors) {
    memory.writeU64(gpa(At.GDT + (selector & ~7)), value);
  }
  const top = At.KERNEL_STACK + 0xff0;
  memory.writeU64(gpa(At.TSS + 4), top); // RSP0 or ESP0 (SDM 3A §7.7, §7.2.1)
  if (bits === 64) memory.writeU64(gpa(At.TSS + 0x24), top); // IST1
  else memory.writeU32(gpa(At.TSS + 8), Selector.DATA); // SS0
  const size = bits === 64 ? 16 : 8;
  for (let vector = 0; vector <= TIMER; vector++) {
    const at = At.IDT + vector * size;
    memory.writeU32(gpa(at), Selector.CODE[bits] << 16 | At.HANDLERS + vector * STUB_BYTES);
    // An interrupt gate, in 64-bit mode by IST1 (SDM 3A §6.14.1); ring 3 may have INT3 and INTO.
    memory.writeU32(gpa(at + 4), (vector === 3 || vector === 4 ? 0xee00 : 0x8e00) | (bits >> 6));
  }
}

/** At no program's beginning yet. */
export function startState(bits: Bits, ring: 0 | 3): CpuState {
  const user = ring === 3;
  const selectors = {
    cs: user ? Selector.USER_CODE[bits] : Selector.CODE[bits],
    ds: user ? Selector.USER_DATA : Selector.DATA,
  };
  const gdt = { base: At.GDT, limit: Selector.END - 1 };
  const state = bits === 64
    ? long64State({ rip: 0, cr3: At.ROOT, gdt, selectors })
    : flat32State({ eip: 0, gdt, selectors });
  state.setTable(State.IDTR, At.IDT, (TIMER + 1) * (bits === 64 ? 16 : 8) - 1);
  const flat = { base: 0, limit: 0xffff_ffff };
  const dpl = user ? 0x60 : 0;
  state.setSegment(Seg.CS, {
    ...flat,
    selector: selectors.cs,
    attributes: (bits === 64 ? 0xa09b : 0xc09b) | dpl,
  });
  for (const seg of [Seg.ES, Seg.SS, Seg.DS]) {
    state.setSegment(seg, { ...flat, selector: selectors.ds, attributes: 0xc093 | dpl });
  }
  const tss = { base: At.TSS, limit: 0x67, selector: Selector.TSS };
  state.setSegment(Seg.TR, { ...tss, attributes: 0x8b });
  state.set(State.CR0, Cr0.PE + Cr0.MP + Cr0.ET + Cr0.NE + Cr0.WP + Cr0.AM + Cr0.PG);
  if (bits === 64) state.set(State.EFER, Efer.LME | Efer.LMA | Efer.NXE);
  const cr4 = Cr4.OSFXSR | Cr4.OSXMMEXCPT | (bits === 64 ? Cr4.PAE | Cr4.FSGSBASE : Cr4.PSE);
  state.set(State.CR4, cr4);
  state.set(State.CR3, At.ROOT);
  return state;
}

/** Sets the base of FS or GS. */
export function setBase(state: CpuState, seg: number, ring: 0 | 3, base: bigint): void {
  const selector = ring === 3 ? Selector.USER_DATA : Selector.DATA;
  const attributes = ring === 3 ? 0xc0f3 : 0xc093;
  state.setSegment(seg, { base, limit: 0xffff_ffff, selector, attributes });
}

/**
 * What may be added to an address for the same page: 0, and what leads to the end of the address space,
 * or of the lower half of it.
 */
export function bases(bits: Bits): readonly bigint[] {
  if (bits === 32) return [0n, BigInt(2 ** 32 - MAPPED[32])];
  const size = BigInt(MAPPED[64]);
  return [0n, 2n ** 64n - size, 2n ** 47n - size];
}
