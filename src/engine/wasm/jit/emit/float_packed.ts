/** Arithmetic and comparisons of vectors of doubles and singles: see `isa/simd/float_arithmetic.ts`. */

import type { Emitter } from "../emitter.ts";
import { DOUBLE_RANGE, FloatKind, SINGLE_RANGE } from "../float_rules.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { checkExact, checkMxcsr, pushLongProduct } from "./float.ts";
import { getXmm, pushSource, pushZeros, setXmm, sse } from "./vector.ts";

const { V0, V1 } = Local;

/** WebAssembly's instructions for one format. */
interface Format {
  readonly single: boolean;
  readonly abs: Simd;
  readonly neg: Simd;
  readonly add: Simd;
  readonly sub: Simd;
  readonly mul: Simd;
  readonly eq: Simd;
  readonly ne: Simd;
  readonly lt: Simd;
  readonly gt: Simd;
  readonly le: Simd;
  readonly ge: Simd;
  readonly smaller: Simd;
  /** All lanes of a mask are ones. */
  readonly all: Simd;
  /** The smallest normal number and the largest one, in all lanes. */
  readonly least: Uint8Array;
  readonly most: Uint8Array;
}

const DOUBLE: Format = {
  single: false,
  abs: Simd.F64X2_ABS,
  neg: Simd.F64X2_NEG,
  add: Simd.F64X2_ADD,
  sub: Simd.F64X2_SUB,
  mul: Simd.F64X2_MUL,
  eq: Simd.F64X2_EQ,
  ne: Simd.F64X2_NE,
  lt: Simd.F64X2_LT,
  gt: Simd.F64X2_GT,
  le: Simd.F64X2_LE,
  ge: Simd.F64X2_GE,
  smaller: Simd.F64X2_PMIN,
  all: Simd.I64X2_ALL_TRUE,
  least: new Uint8Array(new Float64Array(2).fill(DOUBLE_RANGE[0]).buffer),
  most: new Uint8Array(new Float64Array(2).fill(DOUBLE_RANGE[1]).buffer),
};
const SINGLE: Format = {
  single: true,
  abs: Simd.F32X4_ABS,
  neg: Simd.F32X4_NEG,
  add: Simd.F32X4_ADD,
  sub: Simd.F32X4_SUB,
  mul: Simd.F32X4_MUL,
  eq: Simd.F32X4_EQ,
  ne: Simd.F32X4_NE,
  lt: Simd.F32X4_LT,
  gt: Simd.F32X4_GT,
  le: Simd.F32X4_LE,
  ge: Simd.F32X4_GE,
  smaller: Simd.F32X4_PMIN,
  all: Simd.I32X4_ALL_TRUE,
  least: new Uint8Array(new Float32Array(4).fill(SINGLE_RANGE[0]).buffer),
  most: new Uint8Array(new Float32Array(4).fill(SINGLE_RANGE[1]).buffer),
};

/** Pushes a vector. */
type Push = () => void;

/** An instruction under way: its operands, of which the second is in V0, and the result in V1. */
class Packed {
  readonly e: Emitter;
  readonly format: Format;

  constructor(e: Emitter, format: Format) {
    this.e = e;
    this.format = format;
  }

  readonly x: Push = () => getXmm(this.e, this.e.insn.dst);
  readonly y: Push = () => this.e.code.get(V0);
  readonly result: Push = () => this.e.code.get(V1);
  readonly zeros: Push = () => pushZeros(this.e);
  readonly least: Push = () => this.e.code.v128(this.format.least);
  readonly most: Push = () => this.e.code.v128(this.format.most);

  /** Pushes what `op` makes of these. */
  apply(op: Simd, ...operands: readonly Push[]): void {
    for (const push of operands) push();
    this.e.code.simd(op);
  }

  /** What pushes the same. */
  of(op: Simd, ...operands: readonly Push[]): Push {
    return () => this.apply(op, ...operands);
  }

  /** Masks of the lanes that are plain: normal, or 0. */
  plain(of: Push): Push {
    const { eq } = this.format;
    return this.of(Simd.OR, this.normal(of), this.of(eq, of, this.zeros));
  }

  normal(of: Push): Push {
    const { abs, ge, le } = this.format;
    const size = this.of(abs, of);
    return this.of(Simd.AND, this.of(ge, size, this.least), this.of(le, size, this.most));
  }

