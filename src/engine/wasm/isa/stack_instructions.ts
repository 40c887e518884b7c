/** PUSH and POP of general operands, PUSHA, POPA, ENTER, LEAVE (SDM 2A, 2B). */

import { Reg, Seg } from "../../../cpu/state.ts";
import { effectiveAddress, segmentAddress } from "../address.ts";
import type { Cpu } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { load16, load32, load64, store16, store32, store64 } from "../memory.ts";
import { modifyLoad16, modifyLoad32, modifyLoad64 } from "../memory.ts";
import { modifyStore16, modifyStore32, modifyStore64 } from "../memory.ts";
import { readDst16, readDst32, readDst64 } from "../operands.ts";
import { moveStack, pop16, pop32, pop64, push16, push32, push64 } from "../stack.ts";
import { checkCanonical, stackAddress, topAddress } from "../stack.ts";
import { bySize, type Row, row } from "./row.ts";

const RSP = Reg.RSP * 2;
const RBP = Reg.RBP * 2;

function pushOperand16(cpu: Cpu, insn: Insn): void {
  push16(cpu, readDst16(cpu, insn));
}
function pushOperand32(cpu: Cpu, insn: Insn): void {
  push32(cpu, readDst32(cpu, insn));
}
function pushOperand64(cpu: Cpu, insn: Insn): void {
  const lo = readDst64(cpu, insn);
  push64(cpu, lo, cpu.hi);
}
function pushImmediate16(cpu: Cpu, insn: Insn): void {
  push16(cpu, insn.immLo);
}
function pushImmediate32(cpu: Cpu, insn: Insn): void {
  push32(cpu, insn.immLo);
}
function pushImmediate64(cpu: Cpu, insn: Insn): void {
  push64(cpu, insn.immLo, insn.immHi);
}

// POP r. A pop into RSP replaces the incremented pointer.
function popRegister16(cpu: Cpu, insn: Insn): void {
  cpu.u16[insn.dst] = pop16(cpu);
}
function popRegister32(cpu: Cpu, insn: Insn): void {
  const value = pop32(cpu);
  cpu.s[insn.dst] = value;
  cpu.s[insn.dst + 1] = 0;
}
function popRegister64(cpu: Cpu, insn: Insn): void {
  const lo = pop64(cpu);
  cpu.s[insn.dst] = lo;
  cpu.s[insn.dst + 1] = cpu.hi;
}

/**
 * POP to memory. Its address is made with the incremented stack pointer (SDM 2B POP), which a fault
 * of the store must not leave behind. Low half; the high half is in `cpu.hi`.
 */
function popAddress(cpu: Cpu, insn: Insn, size: number): number {
  const { s } = cpu;
  const spLo = s[RSP];
  const spHi = s[RSP + 1];
  moveStack(cpu, size);
  const lo = effectiveAddress(cpu, insn);
  s[RSP] = spLo;
  s[RSP + 1] = spHi;
  return segmentAddress(cpu, insn.seg, lo, cpu.hi, size, true);
}
function popOperand16(cpu: Cpu, insn: Insn): void {
  if (insn.dst >= 0) return popRegister16(cpu, insn);
  const from = topAddress(cpu, 0, 2);
  const value = load16(cpu, from, cpu.hi);
  const to = popAddress(cpu, insn, 2);
  store16(cpu, to, cpu.hi, value);
  moveStack(cpu, 2);
}
function popOperand32(cpu: Cpu, insn: Insn): void {
  if (insn.dst >= 0) return popRegister32(cpu, insn);
  const from = topAddress(cpu, 0, 4);
  const value = load32(cpu, from, cpu.hi);
  const to = popAddress(cpu, insn, 4);
  store32(cpu, to, cpu.hi, value);
  moveStack(cpu, 4);
}
function popOperand64(cpu: Cpu, insn: Insn): void {
  if (insn.dst >= 0) return popRegister64(cpu, insn);
  const from = topAddress(cpu, 0, 8);
  const lo = load64(cpu, from, cpu.hi);
  const { hi } = cpu;
  const to = popAddress(cpu, insn, 8);
  store64(cpu, to, cpu.hi, lo, hi);
  moveStack(cpu, 8);
}

/** PUSHA: AX, CX, DX, BX, the SP of before, BP, SI, DI. All of it is checked before any of it lands. */
function pusha(cpu: Cpu, size: number): void {
  const { s } = cpu;
  probe(cpu, -8 * size, size);
  probe(cpu, -size, size);
  const sp = s[RSP];
  for (let i = 0; i < 8; i++) {
    const value = i === 4 ? sp : s[i * 2];
    if (size === 2) push16(cpu, value);
    else push32(cpu, value);
  }
}
function pusha16(cpu: Cpu): void {
  pusha(cpu, 2);
}
function pusha32(cpu: Cpu): void {
  pusha(cpu, 4);
}

/** POPA: the image of SP is passed over. */
function popa16(cpu: Cpu): void {
  probe(cpu, 0, 2);
  probe(cpu, 14, 2);
  for (let i = 7; i >= 0; i--) {
    const value = pop16(cpu);
    if (i !== 4) cpu.u16[i * 4] = value;
  }
}
function popa32(cpu: Cpu): void {
  probe(cpu, 0, 4);
  probe(cpu, 28, 4);
  for (let i = 7; i >= 0; i--) {
    const value = pop32(cpu);
    if (i === 4) continue;
    cpu.s[i * 2] = value;
    cpu.s[i * 2 + 1] = 0;
  }
}

