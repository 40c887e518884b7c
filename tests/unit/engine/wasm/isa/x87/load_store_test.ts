import { assertEquals } from "@std/assert";
import { atRdi, Status, X87Rig } from "./x87_rig.ts";

const { IE, PE } = Status;

Deno.test("the constants, rounded to nearest", () => {
  const hex = ["3fff:8000000000000000", "4000:d49a784bcd1b8afe", "3fff:b8aa3b295c17f0bc"];
  hex.push("4000:c90fdaa22168c235", "3ffd:9a209a84fbcff799", "3ffe:b17217f7d1cf79ac");
  hex.push("0000:0000000000000000");
  hex.forEach((value, i) => {
    const rig = new X87Rig();
    rig.run(0xd9, 0xe8 + i);
    assertEquals([rig.hex(0), rig.status], [value, 0]);
  });
});

Deno.test("rounding control counts for constants", () => {
  const rig = new X87Rig();
  rig.control = 0x77f; // down
  rig.run(0xd9, 0xeb); // fldpi
  assertEquals(rig.hex(0), "4000:c90fdaa22168c234");
});

Deno.test("FILD of 16, 32 and 64 bits is exact", () => {
  const rig = new X87Rig();
  rig.memory.setBigInt64(0, -0x7fff_ffff_ffff_fffen, true);
  rig.run(0xdf, atRdi(5));
  assertEquals(rig.hex(0), "c03d:fffffffffffffffc");
  rig.run(0xdb, atRdi(0));
  assertEquals(rig.st(0), 2);
  rig.memory.setInt16(0, -3, true);
  rig.run(0xdf, atRdi(0));
  assertEquals(rig.st(0), -3);
});

Deno.test("FISTP rounds as RC says, FISTTP toward zero", () => {
  const rig = new X87Rig();
  rig.push(2.75, 2.75, -2.75);
  rig.run(0xdb, atRdi(3)); // fistp m32
  assertEquals(rig.memory.getInt32(0, true), -3);
  rig.run(0xdb, atRdi(1)); // fisttp m32
  assertEquals([rig.memory.getInt32(0, true), rig.depth], [2, 1]);
  rig.run(0xdd, atRdi(1)); // fisttp m64
  assertEquals([rig.memory.getBigInt64(0, true), rig.depth], [2n, 0]);
  assertEquals(rig.status & PE, PE);
});

Deno.test("FIST of what does not fit is invalid: the integer indefinite", () => {
  const rig = new X87Rig();
  rig.push(32768);
  rig.run(0xdf, atRdi(2)); // fist m16
  assertEquals([rig.memory.getInt16(0, true), rig.status, rig.depth], [-32768, IE, 1]);
});

Deno.test("an unmasked invalid FISTP neither stores nor pops", () => {
  const rig = new X87Rig();
  rig.push(NaN);
  rig.control = 0x37e;
  rig.memory.setInt32(0, 7, true);
  rig.run(0xdb, atRdi(3));
  assertEquals([rig.memory.getInt32(0, true), rig.depth], [7, 1]);
});

Deno.test("FLD and FSTP of 80 bits copy every bit", () => {
  const rig = new X87Rig();
  rig.memory.setBigUint64(0, 0x0123_4567_89ab_cdefn, true); // not a supported encoding
  rig.memory.setUint16(8, 0x8765, true);
  rig.run(0xdb, atRdi(5));
  assertEquals(rig.hex(0), "8765:0123456789abcdef");
  rig.run(0xdb, 0x7f, 32);
  assertEquals(rig.memory.getBigUint64(32, true), 0x0123_4567_89ab_cdefn);
  assertEquals([rig.memory.getUint16(40, true), rig.memory.getUint16(42, true)], [0x8765, 0]);
  assertEquals([rig.status, rig.depth], [0, 0]);
});

Deno.test("FBLD and FBSTP: 18 digits and a sign", () => {
  const rig = new X87Rig();
  rig.memory.setBigUint64(0, 0x1234_5678_9012_3456n, true);
  rig.memory.setUint16(8, 0x8098, true);
  rig.run(0xdf, atRdi(4));
  assertEquals(rig.st(0), -981234567890123456);
  rig.run(0xdf, 0x77, 16);
  assertEquals(rig.memory.getBigUint64(16, true), 0x1234_5678_9012_3456n);
  assertEquals([rig.memory.getUint16(24, true), rig.depth], [0x8098, 0]);
});

Deno.test("FST ST(i) copies, FSTP ST(i) pops as well", () => {
  const rig = new X87Rig();
  rig.push(1, 2, 3);
  rig.run(0xdd, 0xd2); // fst st(2)
  assertEquals([rig.st(0), rig.st(1), rig.st(2)], [3, 2, 3]);
  rig.run(0xdd, 0xd9); // fstp st(1)
  assertEquals([rig.st(0), rig.st(1), rig.depth], [3, 3, 2]);
});

Deno.test("FST of a register rounds to 64 bits", () => {
  const rig = new X87Rig();
  rig.run(0xd9, 0xeb); // fldpi
  rig.run(0xdd, atRdi(2));
  assertEquals([rig.memory.getFloat64(0, true), rig.status & PE], [Math.PI, PE]);
});
