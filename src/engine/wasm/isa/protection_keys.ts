/** RDPKRU, WRPKRU (SDM 2B; SDM 3A §4.6.2). */

import { Cr4 } from "../../../cpu/modes.ts";
import { Reg } from "../../../cpu/state.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import { type Row, row } from "./row.ts";

function check(cpu: Cpu): void {
  if ((cpu.s[Word.CR4] & Cr4.PKE) === 0) cpu.raise(Vector.UD);
  if (cpu.s[Reg.RCX * 2] !== 0) cpu.raise(Vector.GP);
}

function rdpkru(cpu: Cpu): void {
  const { s } = cpu;
  check(cpu);
  s[Reg.RAX * 2] = s[Word.PKRU];
  s[Reg.RAX * 2 + 1] = 0;
  s[Reg.RDX * 2] = 0;
  s[Reg.RDX * 2 + 1] = 0;
}

function wrpkru(cpu: Cpu): void {
  const { s } = cpu;
  check(cpu);
  if (s[Reg.RDX * 2] !== 0) cpu.raise(Vector.GP);
  s[Word.PKRU] = s[Reg.RAX * 2];
  cpu.paging.keysChanged();
}

/** RDPKRU, WRPKRU. */
export const PROTECTION_KEYS: readonly Row[] = [
  row("np 0f 01 ee", "rdpkru", rdpkru, { feature: "pku" }),
  row("np 0f 01 ef", "wrpkru", wrpkru, { feature: "pku", ends: true }),
];