/** Raises what an access of `size` bytes at RSP + `offset` would: below RSP a write, above a read. */
function probe(cpu: Cpu, offset: number, size: number): void {
  if (offset < 0) {
    const sp = stackAddress(cpu, offset, size, true);
    if (size === 2) modifyStore16(cpu, modifyLoad16(cpu, sp, cpu.hi));
    else if (size === 4) modifyStore32(cpu, modifyLoad32(cpu, sp, cpu.hi));
    else {
      const lo = modifyLoad64(cpu, sp, cpu.hi);
      modifyStore64(cpu, lo, cpu.hi);
    }
  } else {
    const sp = topAddress(cpu, offset, size);
    if (size === 2) load16(cpu, sp, cpu.hi);
    else load32(cpu, sp, cpu.hi);
  }
}

/**
 * ENTER: pushes BP, copies up to 30 frame pointers of outer levels, and makes room, the last of which
 * must be writable (SDM 2A ENTER). Registers change only when all of that has succeeded.
 */
function enter(cpu: Cpu, insn: Insn, size: number): void {
  const { s } = cpu;
  const spLo = s[RSP];
  const spHi = s[RSP + 1];
  const level = insn.imm2 & 31;
  moveStack(cpu, -size);
  const frameLo = s[RSP];
  const frameHi = s[RSP + 1];
  s[RSP] = spLo;
  s[RSP + 1] = spHi;
  storeFrame(cpu, -size, size, s[RBP], s[RBP + 1]);
  for (let i = 1; i < level; i++) {
    const lo = loadFrame(cpu, i * size, size);
    storeFrame(cpu, -(i + 1) * size, size, lo, cpu.hi);
  }
  if (level > 0) storeFrame(cpu, -(level + 1) * size, size, frameLo, frameHi);
  const total = (level > 0 ? level + 1 : 1) * size + (insn.immLo & 0xffff);
  probe(cpu, -total, size);
  moveStack(cpu, -total);
  setBp(cpu, size, frameLo, frameHi);
}
function enter16(cpu: Cpu, insn: Insn): void {
  enter(cpu, insn, 2);
}
function enter32(cpu: Cpu, insn: Insn): void {
  enter(cpu, insn, 4);
}
function enter64(cpu: Cpu, insn: Insn): void {
  enter(cpu, insn, 8);
}

function storeFrame(cpu: Cpu, offset: number, size: number, lo: number, hi: number): void {
  const to = stackAddress(cpu, offset, size, true);
  if (size === 8) store64(cpu, to, cpu.hi, lo, hi);
  else if (size === 4) store32(cpu, to, cpu.hi, lo);
  else store16(cpu, to, cpu.hi, lo);
}

/** Reads at BP - `below`, of as many bits as the stack has. */
function loadFrame(cpu: Cpu, below: number, size: number): number {
  const { s } = cpu;
  const bp = s[RBP];
  let lo = (bp - below) | 0;
  let hi = 0;
  if (cpu.is64) {
    hi = bp >>> 0 < below ? s[RBP + 1] - 1 | 0 : s[RBP + 1];
    checkCanonical(cpu, hi);
  } else if (!cpu.stack32) lo &= 0xffff;
  const from = segmentAddress(cpu, Seg.SS, lo, hi, size, false);
  if (size === 8) return load64(cpu, from, cpu.hi);
  const value = size === 4 ? load32(cpu, from, cpu.hi) : load16(cpu, from, cpu.hi);
  cpu.hi = 0;
  return value;
}

function setBp(cpu: Cpu, size: number, lo: number, hi: number): void {
  if (size === 2) {
    cpu.u16[Reg.RBP * 4] = lo;
    return;
  }
  cpu.s[RBP] = lo;
  cpu.s[RBP + 1] = size === 8 ? hi : 0;
}

/** LEAVE: SP = BP, then pop BP; a fault of the read leaves SP as it was. */
function leave(cpu: Cpu, size: number): void {
  const { s } = cpu;
  const lo = loadFrame(cpu, 0, size);
  const { hi } = cpu;
  if (cpu.is64) {
    s[RSP] = s[RBP];
    s[RSP + 1] = s[RBP + 1];
  } else if (cpu.stack32) {
    s[RSP] = s[RBP];
    s[RSP + 1] = 0;
  } else cpu.u16[Reg.RSP * 4] = s[RBP];
  moveStack(cpu, size);
  setBp(cpu, size, lo, hi);
}
function leave16(cpu: Cpu): void {
  leave(cpu, 2);
}
function leave32(cpu: Cpu): void {
  leave(cpu, 4);
}
function leave64(cpu: Cpu): void {
  leave(cpu, 8);
}

const pushOperand = bySize(pushOperand16, pushOperand32, pushOperand64);
const pushImmediate = bySize(pushImmediate16, pushImmediate32, pushImmediate64);
const D64 = { size64: "d64" } as const;

export const STACK: readonly Row[] = [
  row("50+r", "push Zv", pushOperand, { ...D64, reads: true }),
  row("58+r", "pop Zv", bySize(popRegister16, popRegister32, popRegister64), D64),
  row("ff /6", "push Ev", pushOperand, { ...D64, reads: true }),
  row("8f /0", "pop Ev", bySize(popOperand16, popOperand32, popOperand64), D64),
  row("68 iz", "push Iz", pushImmediate, D64),
  row("6a ib", "push Ib", pushImmediate, D64),
  row("60", "pusha", bySize(pusha16, pusha32, pusha32), { mode: "legacy" }),
  row("61", "popa", bySize(popa16, popa32, popa32), { mode: "legacy" }),
  row("c8 iw ib", "enter Iw,Ib", bySize(enter16, enter32, enter64), D64),
  row("c9", "leave", bySize(leave16, leave32, leave64), D64),
];
