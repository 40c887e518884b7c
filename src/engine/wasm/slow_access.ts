/**
 * Accesses that the fast path of memory.ts cannot make. The bytes of the access are at `SCRATCH_AT`
 * of the vCPU's memory.
 */

import type { Cpu } from "./cpu.ts";

/** Reads `size` bytes at linear address `hi:lo` to the scratch space, or raises. */
export function slowRead(cpu: Cpu, lo: number, hi: number, size: number): void {
  cpu.paging.read(lo, hi, size);
}

/** Writes `size` bytes from the scratch space, or raises before any of them is written. */
export function slowWrite(cpu: Cpu, lo: number, hi: number, size: number): void {
  cpu.paging.write(lo, hi, size);
}

/** Reads as `slowRead`, but faults as a write would, and remembers where for `slowWriteBack`. */
export function slowReadForWrite(cpu: Cpu, lo: number, hi: number, size: number): void {
  cpu.paging.readForWrite(lo, hi, size);
}

/** Writes `size` bytes from the scratch space to where `slowReadForWrite` has read. Never faults. */
export function slowWriteBack(cpu: Cpu, size: number): void {
  cpu.paging.writeBack(size);
}
