/** The guest's memory and first state: 64-bit mode at CPL 3, IOPL 0, alignment checks enabled. */

import { type Gpa, gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import { Cr0, Cr4, Efer, long64State } from "../../../src/cpu/modes.ts";
import { type CpuState, Seg, State } from "../../../src/cpu/state.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { type Driver, driver, STACK_TOP, STUB_BYTES, stubs, VECTORS } from "./driver.ts";
import { At, BASE, FS_BASE, GS_HIGH, GS_LOW, RAM_BYTES, Selector } from "./layout.ts";

/** Offsets in the page of tables. */
const GDT = 0, TSS = 0x100, IDT = 0x200;
/** Page-table entry bits: present, writable, user, accessed, dirty. */
const P = 1, W = 2, U = 4, AD = 0x60;
const NO_EXECUTE = 1n << 63n;

/** The driver is the same in every image. */
export const DRIVER: Driver = driver();

/** Memory with everything in it but cases. */
export function buildImage(): GuestMemory {
  const memory = GuestMemory.allocate(RAM_BYTES);
  buildPaging(memory);
  buildDescriptors(memory);
  memory.write(gpa(At.STUBS), stubs(DRIVER.fault));
  memory.write(gpa(At.DRIVER), DRIVER.code);
  return memory;
}

function buildPaging(memory: GuestMemory): void {
  const entry = (table: number, index: number, value: number) =>
    memory.writeU64(gpa(table + index * 8), value);
  const table = P | W | U | 0x20;
  entry(At.PML4, 0, At.PDPT | table);
  entry(At.PDPT, 0, At.PD_LOW | table);
  entry(At.PDPT, BASE >>> 30, At.PD_HIGH | table);
  entry(At.PD_LOW, 0, At.PT_LOW | table);
  entry(At.PD_HIGH, BASE >>> 21 & 511, At.PT_HIGH | table);
  for (let at: number = At.DATA; at <= At.READ_ONLY; at += PAGE_SIZE) {
    const flags = P | U | AD | (at === At.READ_ONLY ? 0 : W);
    memory.writeU64(gpa(At.PT_LOW + at / PAGE_SIZE * 8), BigInt(at | flags) | NO_EXECUTE);
  }
  for (let at: number = At.TABLES; at < RAM_BYTES; at += PAGE_SIZE) {
    const code = at === At.DRIVER || at >= At.CODE && at < At.IN;
    const supervisor = at === At.TABLES || at === At.STUBS;
    entry(At.PT_HIGH, at / PAGE_SIZE, at | P | AD | (supervisor ? 0 : U) | (code ? 0 : W));
  }
}

/** A segment descriptor (SDM 3A §3.4.5): access byte, flags (G, D/B, L, AVL), base, limit. */
function descriptor(access: number, flags: number, base = 0, limit = 0xf_ffff): bigint {
  const b = BigInt(base >>> 0);
  const l = BigInt(limit);
  return l & 0xffffn | (b & 0xff_ffffn) << 16n | BigInt(access) << 40n | (l >> 16n) << 48n |
    BigInt(flags) << 52n | (b >> 24n) << 56n;
}

function buildDescriptors(memory: GuestMemory): void {
  const at = (offset: number): Gpa => gpa(At.TABLES + offset);
  const gdt = (selector: number, value: bigint) =>
    memory.writeU64(at(GDT + (selector & ~7)), value);
  gdt(Selector.KERNEL_CODE, descriptor(0x9b, 0xa));
  gdt(Selector.USER_DATA, descriptor(0xf3, 0xc));
  gdt(Selector.USER_CODE64, descriptor(0xfb, 0xa));
  gdt(Selector.USER_CODE32, descriptor(0xfb, 0xc));
  gdt(Selector.USER_CODE16, descriptor(0xfb, 0x0, BASE + At.CODE, 0xffff));
  gdt(Selector.USER_FS, descriptor(0xf3, 0xc, FS_BASE));
  gdt(Selector.USER_GS, descriptor(0xf3, 0xc, GS_LOW));
  gdt(Selector.READ_ONLY, descriptor(0xf1, 0xc));
  gdt(Selector.ABSENT, descriptor(0x73, 0xc));
  gdt(Selector.EXPAND_DOWN, descriptor(0xf7, 0x4, 0, 0x8fff));
  gdt(Selector.EXECUTE_ONLY, descriptor(0xf9, 0xc));
  gdt(Selector.CONFORMING, descriptor(0x9f, 0xc));
  gdt(Selector.KERNEL_DATA, descriptor(0x93, 0xc));
  const tss = BASE + At.TABLES + TSS;
  gdt(Selector.TSS, descriptor(0x8b, 0, tss, 0x67));
  memory.writeU64(at(TSS + 4), STACK_TOP); // RSP0 (SDM 3A §7.7)
  memory.writeU16(at(TSS + 0x66), 0x68); // no I/O permission bitmap
  for (let vector = 0; vector < VECTORS; vector++) {
    const handler = BigInt(BASE + At.STUBS + vector * STUB_BYTES);
    // An interrupt gate (SDM 3A §6.14.1). INT3 and INTO come from ring 3.
    const access = vector === 3 || vector === 4 ? 0xeen : 0x8en;
    const gate = handler & 0xffffn | BigInt(Selector.KERNEL_CODE) << 16n | access << 40n |
      (handler >> 16n & 0xffffn) << 48n;
    memory.writeU64(at(IDT + vector * 16), gate);
    memory.writeU64(at(IDT + vector * 16 + 8), handler >> 32n);
  }
}

/** At the driver's start. */
export function startState(): CpuState {
  const state = long64State({
    rip: DRIVER.start,
    cr3: At.PML4,
    gdt: { base: 0, limit: 0 },
    selectors: { cs: Selector.USER_CODE64, ds: Selector.USER_DATA },
  });
  const tables = BASE + At.TABLES;
  state.setTable(State.GDTR, tables + GDT, Selector.END - 1);
  state.setTable(State.IDTR, tables + IDT, VECTORS * 16 - 1);
  const flat = { base: 0, limit: 0xffff_ffff };
  state.setSegment(Seg.CS, { ...flat, selector: Selector.USER_CODE64, attributes: 0xa0fb });
  for (const seg of [Seg.SS, Seg.DS, Seg.ES]) {
    state.setSegment(seg, { ...flat, selector: Selector.USER_DATA, attributes: 0xc0f3 });
  }
  const fs = { ...flat, base: FS_BASE, selector: Selector.USER_FS, attributes: 0xc0f3 };
  state.setSegment(Seg.FS, fs);
  const gsBase = BigInt(GS_HIGH >>> 0) << 32n | BigInt(GS_LOW);
  const gs = { ...flat, base: gsBase, selector: Selector.USER_GS, attributes: 0xc0f3 };
  state.setSegment(Seg.GS, gs);
  const tss = { base: tables + TSS, limit: 0x67, selector: Selector.TSS };
  state.setSegment(Seg.TR, { ...tss, attributes: 0x8b });
  // This KVM has IF set in ring 3 whatever it is told.
  state.set(State.RFLAGS, 0x202);
  state.set(State.EFER, Efer.LME | Efer.LMA | Efer.NXE);
  state.set(State.CR0, Cr0.PE + Cr0.MP + Cr0.ET + Cr0.NE + Cr0.WP + Cr0.AM + Cr0.PG);
  state.set(State.CR4, Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.FSGSBASE);
  return state;
}
