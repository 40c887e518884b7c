import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import {
  cut,
  IntegerRig,
  operand,
  resultFlags,
  sizePrefix,
  written,
} from "../../../../support/integer_rig.ts";
import { Random, seed } from "../../../../support/random.ts";
import { DATA_AT, NONE } from "../../../../support/system_rig.ts";

/** Name, opcode of the byte form with a register source, and what it computes. */
const OPERATIONS: readonly [string, number, (a: bigint, b: bigint) => bigint][] = [
  ["or", 0x08, (a, b) => a | b],
  ["and", 0x20, (a, b) => a & b],
  ["xor", 0x30, (a, b) => a ^ b],
  ["test", 0x84, (a, b) => a & b],
];

Deno.test("AND, OR, XOR and TEST set the flags by the result and clear CF and OF", () => {
  const random = new Random(seed(41));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 6000; i++) {
    const [name, opcode, compute] = random.pick(OPERATIONS);
    const bits = random.pick([8, 16, 32, 64] as const);
    const inMemory = random.oneIn(2);
    const a = operand(random), b = operand(random);
    rig.setGpr(Reg.RBX, inMemory ? DATA_AT : a);
    rig.poke(DATA_AT, 64, a);
    rig.setGpr(Reg.RDX, b);
    rig.setFlags("oszapc");
    const byte = (opcode + (bits === 8 ? 0 : 1)).toString(16).padStart(2, "0");
    assertEquals(rig.run(`${sizePrefix(bits)}${byte} ${inMemory ? "13" : "d3"}`), NONE);
    const result = cut(compute(a, b), bits);
    const what = `seed ${random.seed}: ${name} of ${bits} bits, ${a}, ${b}`;
    const stored = name === "test"
      ? a
      : inMemory
      ? a >> BigInt(bits) << BigInt(bits) | result
      : written(a, result, bits);
    assertEquals(inMemory ? rig.peek(DATA_AT, 64) : rig.gpr(Reg.RBX), stored, what);
    assertEquals(rig.flagsBut("a"), resultFlags(result, bits), what);
  }
});

Deno.test("NOT inverts and changes no flag", () => {
  for (const bits of [8, 16, 32, 64] as const) {
    const rig = new IntegerRig("long64");
    const value = 0x0123_4567_89ab_cdefn;
    rig.setGpr(Reg.RBX, value);
    rig.setFlags("osapc");
    assertEquals(rig.run(`${sizePrefix(bits)}${bits === 8 ? "f6" : "f7"} d3`), NONE);
    assertEquals(rig.gpr(Reg.RBX), written(value, ~value, bits));
    assertEquals(rig.flagsBut(), "osapc");
  }
});
