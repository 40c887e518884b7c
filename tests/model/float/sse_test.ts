/** The slow path of SSE gives what the host's CPU gives: values, MXCSR and whether it traps. */

import * as float from "../../../src/cpu/float/mod.ts";
import { result } from "../../../src/cpu/float/mod.ts";
import { testWith } from "../../support/requirement.ts";
import { compareWithCpu, type Trial, words } from "./compare.ts";
import { randomF32, randomF64, randomInteger, randomMxcsr, relate } from "./operands.ts";
import { nativeFloat, Oracle, type Question } from "./oracle.ts";

type Fill = Trial["fill"];
type Halves = readonly [lo: number, hi: number];

const fillF64: Fill = (random, q) => {
  q.control = randomMxcsr(random);
  randomF64(random, q.a);
  randomF64(random, q.b);
  relate(random, q.a, q.b, 1, 20, 0x7ff);
};
const fillF32: Fill = (random, q) => {
  q.control = randomMxcsr(random);
  randomF32(random, q.a);
  randomF32(random, q.b);
  relate(random, q.a, q.b, 0, 23, 0xff);
};
const fillInteger: Fill = (random, q) => {
  q.control = randomMxcsr(random);
  randomInteger(random, q.a);
};

/** Words of the value that a trial compares, and where the CPU leaves it. */
type Place = readonly [count: number, from: "r" | "s"];
const XMM_F64: Place = [2, "r"];
const XMM_F32: Place = [1, "r"];
const RAX: Place = [2, "s"];
const EAX: Place = [1, "s"];

function trial(name: string, fill: Fill, place: Place, run: (q: Question) => unknown): Trial {
  return {
    name,
    fill,
    ours(q) {
      run(q);
      const mxcsr = q.control | result.flags;
      const value = result.stored === 0 ? "trap" : words([result.lo, result.hi], place[0]);
      return `${value} mxcsr ${mxcsr.toString(16)}`;
    },
    theirs(answer) {
      const mxcsr = answer.status;
      const value = answer.trapped ? "trap" : words(answer[place[1]], place[0]);
      return `${value} mxcsr ${mxcsr.toString(16)}`;
    },
  };
}

const f64 = (
  q: Question,
): [...Halves, ...Halves, number] => [q.a[0], q.a[1], q.b[0], q.b[1], q.control];
const f32 = (q: Question): [number, number, number] => [q.a[0], q.b[0], q.control];

const arithmetic: Trial[] = [
  trial("addsd", fillF64, XMM_F64, (q) => float.addF64(...f64(q))),
  trial("subsd", fillF64, XMM_F64, (q) => float.subF64(...f64(q))),
  trial("mulsd", fillF64, XMM_F64, (q) => float.mulF64(...f64(q))),
  trial("divsd", fillF64, XMM_F64, (q) => float.divF64(...f64(q))),
  trial("sqrtsd", fillF64, XMM_F64, (q) => float.sqrtF64(q.a[0], q.a[1], q.control)),
  trial("minsd", fillF64, XMM_F64, (q) => float.minF64(...f64(q))),
  trial("maxsd", fillF64, XMM_F64, (q) => float.maxF64(...f64(q))),
  trial("addss", fillF32, XMM_F32, (q) => float.addF32(...f32(q))),
  trial("subss", fillF32, XMM_F32, (q) => float.subF32(...f32(q))),
  trial("mulss", fillF32, XMM_F32, (q) => float.mulF32(...f32(q))),
  trial("divss", fillF32, XMM_F32, (q) => float.divF32(...f32(q))),
  trial("sqrtss", fillF32, XMM_F32, (q) => float.sqrtF32(q.a[0], q.control)),
  trial("minss", fillF32, XMM_F32, (q) => float.minF32(...f32(q))),
  trial("maxss", fillF32, XMM_F32, (q) => float.maxF32(...f32(q))),
];

