/** Rows of instructions that do the same in every lane, in an MMX and an XMM form. */

import type { Handler } from "../../insn.ts";
import { type Row, row, type RowOptions } from "../row.ts";
import { mmxDestination, mmxSource } from "./mmx_operands.ts";
import { MMX, SSE2 } from "./units.ts";
import { type PairOp, type WordOp, xmmPairs, xmmWords } from "./vector.ts";

/** The MMX form of an instruction whose lanes stay within words. */
export function mmxWords(op: WordOp): Handler {
  return (cpu, insn) => {
    const b = mmxSource(cpu, insn);
    const a = mmxDestination(cpu, insn);
    const { s } = cpu;
    s[a] = op(s[a], s[b]);
    s[a + 1] = op(s[a + 1], s[b + 1]);
  };
}

/** The MMX form of any other instruction. */
export function mmxPair(op: PairOp): Handler {
  return (cpu, insn) => {
    const b = mmxSource(cpu, insn);
    op(cpu.s, mmxDestination(cpu, insn), b);
  };
}

/** Both forms, by what they do to a word. */
export function mmxAndXmm(
  opcode: string,
  mnemonic: string,
  op: WordOp,
  mmxOptions: RowOptions = MMX,
  xmmOptions: RowOptions = SSE2,
): Row[] {
  return [
    row(`np ${opcode}`, `${mnemonic} Pq,Qq`, mmxWords(op), mmxOptions),
    row(`66 ${opcode}`, `${mnemonic} Vx,Wx`, xmmWords(op), xmmOptions),
  ];
}

/** Both forms, by what they do to 64 bits. */
export function mmxAndXmmPairs(
  opcode: string,
  mnemonic: string,
  op: PairOp,
  mmxOptions: RowOptions = MMX,
  xmmOptions: RowOptions = SSE2,
): Row[] {
  return [
    row(`np ${opcode}`, `${mnemonic} Pq,Qq`, mmxPair(op), mmxOptions),
    row(`66 ${opcode}`, `${mnemonic} Vx,Wx`, xmmPairs(op), xmmOptions),
  ];
}

/** The XMM form alone. */
export function xmm(encoding: string, mnemonic: string, op: WordOp, options: RowOptions): Row {
  return row(encoding, `${mnemonic} Vx,Wx`, xmmWords(op), options);
}

/** The XMM form alone, by what it does to 64 bits. */
export function xmmOfPairs(
  encoding: string,
  mnemonic: string,
  op: PairOp,
  options: RowOptions,
): Row {
  return row(encoding, `${mnemonic} Vx,Wx`, xmmPairs(op), options);
}
