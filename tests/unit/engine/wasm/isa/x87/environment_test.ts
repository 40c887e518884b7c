import { assertEquals } from "@std/assert";
import { atRdi, MF, Status, X87Rig } from "./x87_rig.ts";

const FLDENV = [0xd9, atRdi(4)];
const FNSTENV = [0xd9, atRdi(6)];
const FRSTOR = [0xdd, atRdi(4)];
const FNSAVE = [0xdd, atRdi(6)];

function pointers(rig: X87Rig): void {
  rig.x87.ipLo = 0x1234_5678;
  rig.x87.dpLo = 0x9abc_def0 | 0;
  rig.x87.opcode = 0x5a5;
}

function words(rig: X87Rig, count: number): string[] {
  return Array.from({ length: count }, (_, i) => rig.memory.getUint32(i * 4, true).toString(16));
}

Deno.test("FNSTENV writes seven words of 32 bits, the selectors zero", () => {
  const rig = new X87Rig();
  rig.push(0, 1, Infinity);
  pointers(rig);
  rig.run(...FNSTENV);
  // Tags of registers 7 to 5: zero, valid, special; the others are empty.
  assertEquals(words(rig, 7), [
    "ffff037f",
    "ffff2800",
    "ffff4bff",
    "12345678",
    "5a50000",
    "9abcdef0",
    "ffff0000",
  ]);
});

Deno.test("FNSTENV of 16 bits writes 14 bytes", () => {
  const rig = new X87Rig();
  pointers(rig);
  rig.simd.page.fill(0xcc, 0, 32);
  rig.run(0x66, ...FNSTENV);
  const got = Array.from({ length: 8 }, (_, i) => rig.memory.getUint16(i * 2, true));
  assertEquals(got, [0x37f, 0, 0xffff, 0x5678, 0, 0xdef0, 0, 0xcccc]);
});

Deno.test("in real mode the pointers have 32 or 20 bits and the opcode is beside them", () => {
  const rig = new X87Rig();
  pointers(rig);
  rig.cpu.protectedMode = false;
  rig.run(...FNSTENV);
  assertEquals(words(rig, 7).slice(3), ["ffff5678", "12345a5", "ffffdef0", "9abc000"]);
  rig.run(0x66, ...FNSTENV);
  const got = [6, 8, 10, 12].map((at) => rig.memory.getUint16(at, true));
  assertEquals(got, [0x5678, 0x45a5, 0xdef0, 0xc000]);
});

Deno.test("real mode's pointers come back from both formats", () => {
  const rig = new X87Rig();
  rig.cpu.protectedMode = false;
  for (const [prefix, mask] of [[[], -1], [[0x66], 0xf_ffff]] as const) {
    pointers(rig);
    rig.run(...prefix, ...FNSTENV);
    rig.x87.ipLo = rig.x87.dpLo = rig.x87.opcode = 0;
    rig.run(...prefix, ...FLDENV);
    const { ipLo, dpLo, opcode } = rig.x87;
    assertEquals([ipLo, dpLo, opcode], [0x1234_5678 & mask, 0x9abc_def0 & mask, 0x5a5]);
  }
});

Deno.test("FNSTENV masks all exceptions once the environment is stored", () => {
  const rig = new X87Rig();
  rig.push(0, 1);
  rig.control = 0x340;
  rig.run(0xd8, 0xf1); // fdiv st, st(1)
  rig.run(...FNSTENV);
  assertEquals(rig.memory.getUint16(0, true), 0x340);
  assertEquals(rig.memory.getUint16(4, true) & Status.ES, Status.ES);
  assertEquals([rig.x87.control, rig.status], [0x37f, Status.ZE]);
});

Deno.test("FLDENV makes an exception pending when it is flagged and not masked", () => {
  const rig = new X87Rig();
  rig.memory.setUint16(0, 0x37e, true);
  rig.memory.setUint16(4, Status.IE, true);
  rig.memory.setUint16(8, 0xffff, true);
  rig.run(...FLDENV);
  assertEquals(rig.status, Status.IE | Status.ES | Status.B);
  assertEquals(rig.run(0x9b), MF);
});

Deno.test("FLDENV clears the summary when nothing is pending", () => {
  const rig = new X87Rig();
  rig.memory.setUint16(0, 0x37f, true);
  rig.memory.setUint16(4, Status.ES | Status.B | Status.IE, true);
  rig.run(...FLDENV);
  assertEquals(rig.status, Status.IE);
});

Deno.test("FLDENV takes from the tag word only which registers are empty", () => {
  const rig = new X87Rig();
  rig.memory.setUint16(0, 0x37f, true);
  rig.memory.setUint16(8, 0b11_10_01_00_11_11_11_00, true);
  rig.run(...FLDENV);
  assertEquals(rig.x87.used, 0b0111_0001);
});

Deno.test("FNSAVE stores the registers in stack order and initializes", () => {
  const rig = new X87Rig();
  rig.push(1, -2);
  rig.run(...FNSAVE);
  const value = (i: number) => rig.memory.getUint16(28 + i * 10 + 8, true);
  assertEquals([value(0), value(1)], [0xc000, 0x3fff]);
  assertEquals(rig.memory.getUint32(28 + 4, true), 0x8000_0000);
  assertEquals([rig.x87.control, rig.x87.statusWord, rig.x87.used], [0x37f, 0, 0]);
});

Deno.test("FRSTOR brings back what FNSAVE has stored, in both sizes", () => {
  for (const prefix of [[], [0x66]]) {
    const rig = new X87Rig();
    rig.push(1, -2, 0.5);
    rig.control = 0xe72;
    rig.run(...prefix, ...FNSAVE);
    rig.cpu.s.fill(0, rig.x87.word(0), rig.x87.word(7) + 4);
    rig.run(...prefix, ...FRSTOR);
    assertEquals([rig.st(0), rig.st(1), rig.st(2)], [0.5, -2, 1]);
    assertEquals([rig.x87.control, rig.x87.top, rig.depth], [0xe72, 5, 3]);
  }
});
