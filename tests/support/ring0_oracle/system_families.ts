/** Instructions on segment registers, descriptor tables, control and debug registers, MSRs. */

import { Cr0, Cr4 } from "../../../src/cpu/modes.ts";
import { Reg, State, STATE_MSRS } from "../../../src/cpu/state.ts";
import type { Kind } from "./descriptors.ts";
import { type Draft, le } from "./draft.ts";
import { Table } from "./image.ts";
import { At } from "./layout.ts";

/** Instructions that are made alike. */
export interface Family {
  readonly name: string;
  readonly weight: number;
  readonly make: (draft: Draft) => void;
}

/** A selector in a register or in memory: ModRM.rm. */
function selectorOperand(draft: Draft, selector: number): number {
  if (draft.oneIn(3)) return draft.memory(selector & 255, selector >> 8);
  const register = draft.register();
  draft.setGpr16(register, selector);
  return register;
}

function movToSegment(draft: Draft): void {
  const seg = draft.oneIn(40) ? draft.values.small(8) : draft.pick([0, 2, 2, 3, 4, 5]);
  draft.modrm(
    draft.size(),
    [0x8e],
    seg,
    selectorOperand(draft, draft.descriptors.selector("data")),
  );
}
function movFromSegment(draft: Draft): void {
  const seg = draft.values.small(draft.oneIn(40) ? 8 : 6);
  draft.modrm(draft.size(), [0x8c], seg, draft.oneIn(3) ? draft.memory() : draft.register());
}

/** Opcodes of PUSH and POP of segment registers. */
const PUSHES = [[0x06], [0x0e], [0x16], [0x1e], [0x0f, 0xa0], [0x0f, 0xa8]];
const POPS = [[0x07], [0x17], [0x17], [0x1f], [0x0f, 0xa1], [0x0f, 0xa9]];
function pushSegment(draft: Draft): void {
  draft.plain(draft.size(), ...draft.pick(draft.mode.bits === 64 ? PUSHES.slice(4) : PUSHES));
}
function popSegment(draft: Draft): void {
  const opcode = draft.pick(draft.mode.bits === 64 && !draft.oneIn(20) ? POPS.slice(4) : POPS);
  const selector = draft.descriptors.selector("data");
  draft.frame(8, [[draft.u32() & 0xffff_0000 | selector, draft.u32()]]);
  draft.plain(draft.size(), ...opcode);
}

function loadPointer(draft: Draft): void {
  const opcodes = [[0x0f, 0xb2], [0x0f, 0xb4], [0x0f, 0xb5]];
  if (draft.mode.bits !== 64) opcodes.push([0xc4], [0xc5]);
  const size = draft.size();
  const selector = draft.descriptors.selector("data");
  const bytes = [...le(draft.u32(), draft.u32()).slice(0, size), selector & 255, selector >> 8];
  draft.modrm(size, draft.pick(opcodes), draft.register(), draft.memory(...bytes));
}

function storeTable(draft: Draft): void {
  draft.modrm(draft.size(), [0x0f, 0x01], draft.values.small(2), draft.memory());
}
function loadTable(draft: Draft): void {
  const limit = draft.pick([0xff, 0, 7, 0xfff, 0xffff, draft.u32() & 0xffff]);
  const [lo, hi] = draft.pick([
    [At.GDT, 0],
    [At.IDT, 0],
    [0, 0],
    [draft.u32(), 0],
    [draft.u32(), draft.u32()],
    [0xff00_0000 | At.GDT, 0xffff_8000 | 0],
  ]);
  const bytes = [limit & 255, limit >> 8, ...le(lo, hi)];
  draft.modrm(draft.size(), [0x0f, 0x01], 2 + draft.values.small(2), draft.memory(...bytes));
}

function loadTableRegister(draft: Draft): void {
  const task = draft.oneIn(2);
  const selector = draft.descriptors.selector(draft.oneIn(10) ? "any" : task ? "tss" : "ldt");
  draft.modrm(draft.size(), [0x0f, 0x00], task ? 3 : 2, selectorOperand(draft, selector));
}
function storeTableRegister(draft: Draft): void {
  const rm = draft.oneIn(3) ? draft.memory() : draft.register();
  draft.modrm(draft.size(), [0x0f, 0x00], draft.values.small(2), rm);
}

