import { assertEquals } from "@std/assert";
import { PAGE_AT } from "../simd/simd_rig.ts";
import { atRdi, MF, NONE, Status, X87Rig } from "./x87_rig.ts";

const { IE, DE, ZE, OE, UE, PE, ES, B, C1 } = Status;

Deno.test("a masked division by zero gives infinity", () => {
  const rig = new X87Rig();
  rig.push(0, -1);
  rig.run(0xde, 0xf1); // fdivrp st(1), st: st(1) = st / st(1)
  assertEquals([rig.st(0), rig.status, rig.depth], [-Infinity, ZE, 1]);
});

Deno.test("an unmasked division by zero leaves the stack; #MF comes with the next instruction", () => {
  const rig = new X87Rig();
  rig.push(0, -1);
  rig.control = 0x37b;
  assertEquals(rig.run(0xde, 0xf1), NONE);
  assertEquals([rig.st(0), rig.st(1), rig.depth], [-1, 0, 2]);
  assertEquals(rig.status, ZE | ES | B);
  assertEquals(rig.run(0xde, 0xf1), MF);
});

Deno.test("FIP follows every instruction, FOP and FDP only unmasked exceptions", () => {
  const rig = new X87Rig();
  rig.push(1);
  rig.memory.setFloat64(8, 0, true);
  rig.cpu.codeBaseLo = 0x1000;
  rig.cpu.codeBaseHi = 0x7f;
  rig.run(0xdc, 0x77, 8); // fdiv m64
  const masked = rig.x87;
  assertEquals([masked.ipLo, masked.ipHi, masked.opcode, masked.dpLo], [0x1000, 0x7f, 0, 0]);
  rig.run(0xdb, 0xe2); // fnclex
  rig.push(1);
  rig.control = 0x340;
  rig.run(0xdc, 0x77, 8);
  assertEquals([rig.x87.opcode, rig.x87.dpLo, rig.x87.dpHi], [0x477, PAGE_AT + 8, 0]);
});

Deno.test("control instructions leave the pointers", () => {
  const rig = new X87Rig();
  rig.x87.ipLo = 5;
  rig.run(0xd9, 0xd0); // fnop
  rig.run(0xdb, 0xe2); // fnclex
  rig.control = 0x37f;
  rig.run(0xdf, 0xe0); // fnstsw ax
  assertEquals(rig.x87.ipLo, 5);
});

Deno.test("an unmasked inexact result is stored and popped; C1 tells that it was rounded up", () => {
  const rig = new X87Rig();
  rig.push(2 / 3);
  rig.control = 0x35f;
  rig.run(0xd9, atRdi(3)); // fstp m32
  assertEquals(rig.memory.getFloat32(0, true), Math.fround(2 / 3));
  assertEquals([rig.status, rig.depth], [PE | C1 | ES | B, 0]);
});

Deno.test("an unmasked overflow of a store leaves memory and the stack", () => {
  const rig = new X87Rig();
  rig.push(1e300);
  rig.control = 0x377;
  rig.run(0xd9, atRdi(3));
  assertEquals([rig.memory.getUint32(0, true), rig.depth], [0, 1]);
  assertEquals(rig.status, OE | ES | B);
});

Deno.test("a masked overflow of a store gives infinity", () => {
  const rig = new X87Rig();
  rig.push(1e300);
  rig.run(0xd9, atRdi(3));
  assertEquals([rig.memory.getFloat32(0, true), rig.status], [Infinity, OE | PE | C1]);
});

Deno.test("a masked underflow of a store gives a denormal", () => {
  const rig = new X87Rig();
  rig.push(2 ** -140 * (1 + 2 ** -20));
  rig.run(0xd9, atRdi(3));
  assertEquals([rig.memory.getFloat32(0, true), rig.status], [2 ** -140, UE | PE]);
});

Deno.test("an unmasked underflow in a register adds 24576 to the exponent", () => {
  const rig = new X87Rig();
  rig.memory.setBigUint64(0, 1n << 63n, true);
  rig.memory.setUint16(8, 1, true); // the smallest normal number
  rig.run(0xdb, atRdi(5)); // fld m80
  rig.control = 0x36f;
  rig.memory.setFloat32(16, 0.5, true);
  rig.run(0xd8, 0x4f, 16); // fmul m32
  assertEquals([rig.hex(0), rig.status], ["6000:8000000000000000", UE | ES | B]);
});

Deno.test("a signalling NaN becomes quiet when it is loaded from 32 or 64 bits, not from 80", () => {
  const rig = new X87Rig();
  rig.memory.setUint32(0, 0x7f80_0001, true);
  rig.run(0xd9, atRdi(0));
  assertEquals([rig.hex(0), rig.status], ["7fff:c000010000000000", IE]);
  rig.run(0xdb, 0xe2); // fnclex
  rig.memory.setBigUint64(0, 0x8000_0000_0000_0001n, true);
  rig.memory.setUint16(8, 0x7fff, true);
  rig.run(0xdb, atRdi(5));
  assertEquals([rig.hex(0), rig.status], ["7fff:8000000000000001", 0]);
});

Deno.test("a denormal is flagged when it is loaded from 32 bits, not from 80", () => {
  const rig = new X87Rig();
  rig.memory.setUint32(0, 1, true);
  rig.run(0xd9, atRdi(0));
  assertEquals([rig.st(0), rig.status], [2 ** -149, DE]);
  rig.run(0xdb, 0xe2);
  rig.memory.setUint16(8, 0, true);
  rig.run(0xdb, atRdi(5));
  assertEquals(rig.status, 0);
});

Deno.test("FCHS and FABS of a signalling NaN raise nothing", () => {
  const rig = new X87Rig();
  rig.memory.setBigUint64(0, 0x8000_0000_0000_0001n, true);
  rig.memory.setUint16(8, 0x7fff, true);
  rig.run(0xdb, atRdi(5));
  rig.run(0xd9, 0xe0);
  assertEquals(rig.hex(0), "ffff:8000000000000001");
  rig.run(0xd9, 0xe1);
  assertEquals([rig.hex(0), rig.status], ["7fff:8000000000000001", 0]);
});
