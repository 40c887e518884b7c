/** One vCPU for tests of integer instructions: operands in registers and memory, flags by name. */

import { gpa } from "../../src/base/u64.ts";
import { Flag } from "../../src/engine/wasm/cpu.ts";
import { SystemRig } from "./system_rig.ts";

/** Operand sizes in bits. */
export type Bits = 8 | 16 | 32 | 64;

/** Status flags by their letters in the table's `undef`. */
const LETTERS: readonly (readonly [string, number])[] = [
  ["o", Flag.OF],
  ["s", Flag.SF],
  ["z", Flag.ZF],
  ["a", Flag.AF],
  ["p", Flag.PF],
  ["c", Flag.CF],
];

/** See above. */
export class IntegerRig extends SystemRig {
  /** The status flags that are set, in the order "oszapc"; without those in `except`. */
  flagsBut(except = ""): string {
    const { statusFlags } = this.cpu;
    return LETTERS.filter(([letter, bit]) => (statusFlags & bit) !== 0 && !except.includes(letter))
      .map(([letter]) => letter).join("");
  }

  /** Sets the status flags that `letters` has and clears the others. */
  setFlags(letters: string): void {
    let flags = 0;
    for (const [letter, bit] of LETTERS) if (letters.includes(letter)) flags |= bit;
    this.cpu.setStatusFlags(flags);
  }

  /** The little-endian value of `bits` bits at physical address `at`. */
  peek(at: number, bits: Bits): bigint {
    let value = 0n;
    for (let i = bits / 8 - 1; i >= 0; i--) {
      value = value << 8n | BigInt(this.memory.readU8(gpa(at + i)));
    }
    return value;
  }
  poke(at: number, bits: Bits, value: bigint | number): void {
    const all = BigInt.asUintN(64, BigInt(value));
    for (let i = 0; i < bits / 8; i++) {
      this.memory.writeU8(gpa(at + i), Number(all >> BigInt(8 * i) & 0xffn));
    }
  }
}

/** The prefix that gives this operand size in 64-bit mode, for opcodes that take the size from it. */
export function sizePrefix(bits: Bits): string {
  return bits === 16 ? "66 " : bits === 64 ? "48 " : "";
}

/** `value` cut to `bits` bits. */
export function cut(value: bigint, bits: number): bigint {
  return BigInt.asUintN(bits, value);
}

/** `value`'s low `bits` bits as a signed number. */
export function signed(value: bigint, bits: number): bigint {
  return BigInt.asIntN(bits, value);
}

/** What a write of `value` to a register that holds `old` leaves there: 32 bits clear the rest. */
export function written(old: bigint, value: bigint, bits: Bits): bigint {
  if (bits >= 32) return cut(value, bits);
  return old >> BigInt(bits) << BigInt(bits) | cut(value, bits);
}

/** Edge values among random ones. */
export function operand(random: { u64(): bigint; below(bound: number): number }): bigint {
  const value = random.u64();
  switch (random.below(6)) {
    case 0:
      return 0n;
    case 1:
      return cut(-1n, 64);
    case 2:
      return 1n << value % 64n;
    case 3:
      return cut((1n << value % 64n) - 1n, 64);
    case 4:
      return value >> value % 64n;
    default:
      return value;
  }
}

/** S, Z and P of a result, in this order. */
export function resultFlags(result: bigint, bits: Bits): string {
  const value = cut(result, bits);
  let ones = 0;
  for (let i = 0n; i < 8n; i++) ones += Number(value >> i & 1n);
  return (signed(value, bits) < 0n ? "s" : "") + (value === 0n ? "z" : "") +
    (ones % 2 === 0 ? "p" : "");
}