  /** Results that certainly have not been below the normal numbers. */
  large(of: Push): Push {
    const { abs, gt, le } = this.format;
    const size = this.of(abs, of);
    return this.of(Simd.AND, this.of(gt, size, this.least), this.of(le, size, this.most));
  }

  /** Masks of the lanes whose operation raises nothing but PE: see `FloatKind`. */
  allowed(kind: FloatKind): Push {
    const { abs, eq, ne, le, ge } = this.format;
    const { x, y, result, zeros } = this;
    const operands = this.of(Simd.AND, this.plain(x), this.plain(y));
    const and = (more: Push) => this.of(Simd.AND, operands, more);
    switch (kind) {
      case FloatKind.SUM:
        return and(this.of(le, this.of(abs, result), this.most));
      case FloatKind.PRODUCT: {
        const none = this.of(Simd.OR, this.of(eq, x, zeros), this.of(eq, y, zeros));
        return and(this.of(Simd.OR, none, this.large(result)));
      }
      case FloatKind.QUOTIENT: {
        const none = this.of(Simd.AND, this.of(eq, x, zeros), this.of(ne, y, zeros));
        return and(this.of(Simd.OR, none, this.large(result)));
      }
      case FloatKind.ROOT:
        return this.of(Simd.AND, this.plain(y), this.of(ge, y, zeros));
      default:
        return operands;
    }
  }

  /** Masks that are ones only where `allowed` has them, and quickly made. */
  usual(kind: FloatKind): Push {
    const { abs, gt, le, smaller } = this.format;
    const { x, y, result } = this;
    if (kind === FloatKind.ROOT) {
      return this.of(Simd.AND, this.normal(y), this.of(gt, y, this.least));
    }
    if (kind === FloatKind.PLAIN) return this.of(Simd.AND, this.normal(x), this.normal(y));
    // Where the result is finite, so are the operands. A NaN in it stays.
    const size = this.of(abs, result);
    const operands = this.of(smaller, this.of(abs, x), this.of(abs, y));
    const least = this.of(gt, this.of(smaller, size, operands), this.least);
    return this.of(Simd.AND, least, this.of(le, size, this.most));
  }

  /** Leaves the instruction to the interpreter when a flag other than PE may come of it. */
  checkFlags(kind: FloatKind): void {
    const { e, format } = this;
    this.apply(format.all, this.usual(kind));
    e.code.op(Op.I32_EQZ);
    e.open(Op.IF);
    this.apply(format.all, this.allowed(kind));
    e.code.op(Op.I32_EQZ);
    e.bailIf();
    e.end();
  }

  /** Pushes whether the sum of the operands is not the result: see `float_scalar.ts`. */
  sumError(): void {
    const { add, sub, ne } = this.format;
    const { x, y, result } = this;
    const part = this.of(sub, result, x);
    const first = this.of(sub, x, this.of(sub, result, part));
    const error = this.of(add, first, this.of(sub, y, part));
    this.apply(Simd.ANY_TRUE, this.of(ne, error, this.zeros));
  }

  /** Pushes whether the product of two vectors of doubles may not be one. */
  longProduct(a: Push, b: Push): void {
    const { code } = this.e;
    for (const lane of [0, 1]) {
      const bits = (of: Push) => () => {
        of();
        code.simdLane(Simd.I64X2_EXTRACT, lane);
      };
      pushLongProduct(this.e, bits(a), bits(b));
    }
    code.op(Op.I32_OR);
  }

  /** Pushes whether the product of two vectors is not exactly a third. */
  productError(a: Push, b: Push, product: Push): void {
    const { e, format } = this;
    const { code } = e;
    if (!format.single) {
      this.apply(Simd.ANY_TRUE, this.of(format.ne, this.of(format.mul, a, b), product));
      this.longProduct(a, b);
      return code.op(Op.I32_OR);
    }
    // The product of two singles is a double.
    const wide = (of: Push, half: number) => () => {
      of();
      if (half > 0) {
        of();
        code.shuffle(UPPER);
      }
      code.simd(Simd.F64X2_PROMOTE);
    };
    for (const half of [0, 1]) {
      const exact = this.of(Simd.F64X2_MUL, wide(a, half), wide(b, half));
      this.apply(Simd.ANY_TRUE, this.of(Simd.F64X2_NE, exact, wide(product, half)));
    }
    code.op(Op.I32_OR);
  }
}
/** The upper half twice. */
const UPPER = Array.from({ length: 16 }, (_, i) => 8 + i % 8);

