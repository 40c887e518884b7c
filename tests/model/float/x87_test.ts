/** The x87 library gives what the host's CPU gives: values, flags, C0 to C3. */

import * as float from "../../../src/cpu/float/mod.ts";
import { CW_TO_ZERO, EXCEPTIONS, pushed, result } from "../../../src/cpu/float/mod.ts";
import { testWith } from "../../support/requirement.ts";
import { compareWithCpu, type Trial, words } from "./compare.ts";
import {
  randomControlWord,
  randomF32,
  randomF64,
  randomF80,
  randomInteger,
  relate,
} from "./operands.ts";
import { type Answer, nativeFloat, Oracle, type Question } from "./oracle.ts";

/** Condition codes in the status word. */
const C0 = 0x100;
const C1 = 0x200;
const C2 = 0x400;
const C3 = 0x4000;

type Fill = Trial["fill"];

const fillF80: Fill = (random, q) => {
  q.control = randomControlWord(random);
  randomF80(random, q.a);
  randomF80(random, q.b);
  relate(random, q.a, q.b, 2, 0, 0x7fff);
};
/** a is an f80 in ST(0), b a memory operand. */
const fillMemory32: Fill = (random, q) => {
  fillF80(random, q);
  randomF32(random, q.b);
};
const fillMemory64: Fill = (random, q) => {
  fillF80(random, q);
  randomF64(random, q.b);
};
const fillF32: Fill = (random, q) => {
  q.control = randomControlWord(random);
  randomF32(random, q.a);
};
const fillF64: Fill = (random, q) => {
  q.control = randomControlWord(random);
  randomF64(random, q.a);
};
const fillInteger: Fill = (random, q) => {
  q.control = randomControlWord(random);
  randomInteger(random, q.a);
};
const fillBcd: Fill = (random, q) => {
  fillInteger(random, q);
  for (let i = 0; i < 3; i++) q.a[i] = bcdWord(random.u32());
  q.a[2] = q.a[2] & 0xff | random.below(2) << 15;
};
/** Exponents around those of integers. */
const fillNearInteger: Fill = (random, q) => {
  fillF80(random, q);
  if (random.oneIn(4)) return;
  q.a[2] = q.a[2] & 0x8000 | 0x3fff - 3 + random.below(70);
  q.a[1] |= 0x8000_0000;
};
/** FSCALE by what does and does not fit. */
const fillScale: Fill = (random, q) => {
  fillF80(random, q);
  if (random.oneIn(4)) return;
  q.b[2] = q.b[2] & 0x8000 | 0x3fff - 3 + random.below(22);
  q.b[1] |= 0x8000_0000;
};
/** Exponents at most 130 apart. */
const fillRemainder: Fill = (random, q) => {
  fillF80(random, q);
  if (random.oneIn(4)) return;
  const exp = (q.b[2] & 0x7fff) + random.below(133) - 2;
  q.a[2] = q.a[2] & 0x8000 | Math.max(0, Math.min(0x7ffe, exp));
  if (exp > 0) q.a[1] |= 0x8000_0000;
};

function bcdWord(bits: number): number {
  return bits & 0x77777777;
}

interface Shape {
  /** Words of the value in `result` and in the answer; 0 for none. */
  count: number;
  /** Condition codes that are defined. */
  codes: number;
  /** Whether a second value is pushed. */
  pushes?: boolean;
}

const REGISTER: Shape = { count: 3, codes: C1 };

function trial(name: string, fill: Fill, shape: Shape, run: (q: Question) => unknown): Trial {
  return {
    name,
    fill,
    ours(q) {
      const outcome = run(q);
      const codes = typeof outcome === "number" ? outcome : result.roundedUp === 1 ? C1 : 0;
      const first = shape.pushes ? pushed : result;
      let text = `flags ${result.flags.toString(16)} codes ${(codes & shape.codes).toString(16)}`;
      if (result.stored === 1 && shape.count > 0) text += ` ${valueOf(first, shape.count)}`;
      if (result.stored === 1 && shape.pushes) text += ` ${valueOf(result, 3)}`;
      return text;
    },
    theirs(answer, q) {
      const codes = answer.status & shape.codes;
      let text = `flags ${(answer.status & EXCEPTIONS).toString(16)} codes ${codes.toString(16)}`;
      const isStored = storedByCpu(answer, q, name);
      if (isStored && shape.count > 0) text += ` ${cut(answer.r, shape.count)}`;
      if (isStored && shape.pushes) text += ` ${cut(answer.s, 3)}`;
      return text;
    },
  };
}

