/**
 * The transcendental instructions give what the host's CPU gives, within one unit in the last
 * place; special cases, flags and C2 exactly.
 */

import * as float from "../../../src/cpu/float/mod.ts";
import { EXCEPTIONS, type F80, pushed, result } from "../../../src/cpu/float/mod.ts";
import { testWith } from "../../support/requirement.ts";
import { compareWithCpu, type Trial, words } from "./compare.ts";
import { randomControlWord, randomF80 } from "./operands.ts";
import { nativeFloat, Oracle, type Question } from "./oracle.ts";

const C2 = 0x400;
/** TOP after one push on an empty stack; FSINCOS and FPTAN push another value. */
const TOP_OF_ONE = 7;

type Fill = Trial["fill"];

/** Operands whose exponents are around 0 most of the time. */
const fill: Fill = (random, q) => {
  q.control = randomControlWord(random);
  for (const operand of [q.a, q.b]) {
    randomF80(random, operand);
    if (random.oneIn(3)) continue;
    operand[1] |= 0x8000_0000;
    operand[2] = operand[2] & 0x8000 | 0x3fff - random.below(random.oneIn(3) ? 80 : 8) + 2;
  }
};
/** Angles: larger, and close to multiples of pi / 4. */
const fillAngle: Fill = (random, q) => {
  fill(random, q);
  if (random.oneIn(3)) q.a[2] = q.a[2] & 0x8000 | 0x3fff + random.below(66);
  if (!random.oneIn(4)) return;
  const multiple = 0xc90f_daa2_2168_c235n * BigInt(1 + random.below(16));
  let exp = 0x3ffe;
  let value = multiple;
  for (; value >= 1n << 64n; value >>= 1n) exp++;
  q.a.set([Number(value & 0xffff_ffffn), Number(value >> 32n), exp, 0]);
  if (random.oneIn(2)) q.a[0] ^= random.below(16);
};

/** Running the library, and which values it gives: the last pushed first. */
type Run = (q: Question) => readonly F80[];

function trial(name: string, fill: Fill, run: Run): Trial {
  return {
    name,
    fill,
    ours(q) {
      const values = run(q);
      const isKept = result.stored === 0 || result.incomplete === 1;
      const texts = isKept ? ["kept"] : values.map((v) => words([v.lo, v.hi, v.signExp], 3));
      return text(result.flags, result.incomplete === 1, texts);
    },
    theirs(answer, q) {
      const isIncomplete = (answer.status & C2) !== 0 && name !== "f2xm1";
      const isKept = isIncomplete ||
        (answer.status & ~q.control & float.BEFORE) !== 0;
      const count = (answer.status >> 11 & 7) === TOP_OF_ONE ? 1 : 2;
      const values = [answer.r, answer.s].slice(0, count);
      const texts = values.map((v) => words([v[0], v[1], v[2] & 0xffff], 3));
      return text(answer.status & EXCEPTIONS, isIncomplete, isKept ? ["kept"] : texts);
    },
    isClose,
  };
}

function text(flags: number, isIncomplete: boolean, values: readonly string[]): string {
  return [`flags ${flags.toString(16)}${isIncomplete ? " C2" : ""}`, ...values].join(" | ");
}

function isClose(ours: string, theirs: string): boolean {
  const [ourFlags, ...ourValues] = ours.split(" | ");
  const [theirFlags, ...theirValues] = theirs.split(" | ");
  return ourFlags === theirFlags && ourValues.length === theirValues.length &&
    ourValues.every((value, i) => distance(value, theirValues[i]) <= 1n);
}

/** How many representable numbers lie between two, of one sign. */
function distance(a: string, b: string): bigint {
  const difference = order(a) - order(b);
  return difference < 0n ? -difference : difference;
}

/** The place of a number among those of its sign. */
function order(value: string): bigint {
  const bits = BigInt("0x" + value.replaceAll(" ", ""));
  return (bits >> 64n) * (1n << 63n) + (bits & 0x7fff_ffff_ffff_ffffn);
}

const a = (q: Question): [number, number, number] => [q.a[0], q.a[1], q.a[2]];
/** y = ST(1), then x = ST(0). */
const yx = (q: Question): [number, number, number, number, number, number] => [
  q.b[0],
  q.b[1],
  q.b[2],
  ...a(q),
];
const ONE: F80 = { lo: 0, hi: 0x8000_0000, signExp: 0x3fff };

const trials: Trial[] = [
  trial("fsin", fillAngle, (q) => {
    float.sinF80(...a(q), q.control);
    return [result];
  }),
  trial("fcos", fillAngle, (q) => {
    float.cosF80(...a(q), q.control);
    return [result];
  }),
  trial("fsincos", fillAngle, (q) => {
    float.sinCosF80(...a(q), q.control);
    return [pushed, result];
  }),
  trial("fptan", fillAngle, (q) => {
    float.tanF80(...a(q), q.control);
    const isNan = (result.signExp & 0x7fff) === 0x7fff;
    return [isNan ? result : ONE, result];
  }),
  trial("f2xm1", fill, (q) => {
    float.exp2m1F80(...a(q), q.control);
    return [result];
  }),
  trial("fpatan", fill, (q) => {
    float.atanF80(...yx(q), q.control);
    return [result];
  }),
  trial("fyl2x", fill, (q) => {
    float.yLog2xF80(...yx(q), q.control);
    return [result];
  }),
  trial("fyl2xp1", fill, (q) => {
    float.yLog2xp1F80(...yx(q), q.control);
    return [result];
  }),
];

testWith(nativeFloat, "transcendental instructions agree with the CPU's to one unit", async (t) => {
  await using oracle = await Oracle.build();
  for (const trial of trials) await t.step(trial.name, () => compareWithCpu(oracle, trial));
});
