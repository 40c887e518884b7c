/** Moves of XMM registers and their lanes: see `isa/simd/moves.ts` and `lanes.ts`. MXCSR's, too. */

import type { Insn } from "../../insn.ts";
import { MXCSR_MASK } from "../../xsave_area.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { MXCSR } from "./float.ts";
import * as vector from "./vector.ts";

const { getXmm, locateSource, pushInteger, pushLowSource, pushSource, pushZeros } = vector;
const { setXmm, sse, writeVector } = vector;
const { T0 } = Local;

/** Bytes of the halves of two vectors. */
const LOW = [0, 1, 2, 3, 4, 5, 6, 7];
const HIGH = LOW.map((i) => i + 8);
const SECOND_LOW = LOW.map((i) => i + 16);
const SECOND_HIGH = LOW.map((i) => i + 24);

/** The whole of 16 bytes. */
function move(e: Emitter, anywhere: boolean): void {
  writeVector(e, anywhere, () => pushSource(e, anywhere));
}

/** Writes the lane of `width` bytes at `lane` to memory. */
function storeLane(e: Emitter, width: number, lane: number): void {
  e.checkWrite(width);
  e.code.get(Local.RAM);
  getXmm(e, e.insn.src);
  e.code.simdLaneAccess(width === 4 ? Simd.STORE32_LANE : Simd.STORE64_LANE, Memory.RAM, lane);
}

/** MOVSS and MOVSD: between registers the rest stays, from memory it becomes 0. */
function moveScalar(e: Emitter, width: number): void {
  const { code, insn } = e;
  if (insn.dst < 0) return storeLane(e, width, 0);
  if (insn.isMem) pushLowSource(e, width);
  else {
    getXmm(e, insn.dst);
    getXmm(e, insn.src);
    if (width === 4) {
      code.simdLane(Simd.F32X4_EXTRACT, 0);
      code.simdLane(Simd.F32X4_REPLACE, 0);
    } else {
      code.simdLane(Simd.F64X2_EXTRACT, 0);
      code.simdLane(Simd.F64X2_REPLACE, 0);
    }
  }
  setXmm(e, insn.dst);
}

/** Half `to` of the first operand from half `from` of a register, or from memory. */
function moveHalf(e: Emitter, to: number, from: number): void {
  const { code, insn } = e;
  if (insn.dst < 0) return storeLane(e, 8, from);
  getXmm(e, insn.dst);
  if (insn.isMem) {
    locateSource(e, 8);
    code.access(Op.I64_LOAD, Memory.RAM);
    code.simdLane(Simd.I64X2_REPLACE, to);
  } else {
    getXmm(e, insn.src);
    const half = from === 0 ? SECOND_LOW : SECOND_HIGH;
    code.shuffle(to === 0 ? [...half, ...HIGH] : [...LOW, ...half]);
  }
  setXmm(e, insn.dst);
}

/** MOVD and MOVQ from a general register or memory. */
function fromInteger(e: Emitter): void {
  const { code, insn } = e;
  if (insn.isMem) pushLowSource(e, insn.opSize === 8 ? 8 : 4);
  else {
    pushZeros(e);
    pushInteger(e);
    code.simdLane(Simd.I64X2_REPLACE, 0);
  }
  setXmm(e, insn.dst);
}

function movd(e: Emitter): void {
  const { code, insn } = e;
  if (insn.row?.operands[0] === "Vx") return fromInteger(e);
  const width = insn.opSize === 8 ? 8 : 4;
  e.checkDestination(width);
  getXmm(e, insn.src);
  code.simdLane(Simd.I64X2_EXTRACT, 0);
  code.set(T0);
  e.writeDestination(width, T0);
}

/** MOVQ between XMM registers, or from memory: the rest becomes 0. */
function movq(e: Emitter): void {
  const { code, insn } = e;
  if (insn.dst < 0) return storeLane(e, 8, 0);
  if (insn.isMem) pushLowSource(e, 8);
  else {
    getXmm(e, insn.src);
    pushZeros(e);
    code.shuffle([...LOW, ...SECOND_LOW]);
  }
  setXmm(e, insn.dst);
}

function movddup(e: Emitter): void {
  pushLowSource(e, 8);
  e.code.simdLane(Simd.I64X2_EXTRACT, 0);
  e.code.simd(Simd.I64X2_SPLAT);
  setXmm(e, e.insn.dst);
}

/** The lanes' top bits to a general register. */
function mask(op: Simd): (e: Emitter) => void {
  return (e) => {
    getXmm(e, e.insn.src);
    e.code.simd(op);
    e.code.op(Op.I64_EXTEND_I32_U);
    e.writeRegister(e.insn.dst, 4);
  };
}

