/**
 * RCPPS, RSQRTPS and their scalar forms (SDM 2B): approximations with a relative error of up to
 * 1.5 * 2^-12, which raise no exceptions. Which results they give within it differs from processor to
 * processor; here they have 12 bits.
 */

import type { Cpu } from "../../cpu.ts";
import { type Row, row } from "../row.ts";
import { packed32, scalar32 } from "./floating.ts";
import { SSE } from "./units.ts";

/** Exponent and sign, quiet bit, and the significand's bits beyond the first 12. */
const EXPONENT = 0x7f80_0000;
const SIGN = 0x8000_0000 | 0;
const QUIET = 0x40_0000;
const BELOW = 0xfff;
/** The indefinite NaN. */
const INDEFINITE = 0xffc0_0000 | 0;

/** An approximation rounded to 12 bits; what is tiny becomes zero. */
function approximate(cpu: Cpu, value: number, to: number): void {
  const { s, f32 } = cpu;
  f32[to] = value;
  const bits = s[to];
  s[to] = (bits & EXPONENT) === 0 ? bits & SIGN : bits + (BELOW + 1 >> 1) & ~BELOW;
}

/** RCPSS: denormals count as zeros. */
function reciprocal(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const bits = s[b];
  const exponent = bits & EXPONENT;
  if (exponent === EXPONENT) s[to] = bits << 9 === 0 ? bits & SIGN : bits | QUIET;
  else if (exponent === 0) s[to] = bits & SIGN | EXPONENT;
  else approximate(cpu, 1 / f32[b], to);
  return 0;
}

/** RSQRTSS: denormals count as zeros. */
function reciprocalRoot(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const bits = s[b];
  const exponent = bits & EXPONENT;
  if (exponent === EXPONENT && bits << 9 !== 0) s[to] = bits | QUIET;
  else if (exponent === 0) s[to] = bits & SIGN | EXPONENT;
  else if (bits < 0) s[to] = INDEFINITE;
  else if (exponent === EXPONENT) s[to] = 0;
  else approximate(cpu, 1 / Math.sqrt(f32[b]), to);
  return 0;
}

/** What can be compared with another processor's results only within the error. */
export const APPROXIMATE: ReadonlySet<string> = new Set(["rcpps", "rcpss", "rsqrtps", "rsqrtss"]);

export const RECIPROCAL: readonly Row[] = [
  row("np 0f 52 /r", "rsqrtps Vx,Wx", packed32(reciprocalRoot), SSE),
  row("f3 0f 52 /r", "rsqrtss Vd,Wd", scalar32(reciprocalRoot), SSE),
  row("np 0f 53 /r", "rcpps Vx,Wx", packed32(reciprocal), SSE),
  row("f3 0f 53 /r", "rcpss Vd,Wd", scalar32(reciprocal), SSE),
];
