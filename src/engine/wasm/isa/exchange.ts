/** XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B (SDM 2A, 2B). */

import { Seg } from "../../../cpu/state.ts";
import { linearAddress } from "../address.ts";
import type { Cpu } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { load128, modifyLoad64, modifyStore64, store128 } from "../memory.ts";
import { isCanonical } from "../modes.ts";
import { fetchDst16, fetchDst32, fetchDst64, fetchDst8 } from "../operands.ts";
import { updateDst16, updateDst32, updateDst64, updateDst8 } from "../operands.ts";
import { SCRATCH_AT } from "../tlb.ts";
import {
  difference32,
  difference64,
  differenceNarrow,
  sum32,
  sum64,
  sumNarrow,
} from "./arithmetic.ts";
import { bySize, type Row, row } from "./row.ts";

/** Where CMPXCHG16B puts what it reads: behind what accesses themselves use. */
const OLD = SCRATCH_AT / 4 + 32;

// With one register twice the sum stays: the destination is written last.
function xadd8(cpu: Cpu, insn: Insn): void {
  const a = fetchDst8(cpu, insn);
  const sum = sumNarrow(cpu, a, cpu.u8[insn.src], 0, 8);
  cpu.u8[insn.src] = a;
  updateDst8(cpu, insn, sum);
}
function xadd16(cpu: Cpu, insn: Insn): void {
  const a = fetchDst16(cpu, insn);
  const sum = sumNarrow(cpu, a, cpu.u16[insn.src], 0, 16);
  cpu.u16[insn.src] = a;
  updateDst16(cpu, insn, sum);
}
function xadd32(cpu: Cpu, insn: Insn): void {
  const a = fetchDst32(cpu, insn);
  const sum = sum32(cpu, a, cpu.s[insn.src], 0);
  cpu.s[insn.src] = a;
  cpu.s[insn.src + 1] = 0;
  updateDst32(cpu, insn, sum);
}
function xadd64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const aLo = fetchDst64(cpu, insn);
  const aHi = cpu.hi;
  const lo = sum64(cpu, aLo, aHi, s[insn.src], s[insn.src + 1], 0);
  s[insn.src] = aLo;
  s[insn.src + 1] = aHi;
  updateDst64(cpu, insn, lo, cpu.hi);
}

// The destination is written in any case: with its own value when the comparison fails.
function cmpxchg8(cpu: Cpu, insn: Insn): void {
  const old = fetchDst8(cpu, insn);
  differenceNarrow(cpu, cpu.u8[0], old, 0, 8);
  updateDst8(cpu, insn, cpu.zero === 0 ? cpu.u8[insn.src] : old);
  if (cpu.zero !== 0) cpu.u8[0] = old;
}
function cmpxchg16(cpu: Cpu, insn: Insn): void {
  const old = fetchDst16(cpu, insn);
  differenceNarrow(cpu, cpu.u16[0], old, 0, 16);
  updateDst16(cpu, insn, cpu.zero === 0 ? cpu.u16[insn.src] : old);
  if (cpu.zero !== 0) cpu.u16[0] = old;
}
function cmpxchg32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const old = fetchDst32(cpu, insn);
  difference32(cpu, s[0], old, 0);
  if (cpu.zero === 0) updateDst32(cpu, insn, s[insn.src]);
  else {
    // A register keeps its upper half.
    if (insn.isMem) updateDst32(cpu, insn, old);
    s[0] = old;
    s[1] = 0;
  }
}
function cmpxchg64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = fetchDst64(cpu, insn);
  const { hi } = cpu;
  difference64(cpu, s[0], s[1], lo, hi, 0);
  if (cpu.zero === 0) updateDst64(cpu, insn, s[insn.src], s[insn.src + 1]);
  else {
    updateDst64(cpu, insn, lo, hi);
    s[0] = lo;
    s[1] = hi;
  }
}

function setZero(cpu: Cpu, equal: boolean): void {
  cpu.zero = equal ? 0 : 1;
}

/** EDX:EAX against memory; ECX:EBX goes there when they are equal. */
function cmpxchg8b(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const at = linearAddress(cpu, insn);
  const lo = modifyLoad64(cpu, at, cpu.hi);
  const { hi } = cpu;
  const equal = lo === s[0] && hi === s[4];
  if (equal) modifyStore64(cpu, s[6], s[2]);
  else {
    modifyStore64(cpu, lo, hi);
    s[0] = lo;
    s[1] = 0;
    s[4] = hi;
    s[5] = 0;
  }
  setZero(cpu, equal);
}

/** RDX:RAX against memory, which must be aligned; RCX:RBX goes there when they are equal. */
function cmpxchg16b(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const at = linearAddress(cpu, insn);
  const { hi } = cpu;
  // That the stack's address is canonical comes before that it is aligned.
  const noStack = insn.seg === Seg.SS && !isCanonical(cpu, hi);
  if ((at & 15) !== 0) cpu.raise(noStack ? Vector.SS : Vector.GP);
  // The write's faults come first, as for any read-modify-write.
  modifyLoad64(cpu, at, hi);
  load128(cpu, at, hi, OLD);
  const equal = s[OLD] === s[0] && s[OLD + 1] === s[1] && s[OLD + 2] === s[4] &&
    s[OLD + 3] === s[5];
  if (equal) {
    s[OLD] = s[6];
    s[OLD + 1] = s[7];
    s[OLD + 2] = s[2];
    s[OLD + 3] = s[3];
  }
  store128(cpu, at, hi, OLD);
  if (!equal) {
    s[0] = s[OLD];
    s[1] = s[OLD + 1];
    s[4] = s[OLD + 2];
    s[5] = s[OLD + 3];
  }
  setZero(cpu, equal);
}

const LOCK = { lock: true } as const;

export const EXCHANGE: readonly Row[] = [
  row("0f c0 /r", "xadd Eb,Gb", xadd8, LOCK),
  row("0f c1 /r", "xadd Ev,Gv", bySize(xadd16, xadd32, xadd64), LOCK),
  row("0f b0 /r", "cmpxchg Eb,Gb", cmpxchg8, LOCK),
  row("0f b1 /r", "cmpxchg Ev,Gv", bySize(cmpxchg16, cmpxchg32, cmpxchg64), LOCK),
  row("w0 0f c7 /1", "cmpxchg8b Mq", cmpxchg8b, LOCK),
  row("w1 0f c7 /1", "cmpxchg16b Mdq", cmpxchg16b, { ...LOCK, feature: "cmpxchg16b" }),
];
