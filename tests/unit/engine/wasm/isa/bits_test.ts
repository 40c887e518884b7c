import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg } from "../../../../../src/cpu/state.ts";
import {
  type Bits,
  cut,
  IntegerRig,
  operand,
  sizePrefix,
  written,
} from "../../../../support/integer_rig.ts";
import { Random, seed } from "../../../../support/random.ts";
import { DATA_AT, NONE } from "../../../../support/system_rig.ts";

const SIZES = [16, 32, 64] as const;
/** Second opcode byte of BT, BTS, BTR, BTC with a register. */
const OPCODES = [0xa3, 0xab, 0xb3, 0xbb];

/** The bit after each of the four operations. */
function changed(operation: number, bit: bigint): bigint {
  return [bit, 1n, 0n, 1n - bit][operation];
}

Deno.test("bit tests of registers take the offset modulo the operand size", () => {
  const random = new Random(seed(31));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 4000; i++) {
    const bits = random.pick(SIZES);
    const operation = random.below(4);
    const value = operand(random), offset = operand(random);
    const immediate = random.oneIn(2);
    rig.setGpr(Reg.RBX, value);
    rig.setGpr(Reg.RDX, offset);
    rig.setFlags("z");
    const byte = Number(offset & 0xffn).toString(16);
    const code = immediate
      ? `0f ba ${(0xe3 + operation * 8).toString(16)} ${byte}`
      : `0f ${OPCODES[operation].toString(16)} d3`;
    assertEquals(rig.run(sizePrefix(bits) + code), NONE);
    const n = offset % BigInt(bits);
    const bit = value >> n & 1n;
    const after = value & ~(1n << n) | changed(operation, bit) << n;
    const what = `seed ${random.seed}: ${code}, ${bits} bits, ${value}, ${offset}`;
    // BT writes nothing, not even the upper half.
    assertEquals(rig.gpr(Reg.RBX), operation === 0 ? value : written(value, after, bits), what);
    assertEquals(rig.flagsBut("osap"), bit === 1n ? "zc" : "z", what);
  }
});

Deno.test("a register's bit offset reaches memory before and behind the operand", () => {
  const random = new Random(seed(32));
  const rig = new IntegerRig("long64");
  const base = DATA_AT + 0x2000;
  for (let i = 0; i < 3000; i++) {
    const bits = random.pick(SIZES);
    const operation = random.below(4);
    const offset = random.below(0x8000) - 0x4000;
    const at = base + Math.floor(offset / 8);
    rig.poke(at, 8, random.u32());
    const before = rig.peek(at, 8);
    rig.setGpr(Reg.RBX, base);
    // Of a 16- or 32-bit offset only that many bits count.
    rig.setGpr(Reg.RDX, written(random.u64(), BigInt(offset), bits) | random.u64() << 32n);
    if (bits === 64) rig.setGpr(Reg.RDX, offset);
    const code = `${sizePrefix(bits)}0f ${OPCODES[operation].toString(16)} 13`;
    assertEquals(rig.run(code), NONE);
    const n = BigInt(offset & 7);
    const bit = before >> n & 1n;
    const what = `seed ${random.seed}: ${code} at ${offset}`;
    assertEquals(rig.cpu.cf, Number(bit), what);
    assertEquals(rig.peek(at, 8), before & ~(1n << n) | changed(operation, bit) << n, what);
  }
});

/** Expected result, CF and ZF of a count; undefined: the destination stays. */
function count(name: string, value: bigint, bits: Bits): bigint | undefined {
  const text = value.toString(2);
  const low = text.length - 1 - text.lastIndexOf("1");
  switch (name) {
    case "bsf":
      return value === 0n ? undefined : BigInt(low);
    case "bsr":
      return value === 0n ? undefined : BigInt(text.length - 1);
    case "tzcnt":
      return value === 0n ? BigInt(bits) : BigInt(low);
    case "lzcnt":
      return value === 0n ? BigInt(bits) : BigInt(bits - text.length);
    default:
      return BigInt(text.replaceAll("0", "").length);
  }
}

Deno.test("bit scans and counts, of registers and of 0", () => {
  const random = new Random(seed(33));
  const rig = new IntegerRig("long64");
  const table = [
    ["bsf", "", "0f bc"],
    ["bsr", "", "0f bd"],
    ["tzcnt", "f3 ", "0f bc"],
    ["lzcnt", "f3 ", "0f bd"],
    ["popcnt", "f3 ", "0f b8"],
  ] as const;
  for (let i = 0; i < 5000; i++) {
    const bits = random.pick(SIZES);
    const [name, rep, opcode] = random.pick(table);
    const value = operand(random), old = random.u64();
    rig.setGpr(Reg.RBX, value);
    rig.setGpr(Reg.RDX, old);
    rig.setFlags("oszapc");
    const prefix = bits === 16 ? `66 ${rep}` : bits === 64 ? `${rep}48 ` : rep;
    assertEquals(rig.run(`${prefix}${opcode} d3`), NONE);
    const source = cut(value, bits);
    const expected = count(name, source, bits);
    const what = `seed ${random.seed}: ${name} of ${bits} bits, ${value}`;
    const result = expected === undefined ? old : written(old, expected, bits);
    assertEquals(rig.gpr(Reg.RDX), result, what);
    const zero = name.startsWith("bs") || name === "popcnt" ? source === 0n : expected === 0n;
    const flags = rig.flagsBut(name === "popcnt" ? "" : name.startsWith("bs") ? "osapc" : "osap");
    const carry = name.endsWith("zcnt") && source === 0n;
    assertEquals(flags, (zero ? "z" : "") + (carry ? "c" : ""), what);
  }
});

Deno.test("CRC32 gives the check value of CRC-32C, in steps of any size", () => {
  const text = new TextEncoder().encode("123456789");
  const rig = new IntegerRig("long64");
  const steps = [
    ["f2 0f 38 f0 03", 1], // crc32 eax, byte [rbx]
    ["66 f2 0f 38 f1 03", 2],
    ["f2 0f 38 f1 03", 4],
    ["f2 48 0f 38 f1 03", 8],
  ] as const;
  for (const [code, size] of steps) {
    rig.memory.write(gpa(DATA_AT), text);
    rig.setGpr(Reg.RAX, -1n);
    let at = 0;
    for (; at + size <= text.length; at += size) {
      rig.setGpr(Reg.RBX, DATA_AT + at);
      assertEquals(rig.run(code), NONE);
    }
    for (; at < text.length; at++) {
      rig.setGpr(Reg.RBX, DATA_AT + at);
      rig.run("f2 0f 38 f0 03");
    }
    assertEquals(cut(~rig.gpr(Reg.RAX), 32), 0xe306_9283n, code);
    assertEquals(rig.gpr(Reg.RAX) >> 32n, 0n);
  }
});