/** PEXTR: the lane of `width` bytes to memory, or zero-extended to a register. */
function extract(e: Emitter, width: number): void {
  const { code, insn } = e;
  const lane = insn.immLo & 16 / width - 1;
  if (insn.isMem) e.checkWrite(width);
  getXmm(e, insn.src);
  if (width === 8) code.simdLane(Simd.I64X2_EXTRACT, lane);
  else {
    code.simdLane(
      width === 4 ? Simd.I32X4_EXTRACT : width === 2 ? Simd.I16X8_EXTRACT_U : Simd.I8X16_EXTRACT_U,
      lane,
    );
    code.op(Op.I64_EXTEND_I32_U);
  }
  code.set(T0);
  if (insn.isMem) e.storeAt(width, T0);
  else {
    code.get(T0);
    e.writeRegister(insn.dst, Math.max(width, 4));
  }
}

/** PINSR: the lane of `width` bytes from memory or a general register. */
function insert(e: Emitter, width: number): void {
  const { code, insn } = e;
  const lane = insn.immLo & 16 / width - 1;
  getXmm(e, insn.dst);
  if (insn.isMem) e.load(width, Extend.ZERO);
  else e.readRegister(insn.src, width === 8 ? 8 : 4, Extend.ANY);
  if (width === 8) code.simdLane(Simd.I64X2_REPLACE, lane);
  else {
    code.op(Op.I32_WRAP_I64);
    code.simdLane(
      width === 4 ? Simd.I32X4_REPLACE : width === 2 ? Simd.I16X8_REPLACE : Simd.I8X16_REPLACE,
      lane,
    );
  }
  setXmm(e, insn.dst);
}

/** Bytes of a D or Q lane by REX.W. */
function wide(insn: Insn): number {
  return insn.opSize === 8 ? 8 : 4;
}

const ALIGNED = sse((e) => move(e, false));
const UNALIGNED = sse((e) => move(e, true));

/** Its reserved bits raise #GP(0) (SDM 2A LDMXCSR). What has been known of it is so no more. */
function ldmxcsr(e: Emitter): void {
  const { code } = e;
  e.readDestination(4, Extend.ZERO);
  code.op(Op.I32_WRAP_I64);
  code.tee(Local.I0);
  code.i32(~MXCSR_MASK);
  code.op(Op.I32_AND);
  e.bailIf();
  code.i32(0);
  code.get(Local.I0);
  code.access(Op.I32_STORE, Memory.PRIVATE, MXCSR);
  e.mxcsrChecked = false;
}

function stmxcsr(e: Emitter): void {
  const { code } = e;
  e.checkDestination(4);
  code.i32(0);
  code.access(Op.I64_LOAD32_U, Memory.PRIVATE, MXCSR);
  code.set(Local.T0);
  e.writeDestination(4, Local.T0);
}

/** @see Emissions */
export const VECTOR_MOVE: Emissions = {
  movaps: ALIGNED,
  movapd: ALIGNED,
  movdqa: ALIGNED,
  movntps: ALIGNED,
  movntpd: ALIGNED,
  movntdq: ALIGNED,
  movntdqa: ALIGNED,
  movups: UNALIGNED,
  movupd: UNALIGNED,
  movdqu: UNALIGNED,
  lddqu: UNALIGNED,
  movss: sse((e) => moveScalar(e, 4)),
  movsd: sse((e) => moveScalar(e, 8)),
  movlps: sse((e) => moveHalf(e, 0, 0)),
  movlpd: sse((e) => moveHalf(e, 0, 0)),
  movhlps: sse((e) => moveHalf(e, 0, 1)),
  movhps: sse((e) => moveHalf(e, 1, e.insn.dst < 0 ? 1 : 0)),
  movhpd: sse((e) => moveHalf(e, 1, e.insn.dst < 0 ? 1 : 0)),
  movlhps: sse((e) => moveHalf(e, 1, 0)),
  movddup: sse(movddup),
  movd: sse(movd),
  movq: sse(movq),
  movmskps: sse(mask(Simd.I32X4_BITMASK)),
  movmskpd: sse(mask(Simd.I64X2_BITMASK)),
  pmovmskb: sse(mask(Simd.I8X16_BITMASK)),
  pextrb: sse((e) => extract(e, 1)),
  pextrw: sse((e) => extract(e, 2)),
  pextrd: sse((e) => extract(e, wide(e.insn))),
  extractps: sse((e) => extract(e, 4)),
  pinsrb: sse((e) => insert(e, 1)),
  pinsrw: sse((e) => insert(e, 2)),
  pinsrd: sse((e) => insert(e, wide(e.insn))),
  ldmxcsr: sse(ldmxcsr),
  stmxcsr: sse(stmxcsr),
};
