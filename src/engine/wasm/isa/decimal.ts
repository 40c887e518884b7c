/** DAA, DAS, AAA, AAS, AAM, AAD, BOUND, SALC (SDM 2A, 2B): outside of 64-bit mode. */

import { effectiveAddress, segmentAddress } from "../address.ts";
import type { Cpu } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { load16, load32 } from "../memory.ts";
import { bySize, type Row, row } from "./row.ts";

/** SF, ZF and PF by AL. */
function setByAl(cpu: Cpu): void {
  const al = cpu.u8[0];
  cpu.zero = al;
  cpu.sign = al << 24;
  cpu.parity = al;
}

function daa(cpu: Cpu): void {
  adjust(cpu, 1);
}
function das(cpu: Cpu): void {
  adjust(cpu, -1);
}
/** Corrects AL after an addition (1) or subtraction (-1) of packed decimals. */
function adjust(cpu: Cpu, sign: number): void {
  const al = cpu.u8[0];
  const carry = cpu.cf !== 0 || al > 0x99;
  const half = (al & 15) > 9 || (cpu.aux & 16) !== 0;
  // DAS also borrows when the correction of the low digit does.
  const borrow = sign < 0 && half && al < 6;
  cpu.u8[0] = al + sign * ((half ? 6 : 0) + (carry ? 0x60 : 0));
  cpu.aux = half ? 16 : 0;
  cpu.cf = carry || borrow ? 1 : 0;
  setByAl(cpu);
}

function aaa(cpu: Cpu): void {
  adjustAscii(cpu, 0x106);
}
function aas(cpu: Cpu): void {
  adjustAscii(cpu, -0x106);
}
/** Corrects AX after an addition or subtraction of unpacked decimals. */
function adjustAscii(cpu: Cpu, by: number): void {
  const needed = (cpu.u8[0] & 15) > 9 || (cpu.aux & 16) !== 0;
  if (needed) cpu.u16[0] = cpu.u16[0] + by;
  cpu.aux = needed ? 16 : 0;
  cpu.cf = needed ? 1 : 0;
  cpu.u8[0] = cpu.u8[0] & 15;
}

function aam(cpu: Cpu, insn: Insn): void {
  const base = insn.immLo & 0xff;
  if (base === 0) cpu.raise(Vector.DE);
  const al = cpu.u8[0];
  cpu.u8[1] = al / base | 0;
  cpu.u8[0] = al % base;
  setByAl(cpu);
}
function aad(cpu: Cpu, insn: Insn): void {
  cpu.u16[0] = (cpu.u8[0] + cpu.u8[1] * (insn.immLo & 0xff)) & 0xff;
  setByAl(cpu);
}

/** AL = CF ? 0xff : 0: undocumented by Intel for long, there in every processor. */
function salc(cpu: Cpu): void {
  cpu.u8[0] = -cpu.cf;
}

/** Linear address of the two bounds, of `size` bytes together. */
function boundsAddress(cpu: Cpu, insn: Insn, size: number): number {
  return segmentAddress(cpu, insn.seg, effectiveAddress(cpu, insn), 0, size, false);
}
function bound16(cpu: Cpu, insn: Insn): void {
  const at = boundsAddress(cpu, insn, 4);
  const lower = load16(cpu, at, 0) << 16 >> 16;
  const upper = load16(cpu, at + 2 | 0, 0) << 16 >> 16;
  const index = cpu.u16[insn.dst] << 16 >> 16;
  if (index < lower || index > upper) cpu.raise(Vector.BR);
}
function bound32(cpu: Cpu, insn: Insn): void {
  const at = boundsAddress(cpu, insn, 8);
  const lower = load32(cpu, at, 0);
  const upper = load32(cpu, at + 4 | 0, 0);
  const index = cpu.s[insn.dst];
  if (index < lower || index > upper) cpu.raise(Vector.BR);
}

const LEGACY = { mode: "legacy" } as const;

export const DECIMAL: readonly Row[] = [
  row("27", "daa", daa, { ...LEGACY, undef: "o" }),
  row("2f", "das", das, { ...LEGACY, undef: "o" }),
  row("37", "aaa", aaa, { ...LEGACY, undef: "oszp" }),
  row("3f", "aas", aas, { ...LEGACY, undef: "oszp" }),
  row("d4 ib", "aam Ib", aam, { ...LEGACY, undef: "oac" }),
  row("d5 ib", "aad Ib", aad, { ...LEGACY, undef: "oac" }),
  row("d6", "salc", salc, LEGACY),
  row("62 /r", "bound Gv,M", bySize(bound16, bound32, bound32), LEGACY),
];
