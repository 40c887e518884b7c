import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import { cut, IntegerRig, operand, signed } from "../../../../support/integer_rig.ts";
import { Random, seed } from "../../../../support/random.ts";
import { NONE } from "../../../../support/system_rig.ts";

/** BMI1, BMI2 and ADX on RBX (ModRM.rm), RDX (VEX.vvvv) into RAX, by what they compute. */
const BMI: Readonly<
  Record<
    string,
    { vex: string; code: string; of: (rm: bigint, v: bigint, bits: 32 | 64) => bigint }
  >
> = {
  andn: { vex: "2 0", code: "f2 c3", of: (rm, v) => ~v & rm },
  bextr: {
    vex: "2 0",
    code: "f7 c3",
    of: (rm, v) => rm >> (v & 0xffn) & (1n << (v >> 8n & 0xffn)) - 1n,
  },
  bzhi: { vex: "2 0", code: "f5 c3", of: (rm, v) => cut(rm, Number(v & 0xffn)) },
  pdep: { vex: "2 3", code: "f5 c3", of: (rm, v, bits) => deposit(v, rm, bits) },
  pext: { vex: "2 2", code: "f5 c3", of: (rm, v, bits) => extract(v, rm, bits) },
  sarx: { vex: "2 2", code: "f7 c3", of: (rm, v, bits) => signed(rm, bits) >> v % BigInt(bits) },
  shlx: { vex: "2 1", code: "f7 c3", of: (rm, v, bits) => rm << v % BigInt(bits) },
  shrx: { vex: "2 3", code: "f7 c3", of: (rm, v, bits) => rm >> v % BigInt(bits) },
  rorx: {
    vex: "3 3",
    code: "f0 c3 2b",
    of: (rm, _, bits) => rm >> 43n % BigInt(bits) | rm << BigInt(bits) - 43n % BigInt(bits),
  },
};

function deposit(value: bigint, mask: bigint, bits: number): bigint {
  let result = 0n, at = 0n;
  for (let i = 0n; i < bits; i++) {
    if ((mask >> i & 1n) === 0n) continue;
    result |= (value >> at++ & 1n) << i;
  }
  return result;
}
function extract(value: bigint, mask: bigint, bits: number): bigint {
  let result = 0n, at = 0n;
  for (let i = 0n; i < bits; i++) {
    if ((mask >> i & 1n) !== 0n) result |= (value >> i & 1n) << at++;
  }
  return result;
}

/** VEX for map `map`, prefix `pp`, with `vvvv`: R, X and B as they are for low registers. */
function vex(map: number, pp: number, wide: boolean, vvvv: number): string {
  const last = (wide ? 0x80 : 0) | (~vvvv & 15) << 3 | pp;
  return `c4 ${(0xe0 | map).toString(16)} ${last.toString(16).padStart(2, "0")}`;
}

Deno.test("BMI's three-operand instructions compute what the manual's pseudo-code does", () => {
  const random = new Random(seed(34));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 8000; i++) {
    const name = random.pick(Object.keys(BMI));
    const instruction = BMI[name];
    const bits = random.pick([32, 64] as const);
    const rm = operand(random), v = operand(random);
    rig.setGpr(Reg.RAX, -1n);
    rig.setGpr(Reg.RBX, rm);
    rig.setGpr(Reg.RDX, v);
    rig.setFlags("oc");
    const [map, pp] = instruction.vex.split(" ").map(Number);
    const code = `${vex(map, pp, bits === 64, name === "rorx" ? 0 : Reg.RDX)} ${instruction.code}`;
    assertEquals(rig.run(code), NONE);
    const expected = cut(instruction.of(cut(rm, bits), cut(v, bits), bits), bits);
    const what = `seed ${random.seed}: ${name} of ${bits} bits, ${rm}, ${v}`;
    assertEquals(rig.gpr(Reg.RAX), expected, what);
    const quiet = !["andn", "bextr", "bzhi"].includes(name);
    const carry = name === "bzhi" && Number(v & 0xffn) > bits - 1;
    const zero = expected === 0n ? "z" : "";
    const sign = name !== "bextr" && signed(expected, bits) < 0n ? "s" : "";
    const except = name === "bextr" ? "sap" : "ap";
    assertEquals(rig.flagsBut(except), quiet ? "oc" : sign + zero + (carry ? "c" : ""), what);
  }
});