/** Pushes whether the result is not exact. */
type Inexact = (packed: Packed) => void;

/** An operation in one format. */
function arithmetic(format: Format, op: Simd, kind: FloatKind, inexact: Inexact): Emission {
  return sse((e) => {
    const { code, insn } = e;
    const packed = new Packed(e, format);
    checkMxcsr(e);
    pushSource(e);
    code.set(V0);
    if (kind !== FloatKind.ROOT) packed.x();
    packed.y();
    code.simd(op);
    code.set(V1);
    packed.checkFlags(kind);
    checkExact(e, () => inexact(packed));
    packed.result();
    setXmm(e, insn.dst);
  });
}

/** Of plain numbers: the first where it is the one that is asked for, else the second. */
function choice(format: Format, op: Simd): Emission {
  return sse((e) => {
    const packed = new Packed(e, format);
    pushSource(e);
    e.code.set(V0);
    packed.checkFlags(FloatKind.PLAIN);
    packed.apply(op, packed.y, packed.x);
    setXmm(e, e.insn.dst);
  });
}

/** CMPPS, CMPPD: masks by the predicate; numbers are never unordered. */
function predicate(format: Format): Emission {
  return sse((e) => {
    const { code, insn } = e;
    const packed = new Packed(e, format);
    const kind = insn.immLo & 3;
    pushSource(e);
    code.set(V0);
    packed.checkFlags(FloatKind.PLAIN);
    if (kind === 3) pushZeros(e);
    else packed.apply([format.eq, format.lt, format.le][kind], packed.x, packed.y);
    if ((insn.immLo & 4) !== 0) code.simd(Simd.NOT);
    setXmm(e, insn.dst);
  });
}

function sum(packed: Packed): void {
  packed.sumError();
}
function difference(packed: Packed): void {
  packed.apply(packed.format.neg, packed.y);
  packed.e.code.set(V0);
  packed.sumError();
}
function product(packed: Packed): void {
  const { x, y, result } = packed;
  if (packed.format.single) packed.productError(x, y, result);
  else packed.longProduct(x, y);
}
function quotient(packed: Packed): void {
  packed.productError(packed.result, packed.y, packed.x);
}
function root(packed: Packed): void {
  packed.productError(packed.result, packed.result, packed.y);
}

/** @see Emissions */
export const FLOAT_PACKED: Emissions = {
  addps: arithmetic(SINGLE, Simd.F32X4_ADD, FloatKind.SUM, sum),
  addpd: arithmetic(DOUBLE, Simd.F64X2_ADD, FloatKind.SUM, sum),
  subps: arithmetic(SINGLE, Simd.F32X4_SUB, FloatKind.SUM, difference),
  subpd: arithmetic(DOUBLE, Simd.F64X2_SUB, FloatKind.SUM, difference),
  mulps: arithmetic(SINGLE, Simd.F32X4_MUL, FloatKind.PRODUCT, product),
  mulpd: arithmetic(DOUBLE, Simd.F64X2_MUL, FloatKind.PRODUCT, product),
  divps: arithmetic(SINGLE, Simd.F32X4_DIV, FloatKind.QUOTIENT, quotient),
  divpd: arithmetic(DOUBLE, Simd.F64X2_DIV, FloatKind.QUOTIENT, quotient),
  sqrtps: arithmetic(SINGLE, Simd.F32X4_SQRT, FloatKind.ROOT, root),
  sqrtpd: arithmetic(DOUBLE, Simd.F64X2_SQRT, FloatKind.ROOT, root),
  minps: choice(SINGLE, Simd.F32X4_PMIN),
  minpd: choice(DOUBLE, Simd.F64X2_PMIN),
  maxps: choice(SINGLE, Simd.F32X4_PMAX),
  maxpd: choice(DOUBLE, Simd.F64X2_PMAX),
  cmpps: predicate(SINGLE),
  cmppd: predicate(DOUBLE),
};
