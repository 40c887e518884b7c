/** Lanes in another order, from one or two operands, and made wider: see `isa/simd/shuffle.ts`. */

import { Word } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import type { Emitter } from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { getXmm, pushLowSource, pushSource, pushZeros, setXmm, sse } from "./vector.ts";

const { V0 } = Local;
/** Lanes from here on are the second operand's. */
const SECOND = 16;
/** Bits of a byte of PSHUFB that count. */
const PICK = 0x8f;

/** The bytes of `lanes` of `width` bytes each. */
function bytesOf(lanes: readonly number[], width: number): number[] {
  return lanes.flatMap((lane) => Array.from({ length: width }, (_, i) => lane * width + i));
}

/** Lanes of both operands; `lanes` counts on from the first's to the second's. */
function both(width: number, lanes: (insn: Insn) => readonly number[]): Emission {
  return sse((e) => {
    getXmm(e, e.insn.dst);
    pushSource(e);
    e.code.shuffle(bytesOf(lanes(e.insn), width));
    setXmm(e, e.insn.dst);
  });
}

/** Lanes of the second operand alone. */
function second(width: number, lanes: (insn: Insn) => readonly number[]): Emission {
  return sse((e) => {
    pushSource(e);
    e.code.tee(V0);
    e.code.get(V0);
    e.code.shuffle(bytesOf(lanes(e.insn), width));
    setXmm(e, e.insn.dst);
  });
}

/** Four numbers of two bits each. */
function picks({ immLo }: Insn): number[] {
  return [0, 2, 4, 6].map((shift) => immLo >>> shift & 3);
}

/** PUNPCK: lanes by turns, of the low or high halves. */
function unpack(width: number, high: boolean): Emission {
  const count = 16 / width;
  const lanes = Array.from({ length: count }, (_, i) => {
    return (i >> 1) + (i & 1) * count + (high ? count / 2 : 0);
  });
  return both(width, () => lanes);
}

/** Whole registers by bytes: `lanes` of the operand and zeros behind it. */
function shiftBytes(lanes: (bytes: number) => number[]): Emission {
  return sse((e) => {
    const { code, insn } = e;
    getXmm(e, insn.dst);
    pushZeros(e);
    code.shuffle(lanes(Math.min(insn.immLo & 255, 16)));
    setXmm(e, insn.dst);
  });
}

/** Bytes from the immediate on of the second operand with the first above it. */
const PALIGNR = sse((e) => {
  const { code, insn } = e;
  const by = insn.immLo & 255;
  pushSource(e); // an operand in memory may fault, whether it counts or not
  if (by < SECOND) {
    getXmm(e, insn.dst);
    code.shuffle(from(by));
  } else {
    code.op(Op.DROP);
    getXmm(e, insn.dst);
    pushZeros(e);
    code.shuffle(from(Math.min(by - SECOND, 16)));
  }
  setXmm(e, insn.dst);
});

/** The 16 numbers from `first` on. */
function from(first: number): number[] {
  return Array.from({ length: 16 }, (_, i) => first + i);
}

/** Bytes picked by number; those with the top bit set give 0, and so does SWIZZLE beyond 15. */
const PSHUFB = sse((e) => {
  const { code, insn } = e;
  getXmm(e, insn.dst);
  pushSource(e);
  code.v128(new Uint8Array(16).fill(PICK));
  code.simd(Simd.AND);
  code.simd(Simd.SWIZZLE);
  setXmm(e, insn.dst);
});

/** Lanes of the second operand where the immediate has a bit. */
function blend(width: number): Emission {
  const count = 16 / width;
  return both(width, ({ immLo }) => {
    return Array.from({ length: count }, (_, i) => i + (immLo >>> i & 1) * count);
  });
}

/** Lanes of the second operand whose top bit in XMM0 is set. */
function blendByMask(isNegative: Simd): Emission {
  return sse((e) => {
    const { code, insn } = e;
    pushSource(e);
    getXmm(e, insn.dst);
    getXmm(e, Word.XMM);
    pushZeros(e);
    code.simd(isNegative);
    code.simd(Simd.BITSELECT);
    setXmm(e, insn.dst);
  });
}

/** PMOVSX and PMOVZX: `bytes` of the second operand, its lanes made wider step by step. */
function extend(bytes: number, ...steps: Simd[]): Emission {
  return sse((e: Emitter) => {
    pushLowSource(e, bytes);
    for (const step of steps) e.code.simd(step);
    setXmm(e, e.insn.dst);
  });
}
const SIGNED = [Simd.I16X8_EXTEND_LOW_S, Simd.I32X4_EXTEND_LOW_S, Simd.I64X2_EXTEND_LOW_S];
const UNSIGNED = [Simd.I16X8_EXTEND_LOW_U, Simd.I32X4_EXTEND_LOW_U, Simd.I64X2_EXTEND_LOW_U];

/** @see Emissions */
export const VECTOR_SHUFFLE: Emissions = {
  pshufd: second(4, picks),
  pshuflw: second(2, (insn) => [...picks(insn), 4, 5, 6, 7]),
  pshufhw: second(2, (insn) => [0, 1, 2, 3, ...picks(insn).map((lane) => lane + 4)]),
  movsldup: second(4, () => [0, 0, 2, 2]),
  movshdup: second(4, () => [1, 1, 3, 3]),
  shufps: both(4, (insn) => picks(insn).map((lane, i) => lane + (i < 2 ? 0 : 4))),
  shufpd: both(8, ({ immLo }) => [immLo & 1, 2 + (immLo >>> 1 & 1)]),
  pshufb: PSHUFB,
  palignr: PALIGNR,
  pslldq: shiftBytes((by) => from(0).map((i) => i < by ? SECOND : i - by)),
  psrldq: shiftBytes(from),

  punpcklbw: unpack(1, false),
  punpckhbw: unpack(1, true),
  punpcklwd: unpack(2, false),
  punpckhwd: unpack(2, true),
  punpckldq: unpack(4, false),
  punpckhdq: unpack(4, true),
  punpcklqdq: unpack(8, false),
  punpckhqdq: unpack(8, true),
  unpcklps: unpack(4, false),
  unpckhps: unpack(4, true),
  unpcklpd: unpack(8, false),
  unpckhpd: unpack(8, true),

  blendps: blend(4),
  blendpd: blend(8),
  pblendw: blend(2),
  pblendvb: blendByMask(Simd.I8X16_LT_S),
  blendvps: blendByMask(Simd.I32X4_LT_S),
  blendvpd: blendByMask(Simd.I64X2_LT_S),

  pmovsxbw: extend(8, ...SIGNED.slice(0, 1)),
  pmovsxbd: extend(4, ...SIGNED.slice(0, 2)),
  pmovsxbq: extend(2, ...SIGNED),
  pmovsxwd: extend(8, ...SIGNED.slice(1, 2)),
  pmovsxwq: extend(4, ...SIGNED.slice(1)),
  pmovsxdq: extend(8, ...SIGNED.slice(2)),
  pmovzxbw: extend(8, ...UNSIGNED.slice(0, 1)),
  pmovzxbd: extend(4, ...UNSIGNED.slice(0, 2)),
  pmovzxbq: extend(2, ...UNSIGNED),
  pmovzxwd: extend(8, ...UNSIGNED.slice(1, 2)),
  pmovzxwq: extend(4, ...UNSIGNED.slice(1)),
  pmovzxdq: extend(8, ...UNSIGNED.slice(2)),
};
