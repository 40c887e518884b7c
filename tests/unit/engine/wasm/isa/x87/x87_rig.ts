/** A vCPU for x87 instructions: one page of memory, registers as numbers. */

import type { Cpu } from "../../../../../../src/engine/wasm/cpu.ts";
import type { X87 } from "../../../../../../src/engine/wasm/x87_state.ts";
import { SCRATCH_AT } from "../../../../../../src/engine/wasm/tlb.ts";
import { PAGE_AT, SimdRig } from "../simd/simd_rig.ts";

/** Bits of the status word. */
export const Status = {
  IE: 1,
  DE: 2,
  ZE: 4,
  OE: 8,
  UE: 16,
  PE: 32,
  SF: 64,
  ES: 0x80,
  C0: 0x100,
  C1: 0x200,
  C2: 0x400,
  C3: 0x4000,
  B: 0x8000,
} as const;
/** All bits but TOP. */
export const WITHOUT_TOP = 0xc7ff;
/** ModRM bytes: [RDI], which is `PAGE_AT`, with a digit. */
export const atRdi = (digit: number): number => digit << 3 | 7;
/** Vector of #MF, and of none. */
export const MF = 16;
export const NONE = -1;

/** After FNINIT, in 64-bit mode; RDI points to the page. */
export class X87Rig {
  readonly simd = new SimdRig();
  readonly cpu: Cpu = this.simd.cpu;
  readonly x87: X87 = this.simd.cpu.x87;
  readonly memory = new DataView(this.simd.page.buffer);

  constructor() {
    const { cpu, simd } = this;
    // Accesses that the TLB does not serve: all are in the page.
    Object.assign(cpu, {
      paging: {
        read(lo: number, _hi: number, size: number) {
          cpu.u8.set(simd.page.subarray(lo - PAGE_AT, lo - PAGE_AT + size), SCRATCH_AT);
        },
        write(lo: number, _hi: number, size: number) {
          simd.page.set(cpu.u8.subarray(SCRATCH_AT, SCRATCH_AT + size), lo - PAGE_AT);
        },
        readForWrite() {},
      },
    });
    cpu.protectedMode = true;
    simd.setGpr(7, PAGE_AT);
    this.run(0xdb, 0xe3);
  }

  /** Executes one instruction; the vector of its exception, or NONE. */
  run(...bytes: readonly number[]): number {
    return this.simd.run(...bytes);
  }

  /** FLD m64 of each, the last one becomes ST(0). */
  push(...values: readonly number[]): void {
    for (const value of values) {
      this.memory.setFloat64(4080, value, true);
      this.run(0xdd, 0x87, 0xf0, 0x0f, 0, 0);
    }
  }

  /** ST(i) as the nearest double. */
  st(i: number): number {
    const { s } = this.cpu;
    const at = this.x87.stackWord(i);
    const exponent = s[at + 2] & 0x7fff;
    const sign = (s[at + 2] & 0x8000) !== 0 ? -1 : 1;
    const significand = (s[at + 1] >>> 0) * 2 ** 32 + (s[at] >>> 0);
    if (exponent === 0x7fff) return significand === 2 ** 63 ? sign * Infinity : NaN;
    return sign * significand * 2 ** -63 * 2 ** (exponent - 16383);
  }

  /** ST(i) in hexadecimal: sign and exponent, significand. */
  hex(i: number): string {
    const { s } = this.cpu;
    const at = this.x87.stackWord(i);
    const digits = (n: number, count: number) => (n >>> 0).toString(16).padStart(count, "0");
    return `${digits(s[at + 2] & 0xffff, 4)}:${digits(s[at + 1], 8)}${digits(s[at], 8)}`;
  }

  isEmpty(i: number): boolean {
    return (this.x87.used >>> (this.x87.top + i & 7) & 1) === 0;
  }

  /** How many registers are not empty. */
  get depth(): number {
    let count = 0;
    for (let i = 0; i < 8; i++) if (!this.isEmpty(i)) count++;
    return count;
  }

  /** The status word without TOP. */
  get status(): number {
    return this.x87.statusWord & WITHOUT_TOP;
  }

  /** FLDCW. */
  set control(value: number) {
    this.memory.setUint16(4072, value, true);
    this.run(0xd9, 0xaf, 0xe8, 0x0f, 0, 0);
  }
}

/** The real indefinite, as `X87Rig.hex` writes it. */
export const INDEFINITE = "ffff:c000000000000000";
