import { assertEquals } from "@std/assert";
import { atRdi, Status, X87Rig } from "./x87_rig.ts";

const { IE, SF, ES, B, C0, C1, C2, C3 } = Status;
const UNORDERED = C3 | C2 | C0;
const CODES = C3 | C2 | C1 | C0;
/** ST(0), the operand, condition codes. */
const RELATIONS: readonly (readonly [number, number, number])[] = [
  [2, 1, 0],
  [1, 2, C0],
  [1, 1, C3],
  [0, -0, C3],
  [-Infinity, Infinity, C0],
];

Deno.test("FCOM with registers, 32 and 64 bits: greater, less, equal", () => {
  for (const [a, b, codes] of RELATIONS) {
    const rig = new X87Rig();
    rig.push(b, a);
    rig.memory.setFloat32(0, b, true);
    rig.memory.setFloat64(8, b, true);
    for (const bytes of [[0xd8, 0xd1], [0xdd, 0xe1], [0xd8, atRdi(2)], [0xdc, 0x57, 8]]) {
      rig.x87.status = CODES;
      rig.run(...bytes);
      assertEquals([rig.status, rig.depth], [codes, 2], `${a} ${b} ${bytes}`);
    }
  }
});

Deno.test("the P forms pop once, FCOMPP and FUCOMPP twice", () => {
  for (
    const [bytes, depth] of [
      [[0xd8, 0xd9], 1],
      [[0xdd, 0xe9], 1],
      [[0xd8, atRdi(3)], 1],
      [[0xda, atRdi(3)], 1],
      [[0xde, 0xd9], 0],
      [[0xda, 0xe9], 0],
    ] as const
  ) {
    const rig = new X87Rig();
    rig.push(1, 2);
    rig.run(...bytes);
    assertEquals(rig.depth, depth, `${bytes}`);
  }
});

Deno.test("FICOM compares with signed integers", () => {
  const rig = new X87Rig();
  rig.push(0);
  rig.memory.setInt32(0, -1, true);
  rig.run(0xda, atRdi(2));
  assertEquals(rig.status, 0);
  rig.memory.setInt16(0, 1, true);
  rig.run(0xde, atRdi(2));
  assertEquals(rig.status, C0);
});

Deno.test("a quiet NaN is invalid for FCOM, unordered only for FUCOM", () => {
  const rig = new X87Rig();
  rig.push(NaN, 1);
  rig.run(0xdd, 0xe1); // fucom
  assertEquals(rig.status, UNORDERED);
  rig.run(0xd8, 0xd1); // fcom
  assertEquals(rig.status, UNORDERED | IE);
});

Deno.test("an unmasked invalid comparison does not pop", () => {
  const rig = new X87Rig();
  rig.push(NaN, 1);
  rig.control = 0x37e;
  rig.run(0xde, 0xd9); // fcompp
  assertEquals([rig.status, rig.depth], [UNORDERED | IE | ES | B, 2]);
});

Deno.test("an empty register compares unordered", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.run(0xd8, 0xd1);
  assertEquals(rig.status, UNORDERED | IE | SF);
});

Deno.test("FCOMI and FUCOMI set ZF, PF and CF, clear the others and leave C0, C2, C3", () => {
  const CF = 1, PF = 4, ZF = 64;
  for (const [a, b, flags] of [[2, 1, 0], [1, 2, CF], [1, 1, ZF], [NaN, 1, ZF | PF | CF]]) {
    for (
      const [bytes, depth] of [[[0xdb, 0xf1], 2], [[0xdb, 0xe9], 2], [[0xdf, 0xf1], 1], [
        [0xdf, 0xe9],
        1,
      ]] as const
    ) {
      const rig = new X87Rig();
      rig.push(b, a);
      rig.x87.status = UNORDERED;
      rig.cpu.setStatusFlags(0x8d5);
      rig.run(...bytes);
      assertEquals([rig.cpu.statusFlags, rig.status & CODES, rig.depth], [flags, UNORDERED, depth]);
    }
  }
});

Deno.test("FTST compares with zero", () => {
  for (const [value, codes] of [[1, 0], [-1, C0], [-0, C3], [NaN, UNORDERED | IE]]) {
    const rig = new X87Rig();
    rig.push(value);
    rig.run(0xd9, 0xe4);
    assertEquals(rig.status, codes, `${value}`);
  }
});

Deno.test("FXAM tells classes in C3, C2, C0 and the sign in C1", () => {
  const cases = [[1, C2], [-1, C2 | C1], [0, C3], [-0, C3 | C1], [Infinity, C2 | C0], [NaN, C0]];
  for (const [value, codes] of cases) {
    const rig = new X87Rig();
    rig.push(value);
    rig.run(0xd9, 0xe5);
    assertEquals(rig.status, codes, `${value}`);
  }
});

Deno.test("FXAM tells denormals, unsupported encodings and empty registers, and raises nothing", () => {
  const rig = new X87Rig();
  for (const [top, exponent, codes] of [[1n, 0, C3 | C2], [1n, 0x3fff, 0]] as const) {
    rig.memory.setBigUint64(0, top, true);
    rig.memory.setUint16(8, exponent, true);
    rig.run(0xdb, atRdi(5));
    rig.run(0xd9, 0xe5);
    assertEquals(rig.status, codes);
  }
  rig.run(0xdd, 0xc0); // ffree st(0)
  rig.run(0xd9, 0xe5);
  assertEquals(rig.status, C3 | C0);
});