function valueOf(value: float.F80, count: number): string {
  return cut([value.lo, value.hi, value.signExp], count);
}

function cut(value: ArrayLike<number>, count: number): string {
  if (count === 0.5) return words([value[0] & 0xffff], 1);
  if (count === 3) return words([value[0], value[1], value[2] & 0xffff], 3);
  return words(value, count);
}

/** Whether the destination was written, from the unmasked exceptions that were raised. */
function storedByCpu(answer: Answer, q: Question, name: string): boolean {
  const unmasked = answer.status & ~q.control & EXCEPTIONS;
  const isToMemory = name.startsWith("fst") || name.startsWith("fi") || name === "fbstp";
  // A denormal is loaded all the same.
  if (name === "fld32" || name === "fld64") return (unmasked & float.IE) === 0;
  return (unmasked & (isToMemory ? EXCEPTIONS & ~float.PE : float.BEFORE)) === 0;
}

type Six = [number, number, number, number, number, number];
const ab = (q: Question): Six => [q.a[0], q.a[1], q.a[2], q.b[0], q.b[1], q.b[2]];
const a = (q: Question): [number, number, number] => [q.a[0], q.a[1], q.a[2]];

const arithmetic: Trial[] = [
  trial("fadd", fillF80, REGISTER, (q) => float.addF80(...ab(q), q.control)),
  trial("fsub", fillF80, REGISTER, (q) => float.subF80(...ab(q), q.control)),
  trial("fmul", fillF80, REGISTER, (q) => float.mulF80(...ab(q), q.control)),
  trial("fdiv", fillF80, REGISTER, (q) => float.divF80(...ab(q), q.control)),
  trial("fsqrt", fillF80, REGISTER, (q) => float.sqrtF80(...a(q), q.control)),
  trial("frndint", fillNearInteger, REGISTER, (q) => float.roundToIntF80(...a(q), q.control)),
  trial("fscale", fillScale, REGISTER, (q) => float.scaleF80(...ab(q), q.control)),
  trial("fxtract", fillF80, { count: 3, codes: 0, pushes: true }, (q) => {
    float.extractF80(...a(q), q.control);
  }),
  ...["fprem", "fprem1"].map((name) =>
    trial(name, fillRemainder, { count: 3, codes: C0 | C1 | C2 | C3 }, (q) => {
      if (name === "fprem") float.remainderF80(...ab(q), q.control);
      else float.remainderNearestF80(...ab(q), q.control);
      const { quotient, incomplete } = result;
      return (quotient & 4 ? C0 : 0) | (quotient & 2 ? C3 : 0) | (quotient & 1 ? C1 : 0) |
        (incomplete ? C2 : 0);
    })
  ),
];

function withOperand32(run: (...args: [...Six, number, number]) => void): (q: Question) => void {
  return (q) => {
    float.widenF32(q.b[0]);
    run(...a(q), result.lo, result.hi, result.signExp, q.control, result.flags);
  };
}

function withOperand64(run: (...args: [...Six, number, number]) => void): (q: Question) => void {
  return (q) => {
    float.widenF64(q.b[0], q.b[1]);
    run(...a(q), result.lo, result.hi, result.signExp, q.control, result.flags);
  };
}

const memoryOperands: Trial[] = [
  trial("fadd32", fillMemory32, REGISTER, withOperand32(float.addF80)),
  trial("fmul32", fillMemory32, REGISTER, withOperand32(float.mulF80)),
  trial("fadd64", fillMemory64, REGISTER, withOperand64(float.addF80)),
  trial("fdiv64", fillMemory64, REGISTER, withOperand64(float.divF80)),
  trial("fdivr64", fillMemory64, REGISTER, (q) => {
    float.widenF64(q.b[0], q.b[1]);
    float.divF80(result.lo, result.hi, result.signExp, ...a(q), q.control, result.flags);
  }),
];

