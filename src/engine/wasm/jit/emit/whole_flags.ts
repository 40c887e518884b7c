/**
 * RFLAGS from the stack: POPF, and IRET to the same stack's level, CPL 0, in the plain case: see
 * `flags.ts`, `far_return.ts` and `isa/flag_instructions.ts`.
 */

import { Reg, Seg, SegField, State } from "../../../../cpu/state.ts";
import { Flag, STATUS_FLAGS } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { Attribute } from "../../modes.ts";
import { TlbSet } from "../../tlb.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Imported } from "../emitter.ts";
import { Jit } from "../layout.ts";
import { Local } from "../locals.ts";
import { locate } from "../locate.ts";
import { Op } from "../opcodes.ts";
import { stepIf } from "../steps.ts";
import type { Emissions } from "./emit.ts";
import { setExplicitFlags } from "./flags.ts";
import { checkCanonical, pushBits, pushCpl } from "./privilege.ts";
import { release, stackWidth, topToT0 } from "./stack.ts";
import { checkIoPrivilege } from "./system.ts";

const { ADDRESS, I0, RAM, RIP, T0, T1, T2 } = Local;

/** A change of these is the interpreter's: stepping, and which accesses are checked how. */
const MODES = Flag.TF | Flag.RF | Flag.AC;
/** What both write without more ado, with the status flags in whatever state they stand there. */
const PLAIN = STATUS_FLAGS | Flag.IF | Flag.DF | Flag.NT | Flag.ID;

/** Bytes of IRET's frame in 64-bit mode, and what is where. */
const FRAME = { RIP: 0, CS: 8, RFLAGS: 16, RSP: 24, SS: 32, BYTES: 40 } as const;

/** A segment's attributes as IRET wants them for level 0: which bits count, and what they are. */
const USED = Attribute.PRESENT | Attribute.S | Attribute.ACCESSED;
const DPL = 3 << 5;
const CODE = {
  mask: USED | Attribute.CODE | Attribute.CONFORMING | Attribute.LONG | Attribute.BIG | DPL,
  value: USED | Attribute.CODE | Attribute.LONG,
};
const STACK = {
  mask: USED | Attribute.CODE | Attribute.WRITABLE | DPL,
  value: USED | Attribute.WRITABLE,
};

/** Pushes which of some bits differ between the flags in I0 and RFLAGS. */
function pushChanged(e: Emitter, bits: number): void {
  pushBits(e, State.RFLAGS, bits);
  e.code.get(I0);
  e.code.i32(bits);
  e.code.op(Op.I32_AND);
  e.code.op(Op.I32_XOR);
}

/** RFLAGS takes bits of I0, and the status flags are those there. */
function takeFlags(e: Emitter, bits: number): void {
  const { code } = e;
  code.i32(0);
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, State.RFLAGS);
  code.i32(~bits);
  code.op(Op.I32_AND);
  code.get(I0);
  code.i32(bits);
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
  code.access(Op.I32_STORE, Memory.PRIVATE, State.RFLAGS);
  code.get(I0);
  code.i32(STATUS_FLAGS);
  code.op(Op.I32_AND);
  setExplicitFlags(e);
}

/** POPF. Where it turns interrupts on and one waits, that comes right behind it. */
function popf(e: Emitter): void {
  const { code } = e;
  topToT0(e);
  code.get(T0);
  code.op(Op.I32_WRAP_I64);
  code.set(I0);
  pushChanged(e, MODES & ~Flag.RF | Flag.IOPL);
  e.bailIf();
  pushChanged(e, Flag.IF);
  e.open(Op.IF);
  checkIoPrivilege(e);
  code.get(I0);
  code.i32(Flag.IF);
  code.op(Op.I32_AND);
  e.open(Op.IF);
  code.call(Imported.WAITS);
  e.bailIf();
  e.end();
  e.end();
  release(e, stackWidth(e));
  takeFlags(e, PLAIN);
}

