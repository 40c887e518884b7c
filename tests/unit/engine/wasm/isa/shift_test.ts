import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import {
  type Bits,
  cut,
  IntegerRig,
  operand,
  resultFlags,
  signed,
  sizePrefix,
  written,
} from "../../../../support/integer_rig.ts";
import { Random, seed } from "../../../../support/random.ts";
import { NONE } from "../../../../support/system_rig.ts";

/** A value, CF and OF after one step. */
interface Shifted {
  readonly value: bigint;
  readonly carry: bigint;
}

/** One step of each operation of group 2, by its digit (SDM 2B, "RCL/RCR/ROL/ROR", "SAL/SAR/SHR"). */
function step(digit: number, { value, carry }: Shifted, bits: Bits): Shifted {
  const top = BigInt(bits - 1);
  const out = value >> top & 1n;
  switch (digit) {
    case 0:
      return { value: cut(value << 1n | out, bits), carry: out };
    case 1:
      return { value: value >> 1n | (value & 1n) << top, carry: value & 1n };
    case 2:
      return { value: cut(value << 1n | carry, bits), carry: out };
    case 3:
      return { value: value >> 1n | carry << top, carry: value & 1n };
    case 4:
    case 6:
      return { value: cut(value << 1n, bits), carry: out };
    case 5:
      return { value: value >> 1n, carry: value & 1n };
    default:
      return { value: cut(signed(value, bits) >> 1n, bits), carry: value & 1n };
  }
}

/** OF after a shift or rotation by 1. */
function overflow(digit: number, before: bigint, after: Shifted, bits: Bits): boolean {
  const bit = (value: bigint, n: number) => value >> BigInt(n) & 1n;
  switch (digit) {
    case 1:
    case 3:
      return bit(after.value, bits - 1) !== bit(after.value, bits - 2);
    case 5:
      return bit(before, bits - 1) === 1n;
    case 7:
      return false;
    default:
      return bit(after.value, bits - 1) !== after.carry;
  }
}

Deno.test("shifts and rotations by CL, by 1 and by immediates are steps of one bit", () => {
  const random = new Random(seed(11));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 30_000; i++) {
    const bits = random.pick([8, 16, 32, 64] as const);
    const digit = random.below(8);
    const wide = bits === 8 ? 0 : 1;
    const modrm = (0xc0 | digit << 3 | Reg.RBX).toString(16);
    const value = operand(random);
    const form = random.below(3);
    const raw = form === 0 ? 1 : random.below(256);
    const count = raw & (bits === 64 ? 63 : 31);
    const start = random.pick(["", "c", "oszapc", "oz"]);
    rig.setGpr(Reg.RBX, value);
    rig.setGpr(Reg.RCX, raw);
    rig.setFlags(start);
    const opcode = [0xd0, 0xd2, 0xc0][form] + wide;
    const immediate = form === 2 ? ` ${raw.toString(16)}` : "";
    const what =
      `seed ${random.seed}: ${bits} bits, /${digit}, ${value} by ${raw}, flags "${start}"`;
    assertEquals(
      rig.run(`${sizePrefix(bits)}${opcode.toString(16)} ${modrm}${immediate}`),
      NONE,
      what,
    );
    let now: Shifted = { value: cut(value, bits), carry: start.includes("c") ? 1n : 0n };
    for (let n = 0; n < count; n++) now = step(digit, now, bits);
    assertEquals(rig.gpr(Reg.RBX), written(value, now.value, bits), what);
    if (count === 0) {
      assertEquals(rig.flagsBut(), start, what);
      continue;
    }
    const isShift = digit >= 4;
    // Beyond the operand CF of SHL and SHR is undefined; OF is for all counts but 1.
    const noCarry = isShift && digit !== 7 && count >= bits;
    const except = `${count === 1 ? "" : "o"}${isShift ? "a" : ""}${noCarry ? "c" : ""}`;
    const rest = isShift ? resultFlags(now.value, bits) : start.replaceAll(/[oc]/g, "");
    const expected = (overflow(digit, cut(value, bits), now, bits) ? "o" : "") + rest +
      (now.carry === 1n ? "c" : "");
    assertEquals(
      rig.flagsBut(except),
      [...expected].filter((letter) => !except.includes(letter)).join(""),
      what,
    );
  }
});

Deno.test("SHLD and SHRD shift the second operand's bits in", () => {
  const random = new Random(seed(12));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 10_000; i++) {
    const bits = random.pick([16, 32, 64] as const);
    const size = BigInt(bits);
    const left = random.oneIn(2);
    const byCl = random.oneIn(2);
    const a = operand(random), b = operand(random);
    const raw = random.below(256);
    const count = BigInt(raw & (bits === 64 ? 63 : 31));
    if (count > size) continue; // undefined
    rig.setGpr(Reg.RBX, a);
    rig.setGpr(Reg.RDX, b);
    rig.setGpr(Reg.RCX, raw);
    rig.setFlags("sc");
    const opcode = (left ? 0xa4 : 0xac) + Number(byCl);
    const immediate = byCl ? "" : ` ${raw.toString(16)}`;
    // shld rbx, rdx, count
    const code = `${sizePrefix(bits)}0f ${opcode.toString(16)} d3${immediate}`;
    assertEquals(rig.run(code), NONE);
    const what = `seed ${random.seed}: ${bits} bits, ${
      left ? "left" : "right"
    }, ${a}, ${b} by ${raw}`;
    if (count === 0n) {
      assertEquals(rig.gpr(Reg.RBX), written(a, a, bits), what);
      assertEquals(rig.flagsBut(), "sc", what);
      continue;
    }
    const low = cut(a, bits), other = cut(b, bits);
    const result = left
      ? cut((low << size | other) << count >> size, bits)
      : cut((other << size | low) >> count, bits);
    const carry = left ? low >> size - count & 1n : low >> count - 1n & 1n;
    assertEquals(rig.gpr(Reg.RBX), written(a, result, bits), what);
    assertEquals(rig.flagsBut("oa"), resultFlags(result, bits) + (carry === 1n ? "c" : ""), what);
    if (count !== 1n) continue;
    const changed = signed(low, bits) < 0n !== signed(result, bits) < 0n;
    assertEquals(rig.flagsBut("szapc"), changed ? "o" : "", what);
  }
});
