/**
 * RDRAND and RDSEED (SDM 1 §7.3.17): numbers from a generator that begins alike at each start, so
 * that a run can be repeated. They are no secrets.
 */

import { State } from "../../../cpu/state.ts";
import type { Cpu } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { bySize, type Row, row } from "./row.ts";

/** First of the 4 words of the generator's state. */
const RANDOM_WORD = State.RANDOM / 4;
/** A constant of no meaning, from which the vCPUs' seeds are made. */
const SEED = 0x9e37_79b9;

/** The next 32 bits: xoshiro128** of Blackman and Vigna. */
function next32(cpu: Cpu): number {
  const { s } = cpu;
  const at = RANDOM_WORD;
  if ((s[at] | s[at + 1] | s[at + 2] | s[at + 3]) === 0) seed(cpu);
  const s1 = s[at + 1];
  const times5 = Math.imul(s1, 5);
  const result = Math.imul(times5 << 7 | times5 >>> 25, 9);
  const shifted = s1 << 9;
  s[at + 2] ^= s[at];
  s[at + 3] ^= s1;
  s[at + 1] ^= s[at + 2];
  s[at] ^= s[at + 3];
  s[at + 2] ^= shifted;
  s[at + 3] = s[at + 3] << 11 | s[at + 3] >>> 21;
  return result;
}

/** A state of its own for each vCPU, by the finalizer of MurmurHash3. */
function seed(cpu: Cpu): void {
  for (let i = 0; i < 4; i++) {
    let x = Math.imul(SEED, cpu.index * 4 + i + 1);
    x = Math.imul(x ^ x >>> 16, 0x85eb_ca6b);
    x = Math.imul(x ^ x >>> 13, 0xc2b2_ae35);
    cpu.s[RANDOM_WORD + i] = x ^ x >>> 16;
  }
}

/** CF says that there is a number; the other flags are cleared. */
function succeed(cpu: Cpu): void {
  cpu.setStatusFlags(1);
}

function random16(cpu: Cpu, insn: Insn): void {
  cpu.u16[insn.rm * 4] = next32(cpu);
  succeed(cpu);
}
function random32(cpu: Cpu, insn: Insn): void {
  cpu.s[insn.rm * 2] = next32(cpu);
  cpu.s[insn.rm * 2 + 1] = 0;
  succeed(cpu);
}
function random64(cpu: Cpu, insn: Insn): void {
  cpu.s[insn.rm * 2] = next32(cpu);
  cpu.s[insn.rm * 2 + 1] = next32(cpu);
  succeed(cpu);
}

const NUMBERS = bySize(random16, random32, random64);
/** Behind a 66 prefix that is a part of the encoding, only REX.W makes more than 16 bits. */
const NUMBERS_66 = bySize(random16, random16, random64);

/** RDRAND, RDSEED; F3 and F2 make other instructions of their opcodes. */
export const RANDOM: readonly Row[] = [
  row("np 0f c7 /6", "rdrand Rv", NUMBERS, { feature: "rdrand", form: "reg" }),
  row("66 0f c7 /6", "rdrand Rv", NUMBERS_66, { feature: "rdrand", form: "reg" }),
  row("np 0f c7 /7", "rdseed Rv", NUMBERS, { feature: "rdseed", form: "reg" }),
  row("66 0f c7 /7", "rdseed Rv", NUMBERS_66, { feature: "rdseed", form: "reg" }),
];
