import { assertEquals } from "@std/assert";
import { MXCSR_DEFAULT, SimdRig } from "./simd_rig.ts";

const CF = 1, PF = 4, ZF = 64;
const IE = 1;
const SIGNALLING = "010000000000f07f" + "00".repeat(8);

Deno.test("COMISD and UCOMISD tell less, equal, greater and unordered by CF, ZF and PF", () => {
  const rig = new SimdRig();
  const compare = (a: number, b: number) => {
    rig.doubles(0)[0] = a;
    rig.doubles(1)[0] = b;
    rig.cpu.setStatusFlags(0x8d5);
    assertEquals(rig.run(0x66, 0x0f, 0x2f, 0xc1), -1);
    return rig.cpu.statusFlags;
  };
  assertEquals(compare(1, 2), CF);
  assertEquals(compare(2, 2), ZF);
  assertEquals(compare(0, -0), ZF);
  assertEquals(compare(3, 2), 0);
  assertEquals(compare(-Infinity, Infinity), CF);
  assertEquals(compare(NaN, 2), CF | PF | ZF);
});

Deno.test("COMISD raises IE for every NaN, UCOMISD only for signalling ones", () => {
  const rig = new SimdRig();
  const flags = (opcode: number) => {
    rig.mxcsr = MXCSR_DEFAULT;
    assertEquals(rig.run(0x66, 0x0f, opcode, 0xc1), -1);
    return rig.mxcsr & 63;
  };
  rig.doubles(0)[0] = NaN;
  assertEquals([flags(0x2f), flags(0x2e)], [IE, 0]);
  rig.setHex(0, SIGNALLING);
  assertEquals([flags(0x2f), flags(0x2e)], [IE, IE]);
});

Deno.test("an unmasked exception of COMISD leaves the flags as they were", () => {
  const rig = new SimdRig();
  rig.mxcsr = 0;
  rig.doubles(0)[0] = NaN;
  rig.cpu.setStatusFlags(0x810);
  assertEquals(rig.run(0x66, 0x0f, 0x2f, 0xc1), 19);
  assertEquals(rig.cpu.statusFlags, 0x810);
});

Deno.test("CMPSD's eight predicates hold as the manual's table says", () => {
  const rig = new SimdRig();
  // For each predicate: less, equal, greater, unordered.
  const table = ["0100", "1000", "1100", "0001", "1011", "0111", "0011", "1110"];
  const pairs = [[1, 2], [2, 2], [3, 2], [NaN, 2]];
  table.forEach((expected, predicate) => {
    const found = pairs.map(([a, b]) => {
      rig.doubles(0).set([a, 5]);
      rig.doubles(1).set([b, 6]);
      assertEquals(rig.run(0xf2, 0x0f, 0xc2, 0xc1, predicate), -1);
      assertEquals(rig.doubles(0)[1], 5);
      return rig.words(0)[0] === -1 && rig.words(0)[1] === -1 ? "1" : "0";
    });
    assertEquals(found.join(""), expected, `predicate ${predicate}`);
  });
});

Deno.test("CMPPS gives a mask for each element", () => {
  const rig = new SimdRig();
  rig.singles(0).set([1, 5, -0, 3]);
  rig.singles(1).set([2, 4, 0, 3]);
  assertEquals(rig.run(0x0f, 0xc2, 0xc1, 2), -1); // less or equal
  assertEquals([...rig.words(0)], [-1, 0, -1, -1]);
});