const loads: Trial[] = [
  trial("fld32", fillF32, REGISTER, (q) => float.loadF32(q.a[0], q.control)),
  trial("fld64", fillF64, REGISTER, (q) => float.loadF64(q.a[0], q.a[1], q.control)),
  trial("fild16", fillInteger, REGISTER, (q) => float.int32ToF80(q.a[0] << 16 >> 16)),
  trial("fild32", fillInteger, REGISTER, (q) => float.int32ToF80(q.a[0])),
  trial("fild64", fillInteger, REGISTER, (q) => float.int64ToF80(q.a[0], q.a[1])),
  trial("fbld", fillBcd, REGISTER, (q) => float.bcdToF80(q.a[0], q.a[1], q.a[2] & 0xffff)),
  ...["fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz"].map((name, index) =>
    trial(name, fillInteger, REGISTER, (q) => float.constantF80(index, q.control))
  ),
];

const WORD: Shape = { count: 0.5, codes: C1 };
const DWORD: Shape = { count: 1, codes: C1 };
const QWORD: Shape = { count: 2, codes: C1 };

const stores: Trial[] = [
  trial("fst32", fillF80, DWORD, (q) => float.storeF32(...a(q), q.control)),
  trial("fst64", fillF80, QWORD, (q) => float.storeF64(...a(q), q.control)),
  trial("fist16", fillNearInteger, WORD, (q) => float.f80ToInt16(...a(q), q.control)),
  trial("fist32", fillNearInteger, DWORD, (q) => float.f80ToInt32(...a(q), q.control)),
  trial("fist64", fillNearInteger, QWORD, (q) => float.f80ToInt64(...a(q), q.control)),
  trial("fisttp16", fillNearInteger, WORD, (q) => {
    float.f80ToInt16(...a(q), q.control | CW_TO_ZERO);
  }),
  trial("fisttp32", fillNearInteger, DWORD, (q) => {
    float.f80ToInt32(...a(q), q.control | CW_TO_ZERO);
  }),
  trial("fisttp64", fillNearInteger, QWORD, (q) => {
    float.f80ToInt64(...a(q), q.control | CW_TO_ZERO);
  }),
  trial("fbstp", fillNearInteger, REGISTER, (q) => float.f80ToBcd(...a(q), q.control)),
];

/** C3, C2 and C0 by outcome (SDM 2 FCOM). */
const CODES = new Map([
  [float.GREATER, 0],
  [float.LESS, C0],
  [float.EQUAL, C3],
  [float.UNORDERED, C3 | C2 | C0],
]);

const COMPARISON: Shape = { count: 0, codes: C0 | C1 | C2 | C3 };

const comparisons: Trial[] = [
  trial("fcom", fillF80, COMPARISON, (q) => {
    return CODES.get(float.compareF80(...ab(q), false, q.control));
  }),
  trial("fucom", fillF80, COMPARISON, (q) => {
    return CODES.get(float.compareF80(...ab(q), true, q.control));
  }),
  trial("fcom64", fillMemory64, COMPARISON, (q) => {
    float.widenF64(q.b[0], q.b[1]);
    const { lo, hi, signExp, flags } = result;
    return CODES.get(float.compareF80(...a(q), lo, hi, signExp, false, q.control, flags));
  }),
  trial("ftst", fillF80, COMPARISON, (q) => {
    return CODES.get(float.compareF80(...a(q), 0, 0, 0, false, q.control));
  }),
  trial("fxam", fillF80, COMPARISON, (q) => {
    result.flags = 0;
    return float.classifyF80(...a(q)) | (q.a[2] & 0x8000 ? C1 : 0);
  }),
  ...["fcomi", "fucomi"].map((name): Trial => ({
    name,
    fill: fillF80,
    ours(q) {
      const outcome = float.compareF80(...ab(q), name === "fucomi", q.control);
      const rflags = new Map([[float.GREATER, 0], [float.LESS, 1], [float.EQUAL, 0x40]]);
      return `${rflags.get(outcome) ?? 0x45} flags ${result.flags}`;
    },
    theirs(answer) {
      return `${answer.rflags & 0x45} flags ${answer.status & EXCEPTIONS}`;
    },
  })),
];

testWith(nativeFloat, "x87 arithmetic, loads, stores and comparisons are the CPU's", async (t) => {
  await using oracle = await Oracle.build();
  for (const trial of [...arithmetic, ...memoryOperands, ...loads, ...stores, ...comparisons]) {
    await t.step(trial.name, () => compareWithCpu(oracle, trial));
  }
});
