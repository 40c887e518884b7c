import { assert, assertEquals } from "@std/assert";
import { atRdi, INDEFINITE, Status, X87Rig } from "./x87_rig.ts";

/** Asserts that two doubles are a few units of the last place apart at most. */
function assertClose(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) <= Math.abs(expected) * 2 ** -51, `${actual}, ${expected}`);
}

const { IE, PE, C0, C1, C2, C3 } = Status;

Deno.test("all forms of the operations, and which operand is which", () => {
  // With ST(0) = 3 and ST(1) or memory = 12: ModRM.reg, the result.
  const results: [reg: number, result: number][] = [[0, 15], [1, 36], [4, -9], [5, 9], [6, 0.25], [
    7,
    4,
  ]];
  for (const [reg, result] of results) {
    const modrm = 0xc1 | reg << 3;
    const toTop = prepared();
    toTop.run(0xd8, modrm);
    assertEquals([toTop.st(0), toTop.st(1)], [result, 12]);
    const toOther = prepared();
    toOther.run(0xdc, modrm);
    assertEquals([toOther.st(0), toOther.st(1)], [3, result]);
    const popped = prepared();
    popped.run(0xde, modrm);
    assertEquals([popped.st(0), popped.depth], [result, 1]);
    for (const opcode of [0xd8, 0xda, 0xdc, 0xde]) {
      const rig = prepared();
      if (opcode === 0xd8) rig.memory.setFloat32(0, 12, true);
      else if (opcode === 0xdc) rig.memory.setFloat64(0, 12, true);
      else rig.memory.setInt32(0, 12, true);
      rig.run(opcode, atRdi(reg));
      assertEquals([rig.st(0), rig.depth], [result, 2], `${opcode.toString(16)} /${reg}`);
    }
  }
});

function prepared(): X87Rig {
  const rig = new X87Rig();
  rig.push(12, 3);
  return rig;
}

Deno.test("integer operands are signed", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.memory.setInt16(0, -5, true);
  rig.run(0xde, atRdi(0)); // fiadd m16
  assertEquals(rig.st(0), -4);
});

Deno.test("precision control rounds results to 24 or 53 bits, not what is loaded", () => {
  const value = 1 + 2 ** -40;
  for (const [control, expected] of [[0x07f, 1], [0x27f, value], [0x37f, value]]) {
    const rig = new X87Rig();
    rig.control = control;
    rig.push(0, value);
    assertEquals(rig.st(0), value);
    rig.run(0xd8, 0xc1); // fadd st, st(1)
    assertEquals(rig.st(0), expected, control.toString(16));
  }
});

Deno.test("rounding control: nearest even, down, up, toward zero", () => {
  for (const [rc, expected] of [[0, -2], [1, -3], [2, -2], [3, -2]]) {
    const rig = new X87Rig();
    rig.push(-2.5);
    rig.control = 0x37f | rc << 10;
    rig.run(0xd9, 0xfc); // frndint
    assertEquals([rig.st(0), rig.status & PE], [expected, PE]);
  }
});

Deno.test("FSQRT is exact, and invalid of negative numbers but -0", () => {
  const rig = new X87Rig();
  rig.push(-0, 9);
  rig.run(0xd9, 0xfa);
  assertEquals([rig.st(0), rig.status], [3, 0]);
  rig.run(0xdd, 0xd8); // fstp st(0)
  rig.run(0xd9, 0xfa);
  assertEquals(rig.hex(0), "8000:0000000000000000");
  rig.push(-9);
  rig.run(0xd9, 0xfa);
  assertEquals([rig.hex(0), rig.status], [INDEFINITE, IE]);
});

Deno.test("FSCALE multiplies by a power of 2, the exponent cut to an integer", () => {
  const rig = new X87Rig();
  rig.push(-3.9, 5);
  rig.run(0xd9, 0xfd);
  assertEquals([rig.st(0), rig.st(1)], [0.625, -3.9]);
});

