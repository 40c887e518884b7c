import { assertEquals } from "@std/assert";
import { atRdi, INDEFINITE, MF, NONE, Status, X87Rig } from "./x87_rig.ts";

const { IE, SF, ES, B, C1 } = Status;
const FLD1 = [0xd9, 0xe8];
const fxch = (i: number) => [0xd9, 0xc8 + i];
const fcmovb = (i: number) => [0xda, 0xc0 + i];

function full(): X87Rig {
  const rig = new X87Rig();
  rig.push(1, 2, 3, 4, 5, 6, 7, 8);
  return rig;
}

Deno.test("a push onto a full stack is an overflow: C1 is 1, the indefinite is pushed", () => {
  const rig = full();
  rig.run(...FLD1);
  assertEquals(rig.status, IE | SF | C1);
  assertEquals([rig.hex(0), rig.st(1), rig.x87.top], [INDEFINITE, 8, 7]);
});

Deno.test("an unmasked overflow pushes nothing and is reported by the next instruction", () => {
  const rig = full();
  rig.control = 0x37e;
  assertEquals(rig.run(...FLD1), NONE);
  assertEquals(rig.status, IE | SF | C1 | ES | B);
  assertEquals([rig.st(0), rig.x87.top], [8, 0]);
  assertEquals(rig.run(...FLD1), MF);
});

Deno.test("an empty operand is an underflow: C1 is 0, the result is the indefinite", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.x87.status |= C1;
  rig.run(0xd8, 0xc3); // fadd st, st(3)
  assertEquals(rig.status, IE | SF);
  assertEquals(rig.hex(0), INDEFINITE);
});

Deno.test("an unmasked underflow leaves the operands and does not pop", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.control = 0x37e;
  rig.run(0xde, 0xc3); // faddp st(3), st
  assertEquals(rig.status, IE | SF | ES | B);
  assertEquals([rig.st(0), rig.depth], [1, 1]);
});

Deno.test("FLD ST(i) of an empty register pushes the indefinite", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.run(0xd9, 0xc5); // fld st(5)
  assertEquals([rig.hex(0), rig.st(1), rig.status], [INDEFINITE, 1, IE | SF]);
});

Deno.test("FSTP of an empty register stores the indefinite of the format", () => {
  const rig = new X87Rig();
  rig.run(0xd9, atRdi(3)); // fstp m32
  assertEquals(rig.memory.getUint32(0, true), 0xffc0_0000);
  rig.run(0xdd, atRdi(3)); // fstp m64
  assertEquals(rig.memory.getBigUint64(0, true), 0xfff8_0000_0000_0000n);
  rig.run(0xdf, atRdi(3)); // fistp m16
  assertEquals(rig.memory.getUint16(0, true), 0x8000);
  rig.run(0xdf, atRdi(7)); // fistp m64
  assertEquals(rig.memory.getBigUint64(0, true), 1n << 63n);
  rig.run(0xdf, atRdi(6)); // fbstp
  assertEquals(rig.memory.getBigUint64(2, true), 0xffff_c000_0000_0000n);
  assertEquals(rig.x87.top, 5);
});

Deno.test("FXCH exchanges, and fills empty registers with the indefinite", () => {
  const rig = new X87Rig();
  rig.push(1, 2);
  rig.run(...fxch(1));
  assertEquals([rig.st(0), rig.st(1), rig.status], [1, 2, 0]);
  rig.run(...fxch(4));
  assertEquals([rig.hex(0), rig.st(4), rig.status], [INDEFINITE, 1, IE | SF]);
});

Deno.test("FINCSTP and FDECSTP turn the stack and touch no tags", () => {
  const rig = new X87Rig();
  rig.push(1, 2);
  rig.run(0xd9, 0xf7); // fincstp
  assertEquals([rig.x87.top, rig.x87.used, rig.st(0)], [7, 0xc0, 1]);
  rig.run(0xd9, 0xf6); // fdecstp
  rig.run(0xd9, 0xf6);
  assertEquals([rig.x87.top, rig.x87.used, rig.st(1)], [5, 0xc0, 2]);
});

Deno.test("FFREE empties a register and leaves its contents and TOP", () => {
  const rig = new X87Rig();
  rig.push(1, 2);
  rig.run(0xdd, 0xc1); // ffree st(1)
  assertEquals([rig.isEmpty(0), rig.isEmpty(1), rig.st(1), rig.x87.top], [false, true, 1, 6]);
});

Deno.test("FFREEP pops as well", () => {
  const rig = new X87Rig();
  rig.push(1, 2);
  rig.run(0xdf, 0xc0);
  assertEquals([rig.st(0), rig.depth], [1, 1]);
});

Deno.test("FCMOVcc moves by CF, ZF and PF", () => {
  const CF = 1, PF = 4, ZF = 64;
  const cases: [modrm: readonly number[], flag: number][] = [
    [[0xda, 0xc1], CF],
    [[0xda, 0xc9], ZF],
    [[0xda, 0xd1], CF],
    [[0xda, 0xd1], ZF],
    [[0xda, 0xd9], PF],
  ];
  for (const [[opcode, modrm], flag] of cases) {
    for (const [flags, not] of [[flag, 0], [0, 0], [flag, 1], [0, 1]]) {
      const rig = new X87Rig();
      rig.push(1, 2);
      rig.cpu.setStatusFlags(flags);
      rig.run(opcode + not, modrm);
      assertEquals(rig.st(0), (flags !== 0) !== (not === 1) ? 1 : 2, `${[modrm, flags, not]}`);
    }
  }
});

Deno.test("FCMOVcc of an empty register is an underflow whatever the condition", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.cpu.setStatusFlags(0);
  rig.run(...fcmovb(2));
  assertEquals([rig.hex(0), rig.status], [INDEFINITE, IE | SF]);
});
