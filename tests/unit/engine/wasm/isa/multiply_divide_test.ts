import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import {
  type Bits,
  cut,
  IntegerRig,
  operand,
  signed,
  sizePrefix,
  written,
} from "../../../../support/integer_rig.ts";
import { Random, seed } from "../../../../support/random.ts";
import { NONE } from "../../../../support/system_rig.ts";

const SIZES: readonly Bits[] = [8, 16, 32, 64];
/** Group 3 with RBX as its operand: digit 4 MUL, 5 IMUL, 6 DIV, 7 IDIV. */
function group3(digit: number, bits: Bits): string {
  const modrm = (0xc0 | digit << 3 | Reg.RBX).toString(16);
  return `${sizePrefix(bits)}${bits === 8 ? "f6" : "f7"} ${modrm}`;
}

/** The double-width value in AX, or in rDX and rAX. */
function pair(rig: IntegerRig, bits: Bits): bigint {
  if (bits === 8) return cut(rig.gpr(Reg.RAX), 16);
  return cut(rig.gpr(Reg.RDX), bits) << BigInt(bits) | cut(rig.gpr(Reg.RAX), bits);
}

Deno.test("MUL and IMUL give the double-width product, and CF and OF when it needs that", () => {
  const random = new Random(seed(1));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 4000; i++) {
    const bits = random.pick(SIZES);
    const a = operand(random), b = operand(random);
    for (const isSigned of [false, true]) {
      rig.setGpr(Reg.RAX, a);
      rig.setGpr(Reg.RBX, b);
      rig.setGpr(Reg.RDX, -1n);
      assertEquals(rig.run(group3(isSigned ? 5 : 4, bits)), NONE);
      const product = isSigned ? signed(a, bits) * signed(b, bits) : cut(a, bits) * cut(b, bits);
      const fits = isSigned ? signed(product, bits) === product : cut(product, bits) === product;
      const what = `seed ${random.seed}: ${bits} bits, ${a} * ${b}, ${isSigned}`;
      assertEquals(pair(rig, bits), cut(product, 2 * bits), what);
      assertEquals(rig.flagsBut("szap"), fits ? "" : "oc", what);
    }
  }
});

Deno.test("IMUL of two and of three operands cuts the product to the operand size", () => {
  const random = new Random(seed(2));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 3000; i++) {
    const bits = random.pick([16, 32, 64] as const);
    const a = operand(random), b = operand(random);
    const imm = BigInt(random.below(256));
    const three = random.oneIn(2);
    rig.setGpr(Reg.RCX, a);
    rig.setGpr(Reg.RBX, b);
    // imul rcx, rbx; imul rcx, rbx, imm8
    const code = three ? `6b cb ${imm.toString(16)}` : "0f af cb";
    assertEquals(rig.run(sizePrefix(bits) + code), NONE);
    const product = signed(b, bits) * (three ? signed(imm, 8) : signed(a, bits));
    assertEquals(
      rig.gpr(Reg.RCX),
      written(a, product, bits),
      `seed ${random.seed}: ${bits} bits, ${a} * ${b}`,
    );
    assertEquals(rig.flagsBut("szap"), signed(product, bits) === product ? "" : "oc");
  }
});

Deno.test("DIV and IDIV give quotient and remainder, or #DE when the quotient does not fit", () => {
  const random = new Random(seed(3));
  const rig = new IntegerRig("long64");
  let fitting = 0;
  for (let i = 0; i < 12_000; i++) {
    const bits = random.pick(SIZES);
    const high = operand(random), low = operand(random), divisor = operand(random);
    // Of dividends with random upper halves few quotients would fit.
    const upper = random.oneIn(2) ? high % (cut(divisor, bits) + 1n) : 0n;
    rig.setGpr(Reg.RDX, upper);
    rig.setGpr(Reg.RAX, bits === 8 ? cut(upper, 8) << 8n | cut(low, 8) : low);
    rig.setGpr(Reg.RBX, divisor);
    const isSigned = random.oneIn(2);
    const n = isSigned ? signed(pair(rig, bits), 2 * bits) : pair(rig, bits);
    const d = isSigned ? signed(divisor, bits) : cut(divisor, bits);
    const quotient = d === 0n ? 0n : n / d;
    const fits = d !== 0n &&
      (isSigned ? signed(quotient, bits) === quotient : cut(quotient, bits) === quotient);
    const before = [rig.gpr(Reg.RAX), rig.gpr(Reg.RDX)];
    const vector = rig.run(group3(isSigned ? 7 : 6, bits));
    const what = `seed ${random.seed}: ${bits} bits, ${n} / ${d}`;
    assertEquals(vector, fits ? NONE : Vector.DE, what);
    if (!fits) {
      assertEquals([rig.gpr(Reg.RAX), rig.gpr(Reg.RDX)], before, what);
      continue;
    }
    fitting++;
    const remainder = cut(n % d, bits);
    const expected = bits === 8 ? remainder << 8n | cut(quotient, 8) : cut(quotient, bits);
    assertEquals(cut(rig.gpr(Reg.RAX), Math.max(bits, 16)), expected, what);
    if (bits !== 8) assertEquals(cut(rig.gpr(Reg.RDX), bits), remainder, what);
  }
  assertEquals(fitting > 4000, true, `${fitting} quotients fit`);
});

Deno.test("the most negative quotient fits, its positive counterpart does not", () => {
  const rig = new IntegerRig("long64");
  const min = -(2n ** 63n);
  rig.setGpr(Reg.RAX, min);
  rig.setGpr(Reg.RDX, -1n);
  rig.setGpr(Reg.RBX, 1n);
  assertEquals(rig.run("48 f7 fb"), NONE);
  assertEquals([signed(rig.gpr(Reg.RAX), 64), rig.gpr(Reg.RDX)], [min, 0n]);
  rig.setGpr(Reg.RDX, -1n);
  rig.setGpr(Reg.RBX, -1n);
  assertEquals(rig.run("48 f7 fb"), Vector.DE);
  assertEquals(signed(rig.gpr(Reg.RAX), 64), min);
});