Deno.test("FXTRACT leaves the exponent below the significand", () => {
  const rig = new X87Rig();
  rig.push(-40);
  rig.run(0xd9, 0xf4);
  assertEquals([rig.st(0), rig.st(1)], [-1.25, 5]);
});

Deno.test("FXTRACT on a full stack is an overflow with two indefinites", () => {
  const rig = new X87Rig();
  rig.push(1, 2, 3, 4, 5, 6, 7, 8);
  rig.run(0xd9, 0xf4);
  assertEquals([rig.hex(0), rig.hex(1), rig.status & C1], [INDEFINITE, INDEFINITE, C1]);
});

Deno.test("FPREM gives the truncated remainder and the quotient's bits in C0, C3, C1", () => {
  // Quotients 7, 4 and 3
  for (
    const [a, b, rest, codes] of [[23, 3, 2, C0 | C3 | C1], [23, 5, 3, C0], [11, 3, 2, C3 | C1]]
  ) {
    const rig = new X87Rig();
    rig.push(b, a);
    rig.run(0xd9, 0xf8);
    assertEquals([rig.st(0), rig.status], [rest, codes], `${a} / ${b}`);
  }
});

Deno.test("FPREM1 rounds the quotient to nearest", () => {
  const rig = new X87Rig();
  rig.push(3, 11);
  rig.run(0xd9, 0xf5);
  assertEquals([rig.st(0), rig.status], [-1, C0]); // quotient 4
});

Deno.test("FPREM sets C2 until the remainder is complete", () => {
  const rig = new X87Rig();
  rig.push(3, 2 ** 200);
  let steps = 0;
  do rig.run(0xd9, 0xf8); while ((rig.status & C2) !== 0 && ++steps < 10);
  assertEquals([rig.st(0), steps > 1 && steps < 10], [1, true]);
});

Deno.test("FSIN, FCOS and FPTAN set C2 out of range and leave the argument", () => {
  for (const modrm of [0xfe, 0xff, 0xf2, 0xfb]) {
    const rig = new X87Rig();
    rig.push(2 ** 63);
    rig.run(0xd9, modrm);
    assertEquals([rig.st(0), rig.status & C2, rig.depth], [2 ** 63, C2, 1]);
  }
});

Deno.test("FSINCOS pushes the cosine above the sine, FPTAN 1 above the tangent", () => {
  const rig = new X87Rig();
  rig.push(0.5);
  rig.run(0xd9, 0xfb);
  assertClose(rig.st(0), Math.cos(0.5));
  assertClose(rig.st(1), Math.sin(0.5));
  rig.push(0.5);
  rig.run(0xd9, 0xf2);
  assertEquals(rig.st(0), 1);
  assertClose(rig.st(1), Math.tan(0.5));
});

Deno.test("FPTAN of infinity gives two indefinites", () => {
  const rig = new X87Rig();
  rig.push(Infinity);
  rig.run(0xd9, 0xf2);
  assertEquals([rig.hex(0), rig.hex(1), rig.status], [INDEFINITE, INDEFINITE, IE]);
});

Deno.test("FYL2X, FYL2XP1 and FPATAN take x from ST(0), y from ST(1), and pop", () => {
  const cases: [modrm: number, expected: number][] = [
    [0xf1, 3 * Math.log2(0.25)],
    [0xf9, 3 * Math.log2(1.25)],
    [0xf3, Math.atan2(3, 0.25)],
  ];
  for (const [modrm, expected] of cases) {
    const rig = new X87Rig();
    rig.push(3, 0.25);
    rig.run(0xd9, modrm);
    assertClose(rig.st(0), expected);
    assertEquals(rig.depth, 1);
  }
});

Deno.test("F2XM1 is 2^x - 1", () => {
  const rig = new X87Rig();
  rig.push(0.5);
  rig.run(0xd9, 0xf0);
  assertClose(rig.st(0), Math.SQRT2 - 1);
});
