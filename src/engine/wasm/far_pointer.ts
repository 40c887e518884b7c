/** Far pointers in memory: an offset, and a selector above it. */

import { carryOf } from "../../base/u64.ts";
import { linearAddress } from "./address.ts";
import type { Cpu } from "./cpu.ts";
import type { Insn } from "./insn.ts";
import { load16, load32, load64 } from "./memory.ts";

/** The far pointer that was read last. */
export const pointer = { lo: 0, hi: 0, selector: 0 };

/** Reads the far pointer at the instruction's memory operand into `pointer`. */
export function readFarPointer(cpu: Cpu, insn: Insn): void {
  const { opSize } = insn;
  const at = linearAddress(cpu, insn);
  const atHi = cpu.hi;
  pointer.hi = 0;
  if (opSize === 8) {
    pointer.lo = load64(cpu, at, atHi);
    pointer.hi = cpu.hi;
  } else {
    pointer.lo = opSize === 4 ? load32(cpu, at, atHi) : load16(cpu, at, atHi);
  }
  const above = (at + opSize) | 0;
  // Outside of 64-bit mode linear addresses wrap at 4 GiB.
  const aboveHi = cpu.is64 ? (atHi + carryOf(at, opSize, above)) | 0 : 0;
  pointer.selector = load16(cpu, above, aboveHi);
}