const conversions: Trial[] = [
  trial("cvtss2sd", fillF32, XMM_F64, (q) => float.f32ToF64(q.a[0], q.control)),
  trial("cvtsd2ss", fillF64, XMM_F32, (q) => float.f64ToF32(q.a[0], q.a[1], q.control)),
  trial("cvtsi2sd32", fillInteger, XMM_F64, (q) => float.int32ToF64(q.a[0])),
  trial("cvtsi2sd64", fillInteger, XMM_F64, (q) => float.int64ToF64(q.a[0], q.a[1], q.control)),
  trial("cvtsi2ss32", fillInteger, XMM_F32, (q) => float.int32ToF32(q.a[0], q.control)),
  trial("cvtsi2ss64", fillInteger, XMM_F32, (q) => float.int64ToF32(q.a[0], q.a[1], q.control)),
  ...[false, true].flatMap((truncate) => {
    const cvt = truncate ? "cvtt" : "cvt";
    return [
      trial(`${cvt}ss2si32`, fillF32, EAX, (q) => float.f32ToInt32(q.a[0], truncate, q.control)),
      trial(`${cvt}ss2si64`, fillF32, RAX, (q) => float.f32ToInt64(q.a[0], truncate, q.control)),
      trial(
        `${cvt}sd2si32`,
        fillF64,
        EAX,
        (q) => float.f64ToInt32(q.a[0], q.a[1], truncate, q.control),
      ),
      trial(
        `${cvt}sd2si64`,
        fillF64,
        RAX,
        (q) => float.f64ToInt64(q.a[0], q.a[1], truncate, q.control),
      ),
    ];
  }),
];

const roundings: Trial[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].flatMap((imm) => [
  trial(`roundsd${imm}`, fillF64, XMM_F64, (q) => float.roundF64(q.a[0], q.a[1], imm, q.control)),
  trial(`roundss${imm}`, fillF32, XMM_F32, (q) => float.roundF32(q.a[0], imm, q.control)),
]);

/** CMPSD and CMPSS give a mask; `result` has the flags alone. */
function mask(name: string, fill: Fill, count: number, run: (q: Question) => number): Trial {
  return trial(name, fill, [count, "r"], (q) => result.lo = result.hi = run(q));
}

const predicates: Trial[] = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((predicate) => [
  mask(`cmpsd${predicate}`, fillF64, 2, (q) => {
    return float.predicateF64(q.a[0], q.a[1], q.b[0], q.b[1], predicate, q.control);
  }),
  mask(`cmpss${predicate}`, fillF32, 1, (q) => {
    return float.predicateF32(q.a[0], q.b[0], predicate, q.control);
  }),
]);

/** ZF, PF and CF of RFLAGS by outcome (SDM 2 COMISD). */
const OUTCOMES = new Map([
  [float.GREATER, 0],
  [float.LESS, 1],
  [float.EQUAL, 0x40],
  [float.UNORDERED, 0x45],
]);

function relation(name: string, fill: Fill, run: (q: Question) => number): Trial {
  return {
    name,
    fill,
    ours(q) {
      const outcome = run(q);
      const rflags = result.stored === 0 ? -1 : OUTCOMES.get(outcome);
      return `rflags ${rflags} mxcsr ${(q.control | result.flags).toString(16)}`;
    },
    theirs(answer) {
      const rflags = answer.trapped ? -1 : answer.rflags & 0x45;
      return `rflags ${rflags} mxcsr ${answer.status.toString(16)}`;
    },
  };
}

const relations: Trial[] = [
  relation("comisd", fillF64, (q) => {
    return float.compareF64(q.a[0], q.a[1], q.b[0], q.b[1], false, q.control);
  }),
  relation("ucomisd", fillF64, (q) => {
    return float.compareF64(q.a[0], q.a[1], q.b[0], q.b[1], true, q.control);
  }),
  relation("comiss", fillF32, (q) => float.compareF32(q.a[0], q.b[0], false, q.control)),
  relation("ucomiss", fillF32, (q) => float.compareF32(q.a[0], q.b[0], true, q.control)),
];

testWith(nativeFloat, "SSE arithmetic, conversions and comparisons are the CPU's", async (t) => {
  await using oracle = await Oracle.build();
  for (const trial of [...arithmetic, ...conversions, ...roundings, ...predicates, ...relations]) {
    await t.step(trial.name, () => compareWithCpu(oracle, trial));
  }
});
