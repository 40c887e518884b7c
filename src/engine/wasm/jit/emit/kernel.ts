/**
 * What kernels do at every entry and exit: CLAC, STAC, SWAPGS, RDPKRU, MOV from control registers, and
 * the bases of FS and GS. See `isa/flag_instructions.ts`, `isa/segment_instructions.ts`.
 */

import { Cr4 } from "../../../../cpu/modes.ts";
import { Reg, Seg, SegField, State } from "../../../../cpu/state.ts";
import { Flag, Word } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { msrWord } from "../../isa/msr.ts";
import { TlbSet } from "../../tlb.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Jit, SLOTS } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import { emptySlots } from "../page_slots.ts";
import type { Emission, Emissions } from "./emit.ts";
import { checkCanonical, checkEnabled, checkPrivileged, pushBits } from "./privilege.ts";
import { changeFlags } from "./system.ts";

const { T0, TLB } = Local;

const FS_BASE = State.SEGMENTS + Seg.FS * 16 + SegField.BASE;
const GS_BASE = State.SEGMENTS + Seg.GS * 16 + SegField.BASE;
const KERNEL_GS_BASE = msrWord(0xc000_0102) * 4;
const PKRU = Word.PKRU * 4;

/** Of all page slots. */
const SLOT_NUMBERS = Array.from({ length: SLOTS }, (_, number) => number);

/** By the number in MOV: CR0, CR2, CR3, CR4. CR8 is the APIC's. */
const CONTROL_REGISTERS = new Map([
  [0, State.CR0],
  [2, State.CR2],
  [3, State.CR3],
  [4, State.CR4],
]);

/** Uses the TLB set of supervisor reads from here on, what loops remember of the other one forgotten. */
function useTlb(e: Emitter, push: () => void): void {
  const { code } = e;
  code.i32(0);
  push();
  code.tee(TLB);
  code.access(Op.I32_STORE, Memory.PRIVATE, Jit.TLB);
  // Loops forget which pages their accesses have found.
  if (e.registers.isInLoop) code.append(emptySlots(SLOT_NUMBERS));
}

function clac(e: Emitter): void {
  checkPrivileged(e);
  changeFlags(e, Op.I32_AND, ~Flag.AC);
  useTlb(e, () => e.code.i32(TlbSet.SUPERVISOR_READ * 4));
}

/** Only where CR4.SMAP is set does AC change what a supervisor may access (SDM 3A §4.6.1). */
function stac(e: Emitter): void {
  const { code } = e;
  checkPrivileged(e);
  changeFlags(e, Op.I32_OR, Flag.AC);
  useTlb(e, () => {
    code.i32(TlbSet.SUSPENDED_READ * 4);
    code.i32(TlbSet.SUPERVISOR_READ * 4);
    pushBits(e, State.CR4, Cr4.SMAP);
    code.op(Op.SELECT);
  });
}

/** Pushes 8 bytes of the private memory. */
function push64({ code }: Emitter, at: number): void {
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, at);
}

/** Stores T0 there. */
function storeT0({ code }: Emitter, at: number): void {
  code.i32(0);
  code.get(T0);
  code.access(Op.I64_STORE, Memory.PRIVATE, at);
}

function swapgs(e: Emitter): void {
  const { code } = e;
  checkPrivileged(e);
  push64(e, GS_BASE);
  code.set(T0);
  code.i32(0);
  push64(e, KERNEL_GS_BASE);
  code.access(Op.I64_STORE, Memory.PRIVATE, GS_BASE);
  storeT0(e, KERNEL_GS_BASE);
}

function readBase(e: Emitter, width: number, at: number): void {
  checkEnabled(e, State.CR4, Cr4.FSGSBASE);
  push64(e, at);
  e.extend(width, Extend.ZERO);
  e.setReg(e.insn.rm);
}

function writeBase(e: Emitter, width: number, at: number): void {
  checkEnabled(e, State.CR4, Cr4.FSGSBASE);
  e.getReg(e.insn.rm);
  e.extend(width, Extend.ZERO);
  e.code.set(T0);
  if (width === 8) checkCanonical(e, T0);
  storeT0(e, at);
}

/** With CR4.PKE, and ECX 0 (SDM 2B RDPKRU). */
function rdpkru(e: Emitter): void {
  const { code } = e;
  checkEnabled(e, State.CR4, Cr4.PKE);
  e.getReg(Reg.RCX);
  code.op(Op.I32_WRAP_I64);
  e.bailIf();
  code.i32(0);
  code.access(Op.I64_LOAD32_U, Memory.PRIVATE, PKRU);
  e.setReg(Reg.RAX);
  code.i64(0);
  e.setReg(Reg.RDX);
}

function movFromControl(e: Emitter): void {
  checkPrivileged(e);
  push64(e, CONTROL_REGISTERS.get(e.insn.reg)!);
  if (!e.is64) e.extend(4, Extend.ZERO);
  e.setReg(e.insn.rm);
}

/** @see movFromControl */
export const FROM_CONTROL: Emission = {
  emit: movFromControl,
  bails: true,
  endless: true,
  privileged: true,
  when: ({ reg }: Insn) => CONTROL_REGISTERS.has(reg),
};

/** @see Emissions */
export const KERNEL: Emissions = {
  clac: { emit: clac, bails: true },
  stac: { emit: stac, bails: true },
  swapgs: { emit: swapgs, bails: true, privileged: true },
  rdfsbase: { emit: (e, width) => readBase(e, width, FS_BASE), bails: true },
  rdgsbase: { emit: (e, width) => readBase(e, width, GS_BASE), bails: true },
  wrfsbase: { emit: (e, width) => writeBase(e, width, FS_BASE), bails: true },
  wrgsbase: { emit: (e, width) => writeBase(e, width, GS_BASE), bails: true },
  rdpkru: { emit: rdpkru, bails: true },
};