/** LAR, LSL, VERR, VERW, ARPL. */
function look(draft: Draft): void {
  const kinds: readonly Kind[] = ["data", "code", "tss", "ldt", "gate"];
  const selector = draft.descriptors.selector(draft.pick(kinds));
  const rm = selectorOperand(draft, selector);
  const which = draft.values.small(draft.mode.bits === 64 ? 4 : 5);
  if (which < 2) draft.modrm(draft.size(), [0x0f, 2 + which], draft.register(), rm);
  else if (which < 4) draft.modrm(draft.size(), [0x0f, 0x00], 2 + which, rm);
  else draft.modrm(0, [0x63], draft.register(), rm);
}

/** LMSW, SMSW, CLTS. */
function machineStatus(draft: Draft): void {
  const which = draft.values.small(5);
  if (which === 0) return draft.plain(0, 0x0f, 0x06);
  if (which < 3) {
    const value = draft.oneIn(4) ? draft.u32() : draft.values.small(16);
    return draft.modrm(0, [0x0f, 0x01], 6, selectorOperand(draft, value & 0xffff));
  }
  const rm = draft.oneIn(3) ? draft.memory() : draft.register();
  draft.modrm(draft.size(), [0x0f, 0x01], 4, rm);
}

function movFromControl(draft: Draft): void {
  const wide = draft.mode.bits === 64;
  const from = draft.oneIn(12) ? draft.values.small(wide ? 16 : 8) : draft.pick([0, 2, 3, 4]);
  draft.modrm(0, [0x0f, 0x20], wide && draft.oneIn(5) ? 8 : from, draft.register());
}

const CR0_BITS = [
  ...[Cr0.PE, Cr0.MP, Cr0.EM, Cr0.TS, Cr0.ET, Cr0.NE, Cr0.WP, Cr0.AM, Cr0.NW, Cr0.CD],
  ...[Cr0.PG, Cr0.PG, Cr0.PE, 1 << 6, 1 << 28],
];
/** Bits that every processor has, and one that none has. */
const CR4_BITS = [
  ...[Cr4.TSD, Cr4.DE, Cr4.PSE, Cr4.PAE, Cr4.MCE, Cr4.PGE, Cr4.PCE, Cr4.OSFXSR, Cr4.OSXMMEXCPT],
  ...[Cr4.PAE, 1 << 31],
];
const ROOTS = [Table.PML4, Table.PAE_PDPT, Table.LEGACY_PD];

function movToControl(draft: Draft): void {
  const wide = draft.mode.bits === 64;
  const { values, states } = draft;
  const register = draft.register();
  const word = (offset: number) => states.state.view.getInt32(offset, true);
  let to = draft.pick([0, 0, 0, 2, 3, 3, 4, 4, 4, 8]);
  let hi = wide && draft.oneIn(15) ? draft.pick([1, 1 << 20, -1, 1 << 31]) : 0;
  let lo: number;
  if (to === 8 && !wide) to = 4;
  if (to === 0) lo = flip(draft, word(State.CR0), CR0_BITS);
  else if (to === 4) lo = flip(draft, word(State.CR4), CR4_BITS);
  else if (to === 8) lo = draft.oneIn(4) ? draft.u32() : values.small(18);
  else if (to === 3) {
    lo = draft.pick(ROOTS) | (draft.oneIn(3) ? draft.u32() & 0xfff : 0);
  } else {
    lo = draft.u32();
    hi = wide ? draft.u32() : 0;
  }
  if (draft.oneIn(30)) to = values.small(wide ? 16 : 8);
  if (draft.mode.paging === "none") preparePaging(draft);
  states.setGpr(register, lo, hi);
  draft.modrm(0, [0x0f, 0x22], to, register);
}

/** Forms of paging, in the order in which they are turned on below. */
const FORMS = ["legacy", "pae", "long"] as const;

/** `value` with one to three of `bits` changed. */
function flip(draft: Draft, value: number, bits: readonly number[]): number {
  let changed = value;
  for (let n = 1 + draft.values.small(3); n > 0; n--) changed ^= draft.pick(bits);
  return changed;
}

