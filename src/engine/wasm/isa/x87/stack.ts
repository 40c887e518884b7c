/** The register stack itself: FINCSTP, FDECSTP, FFREE (SDM 1 §8.3.11), FXCH, FCMOVcc. */

import { result as importedResult } from "../../../../cpu/float/mod.ts";
import { type Cpu, evenParity } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";
import {
  isEmpty,
  pop,
  REGISTER_FORM,
  setStack,
  settle,
  settleQuietly,
  settleStack,
  settleUnchanged,
  underflow,
} from "./fpu.ts";

// V8 folds a module's own constants, not those of others.
const result = importedResult;

function fincstp(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  cpu.x87.top = cpu.x87.top + 1 & 7;
  settleQuietly(cpu, insn);
}

function fdecstp(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  cpu.x87.top = cpu.x87.top + 7 & 7;
  settleQuietly(cpu, insn);
}

function ffree(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87 } = cpu;
  x87.used &= ~(1 << (x87.top + insn.rm & 7));
  settleQuietly(cpu, insn);
}

function ffreep(cpu: Cpu, insn: Insn): void {
  ffree(cpu, insn);
  pop(cpu.x87);
}

/** Masked, an underflow fills what is empty with the indefinite before the exchange. */
function fxch(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const i = insn.rm & 7;
  if (isEmpty(x87, 0) || isEmpty(x87, i)) {
    underflow(x87);
    settle(cpu, insn);
    if (result.stored === 0) return;
    if (isEmpty(x87, 0)) setStack(cpu, 0, result.lo, result.hi, result.signExp);
    if (isEmpty(x87, i)) setStack(cpu, i, result.lo, result.hi, result.signExp);
  } else {
    settleQuietly(cpu, insn);
  }
  const a = x87.stackWord(0);
  const b = x87.stackWord(i);
  const lo = s[a], hi = s[a + 1], signExp = s[a + 2];
  s[a] = s[b];
  s[a + 1] = s[b + 1];
  s[a + 2] = s[b + 2];
  s[b] = lo;
  s[b + 1] = hi;
  s[b + 2] = signExp;
}

/** ST(0) = ST(i) when `condition` holds. */
function moveIf(cpu: Cpu, insn: Insn, condition: boolean): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const i = insn.rm & 7;
  if (isEmpty(x87, 0) || isEmpty(x87, i)) {
    underflow(x87);
    return settleStack(cpu, insn, 0);
  }
  const b = x87.stackWord(i);
  if (condition) setStack(cpu, 0, s[b], s[b + 1], s[b + 2]);
  settleUnchanged(cpu, insn);
}

function fcmovb(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, cpu.cf !== 0);
}
function fcmove(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, cpu.zero === 0);
}
function fcmovbe(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, cpu.cf !== 0 || cpu.zero === 0);
}
function fcmovu(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, evenParity(cpu.parity) !== 0);
}
function fcmovnb(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, cpu.cf === 0);
}
function fcmovne(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, cpu.zero !== 0);
}
function fcmovnbe(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, cpu.cf === 0 && cpu.zero !== 0);
}
function fcmovnu(cpu: Cpu, insn: Insn): void {
  moveIf(cpu, insn, evenParity(cpu.parity) === 0);
}

export const X87_STACK: readonly Row[] = [
  row("d9 f6", "fdecstp", fdecstp, REGISTER_FORM),
  row("d9 f7", "fincstp", fincstp, REGISTER_FORM),
  row("dd c0+i", "ffree", ffree, REGISTER_FORM),
  row("d9 c8+i", "fxch", fxch, REGISTER_FORM),
  row("da c0+i", "fcmovb", fcmovb, REGISTER_FORM),
  row("da c8+i", "fcmove", fcmove, REGISTER_FORM),
  row("da d0+i", "fcmovbe", fcmovbe, REGISTER_FORM),
  row("da d8+i", "fcmovu", fcmovu, REGISTER_FORM),
  row("db c0+i", "fcmovnb", fcmovnb, REGISTER_FORM),
  row("db c8+i", "fcmovne", fcmovne, REGISTER_FORM),
  row("db d0+i", "fcmovnbe", fcmovnbe, REGISTER_FORM),
  row("db d8+i", "fcmovnu", fcmovnu, REGISTER_FORM),
  // Not in the manual, but in every CPU and in use
  row("df c0+i", "ffreep", ffreep, REGISTER_FORM),
  row("dd c8+i", "fxch", fxch, REGISTER_FORM),
  row("df c8+i", "fxch", fxch, REGISTER_FORM),
];