Deno.test("BLSR, BLSMSK and BLSI write VEX.vvvv", () => {
  const random = new Random(seed(35));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 2000; i++) {
    const digit = 1 + random.below(3);
    const bits = random.pick([32, 64] as const);
    const value = operand(random);
    rig.setGpr(Reg.RBX, value);
    rig.setFlags("o");
    const modrm = (0xc3 | digit << 3).toString(16);
    assertEquals(rig.run(`${vex(2, 0, bits === 64, Reg.RDX)} f3 ${modrm}`), NONE);
    const a = cut(value, bits);
    const result = cut([a & a - 1n, a ^ a - 1n, a & -a][digit - 1], bits);
    const what = `seed ${random.seed}: /${digit}, ${bits} bits, ${value}`;
    assertEquals(rig.gpr(Reg.RDX), result, what);
    const carry = digit === 3 ? a !== 0n : a === 0n;
    const sign = signed(result, bits) < 0n ? "s" : "";
    const expected = sign + (result === 0n ? "z" : "") + (carry ? "c" : "");
    assertEquals(rig.flagsBut("ap"), expected, what);
  }
});

Deno.test("MULX writes both halves and no flags; of one register twice the high half stays", () => {
  const random = new Random(seed(36));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 1000; i++) {
    const bits = random.pick([32, 64] as const);
    const a = operand(random), b = operand(random);
    rig.setGpr(Reg.RDX, a);
    rig.setGpr(Reg.RBX, b);
    rig.setFlags("oszapc");
    assertEquals(rig.run(`${vex(2, 3, bits === 64, Reg.RCX)} f6 c3`), NONE);
    const product = cut(a, bits) * cut(b, bits);
    const what = `seed ${random.seed}: ${bits} bits, ${a} * ${b}`;
    assertEquals(rig.gpr(Reg.RCX), cut(product, bits), what);
    assertEquals(rig.gpr(Reg.RAX), product >> BigInt(bits), what);
    assertEquals(rig.flagsBut(), "oszapc");
    assertEquals(rig.run(`${vex(2, 3, bits === 64, Reg.RAX)} f6 c3`), NONE);
    assertEquals(rig.gpr(Reg.RAX), product >> BigInt(bits), what);
  }
});

Deno.test("ADCX and ADOX are two chains of carries that leave each other alone", () => {
  const random = new Random(seed(37));
  const rig = new IntegerRig("long64");
  for (let i = 0; i < 2000; i++) {
    const bits = random.pick([32, 64] as const);
    const isOverflow = random.oneIn(2);
    const a = operand(random), b = operand(random);
    const start = random.pick(["", "o", "c", "oc", "oszapc"]);
    rig.setGpr(Reg.RAX, a);
    rig.setGpr(Reg.RBX, b);
    rig.setFlags(start);
    const prefix = isOverflow ? "f3 " : "66 ";
    assertEquals(rig.run(`${prefix}${bits === 64 ? "48 " : ""}0f 38 f6 c3`), NONE);
    const letter = isOverflow ? "o" : "c";
    const sum = cut(a, bits) + cut(b, bits) + (start.includes(letter) ? 1n : 0n);
    const what = `seed ${random.seed}: ${letter}, ${bits} bits, ${a} + ${b}, "${start}"`;
    assertEquals(rig.gpr(Reg.RAX), cut(sum, bits), what);
    assertEquals(rig.flagsBut(letter), start.replace(letter, ""), what);
    assertEquals(rig.flagsBut("oszapc".replace(letter, "")) !== "", sum >> BigInt(bits) !== 0n);
  }
});