/** Pushes a field of the frame, which `RAM` leads to. */
function pushField({ code }: Emitter, at: number, load: Op = Op.I64_LOAD): void {
  code.get(RAM);
  code.access(load, Memory.RAM, at);
}

/** Where the selector in the frame is not the one in `seg`, or not of the GDT, IRET is stepped over. */
function checkSelector(e: Emitter, seg: number, field: number): void {
  const { code } = e;
  const at = State.SEGMENTS + seg * 16 + SegField.SELECTOR;
  pushField(e, field, Op.I64_LOAD16_U);
  code.i32(0);
  code.access(Op.I64_LOAD16_U, Memory.PRIVATE, at);
  code.tee(T1);
  code.op(Op.I64_NE);
  // RPL 0 and TI 0, and none of the null selectors: 8 is the first one.
  code.get(T1);
  code.i64(7);
  code.op(Op.I64_AND);
  code.op(Op.I64_EQZ);
  code.op(Op.I32_EQZ);
  code.op(Op.I32_OR);
  code.get(T1);
  code.op(Op.I64_EQZ);
  code.op(Op.I32_OR);
  // All 8 bytes of the descriptor must lie in the table.
  code.get(T1);
  code.i64(7);
  code.op(Op.I64_ADD);
  code.i32(0);
  code.access(Op.I64_LOAD32_U, Memory.PRIVATE, State.GDTR + 8);
  code.op(Op.I64_GT_U);
  code.op(Op.I32_OR);
  stepIf(e);
}

/**
 * Loads the descriptor of the selector in T1 as T1, and has IRET stepped over where loading it would
 * change the segment register, or fail (layout: SDM 3A §3.4.5).
 */
function checkDescriptor(e: Emitter, seg: number, { mask, value }: typeof CODE): void {
  const { code } = e;
  const at = State.SEGMENTS + seg * 16;
  const isNot = (push: () => void, from: Op, field: number) => {
    push();
    code.i32(0);
    code.access(from, Memory.PRIVATE, at + field);
    code.op(Op.I64_NE);
  };
  const bits = (shift: number, some: number) => {
    code.get(T1);
    code.i64(shift);
    code.op(Op.I64_SHR_U);
    code.i64(some, 0);
    code.op(Op.I64_AND);
  };
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, State.GDTR);
  code.get(T1);
  code.op(Op.I64_ADD);
  code.set(ADDRESS);
  locate(e, 8, false);
  code.access(Op.I64_LOAD, Memory.RAM);
  code.set(T1);
  isNot(() => bits(40, 0xf0ff), Op.I64_LOAD16_U, SegField.ATTRIBUTES);
  bits(40, mask);
  code.i64(value);
  code.op(Op.I64_NE);
  code.op(Op.I32_OR);
  isNot(
    () => {
      bits(16, 0xff_ffff);
      bits(32, 0xff00_0000 | 0);
      code.op(Op.I64_OR);
    },
    Op.I64_LOAD,
    SegField.BASE,
  );
  code.op(Op.I32_OR);
  isNot(() => pushLimit(e), Op.I64_LOAD32_U, SegField.LIMIT);
  code.op(Op.I32_OR);
  stepIf(e);
}

/** Pushes the limit in bytes of the descriptor in T1. */
function pushLimit({ code }: Emitter): void {
  code.get(T1);
  code.i64(0xffff);
  code.op(Op.I64_AND);
  code.get(T1);
  code.i64(32);
  code.op(Op.I64_SHR_U);
  code.i64(0xf_0000);
  code.op(Op.I64_AND);
  code.op(Op.I64_OR);
  code.tee(T2);
  code.i64(12);
  code.op(Op.I64_SHL);
  code.i64(0xfff);
  code.op(Op.I64_OR);
  code.get(T2);
  code.get(T1);
  code.i64(0, 1 << 23); // G
  code.op(Op.I64_AND);
  code.op(Op.I64_EQZ);
  code.op(Op.I32_EQZ);
  code.op(Op.SELECT);
}