/** Everything is ready for paging to be turned on, of any form that can be shown. */
function preparePaging(draft: Draft): void {
  const { view } = draft.states.state;
  const forms = [0, 1, 2].filter((n) => draft.shown.hasPaging(FORMS[n]));
  const form = draft.pick(forms.length === 0 ? [0] : forms);
  view.setUint32(State.CR3, [Table.LEGACY_PD, Table.PAE_PDPT, Table.PML4][form], true);
  if (form > 0) view.setUint32(State.CR4, view.getUint32(State.CR4, true) | Cr4.PAE, true);
  if (form === 2) view.setUint32(State.EFER, 0x100, true);
}

function debugRegister(draft: Draft): void {
  const store = draft.oneIn(2);
  const number = draft.values.small(draft.mode.bits === 64 && draft.oneIn(12) ? 16 : 8);
  const register = draft.register();
  // Breakpoints stay off: bits 7:0 of DR7
  const lo = number === 7 || number === 5 ? draft.u32() & ~0xff : draft.u32();
  const hi = draft.mode.bits === 64 && draft.oneIn(3) ? draft.u32() : 0;
  if (store) draft.states.setGpr(register, lo, hi);
  draft.full = true;
  draft.modrm(0, [0x0f, store ? 0x23 : 0x21], number, register);
}

/** Registers whose values do not change by themselves, and numbers of none. */
const MSRS: readonly number[] = [
  ...STATE_MSRS.filter((msr) => ![0x10, 0x3b, 0x6e0, 0x1a0, 0xc000_0103].includes(msr)),
  ...[0xc000_0080, 0xc000_0080, 0xc000_0100, 0xc000_0101, 0xc000_0085, 0x4fff, 0xc001_fff0],
];
function modelSpecific(draft: Draft): void {
  const { states } = draft;
  const write = draft.oneIn(2);
  const msr = draft.pick(MSRS);
  states.setGpr(Reg.RCX, msr | 0);
  if (write) {
    const canonical = draft.pick([0, 0, -1, 0x7fff, 0xffff_8000]);
    let hi = draft.oneIn(8) ? draft.u32() : canonical;
    let lo = draft.oneIn(2) ? draft.u32() : draft.pick([0, 1, 0x0007_0406, 0x0606_0606, 0x0800]);
    if (msr === 0xc000_0080) {
      lo = flip(draft, states.state.view.getInt32(State.EFER, true), [1, 0x100, 0x400, 0x800, 2]);
      hi = 0;
    }
    states.setGpr(Reg.RAX, lo);
    // DX is the port, too: the high half's value is of use when it is far from the host's devices.
    states.setGpr(Reg.RDX, hi === 0 || (hi & 0xffff) >= 0x1000 ? hi : hi | 0x8000);
  }
  draft.full = true;
  draft.plain(0, 0x0f, write ? 0x30 : 0x32);
}

function invalidate(draft: Draft): void {
  if (draft.oneIn(4)) draft.plain(0, 0x0f, 0x09); // WBINVD
  else draft.modrm(0, [0x0f, 0x01], 7, draft.memory());
}

/** SWAPGS, and what changes RFLAGS.AC. */
function others(draft: Draft): void {
  draft.full = true;
  if (draft.mode.bits !== 64) draft.plain(0, 0x0f, 0x0b);
  else draft.plain(0, 0x0f, 0x01, 0xf8);
}

export const SYSTEM_FAMILIES: readonly Family[] = [
  { name: "mov to segment", weight: 22, make: movToSegment },
  { name: "mov from segment", weight: 3, make: movFromSegment },
  { name: "push segment", weight: 3, make: pushSegment },
  { name: "pop segment", weight: 10, make: popSegment },
  { name: "load far pointer", weight: 10, make: loadPointer },
  { name: "sgdt sidt", weight: 3, make: storeTable },
  { name: "lgdt lidt", weight: 6, make: loadTable },
  { name: "lldt ltr", weight: 10, make: loadTableRegister },
  { name: "sldt str", weight: 2, make: storeTableRegister },
  { name: "lar lsl verr verw arpl", weight: 8, make: look },
  { name: "lmsw smsw clts", weight: 5, make: machineStatus },
  { name: "mov from cr", weight: 3, make: movFromControl },
  { name: "mov to cr", weight: 14, make: movToControl },
  { name: "mov dr", weight: 2, make: debugRegister },
  { name: "rdmsr wrmsr", weight: 3, make: modelSpecific },
  { name: "invlpg wbinvd", weight: 2, make: invalidate },
  { name: "swapgs ud2", weight: 1, make: others },
];