/** The stack segment stays as it is, or is no segment, as level 0 may have it (SDM 3A §5.4.1.1). */
function checkStack(e: Emitter): void {
  const { code } = e;
  const at = State.SEGMENTS + Seg.SS * 16;
  pushField(e, FRAME.SS, Op.I64_LOAD16_U);
  code.op(Op.I64_EQZ);
  e.open(Op.IF);
  // It is none already: attributes of 0 say so, and what is derived from them stays.
  code.i32(0);
  code.access(Op.I64_LOAD16_U, Memory.PRIVATE, at + SegField.ATTRIBUTES);
  code.op(Op.I64_EQZ);
  code.op(Op.I32_EQZ);
  stepIf(e);
  for (const half of [SegField.BASE, SegField.LIMIT]) {
    code.i32(0);
    code.i64(0);
    code.access(Op.I64_STORE, Memory.PRIVATE, at + half);
  }
  e.else();
  checkSelector(e, Seg.SS, FRAME.SS);
  checkDescriptor(e, Seg.SS, STACK);
  e.end();
}

/**
 * IRET from level 0 to level 0 by the same segments, their descriptors still the same: what is behind
 * exceptions in a kernel, and what Linux makes the processor fetch anew with after it has patched code.
 * That one returns to the instruction behind it, and control just goes on there.
 */
function iret(e: Emitter): void {
  const { code } = e;
  pushCpl(e);
  pushBits(e, Jit.NMI_MASKED, -1);
  code.op(Op.I32_OR);
  pushBits(e, State.RFLAGS, Flag.NT);
  code.op(Op.I32_OR);
  // Descriptors are read with SMAP.
  code.get(Local.TLB);
  code.i32(TlbSet.SUPERVISOR_READ * 4);
  code.op(Op.I32_NE);
  code.op(Op.I32_OR);
  stepIf(e);
  e.getReg(Reg.RSP);
  code.set(ADDRESS);
  locate(e, FRAME.BYTES, false);
  code.set(RAM);
  pushField(e, FRAME.RFLAGS);
  code.op(Op.I32_WRAP_I64);
  code.set(I0);
  checkSelector(e, Seg.CS, FRAME.CS);
  checkDescriptor(e, Seg.CS, CODE);
  pushField(e, FRAME.RIP);
  code.set(T0);
  checkCanonical(e, T0);
  pushChanged(e, MODES);
  stepIf(e);
  pushBits(e, State.RFLAGS, Flag.IF);
  code.op(Op.I32_EQZ);
  code.get(I0);
  code.i32(Flag.IF);
  code.op(Op.I32_AND);
  code.i32(0);
  code.op(Op.I32_NE);
  code.op(Op.I32_AND);
  e.open(Op.IF);
  code.call(Imported.WAITS);
  stepIf(e);
  e.end();
  checkStack(e);
  pushField(e, FRAME.RSP);
  e.setReg(Reg.RSP);
  takeFlags(e, PLAIN | Flag.IOPL | Flag.VIF | Flag.VIP);
  code.get(T0);
  e.pushAddress(e.insn.next);
  code.op(Op.I64_NE);
  e.open(Op.IF);
  e.refund();
  code.get(T0);
  code.set(RIP);
  e.exitToRip();
  e.end();
}

/** Operands of the natural size only. */
function natural(insn: Insn, is64: boolean): boolean {
  return insn.opSize === (is64 ? 8 : 4);
}

/** @see Emissions */
export const WHOLE_FLAGS: Emissions = {
  popf: { emit: popf, sets: "all", bails: true, endless: true, when: natural },
  iret: {
    emit: iret,
    sets: "all",
    bails: true,
    endless: true,
    when: (insn, is64) => is64 && insn.opSize === 8,
  },
};
