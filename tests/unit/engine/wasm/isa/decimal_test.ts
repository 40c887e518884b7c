import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { IntegerRig } from "../../../../support/integer_rig.ts";
import { DATA_AT, NONE } from "../../../../support/system_rig.ts";

/** A decimal number below 100 as two packed digits. */
function packed(value: number): number {
  return Math.floor(value / 10) << 4 | value % 10;
}

Deno.test("DAA and DAS correct every sum and difference of two packed decimals", () => {
  const rig = new IntegerRig("flat32");
  for (let a = 0; a < 100; a++) {
    for (let b = 0; b < 100; b++) {
      for (
        const [arithmetic, correct, result] of [
          ["00 d8", "27", a + b], // add al, bl; daa
          ["28 d8", "2f", a - b],
        ] as const
      ) {
        rig.setGpr(Reg.RAX, packed(a));
        rig.setGpr(Reg.RBX, packed(b));
        rig.run(arithmetic);
        assertEquals(rig.run(correct), NONE);
        const expected = packed((result + 100) % 100);
        const what = `${a}, ${b}`;
        assertEquals(rig.gpr(Reg.RAX), BigInt(expected), what);
        assertEquals(rig.cpu.cf, result < 0 || result > 99 ? 1 : 0, what);
        assertEquals([rig.cpu.zero === 0, rig.cpu.sign < 0], [expected === 0, expected > 0x7f]);
      }
    }
  }
});

Deno.test("DAA and DAS give what the manual's examples show", () => {
  const rig = new IntegerRig("flat32");
  rig.setGpr(Reg.RAX, 0xae); // 79 + 35 (SDM 2A DAA)
  rig.setFlags("os");
  assertEquals(rig.run("27"), NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.flagsBut("o")], [0x14n, "apc"]);
  rig.setGpr(Reg.RAX, 0xee); // 35 - 47 (SDM 2A DAS)
  rig.setFlags("sapc");
  assertEquals(rig.run("2f"), NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.flagsBut("o")], [0x88n, "sapc"]);
});

Deno.test("AAA and AAS carry into AH", () => {
  const rig = new IntegerRig("flat32");
  rig.setGpr(Reg.RAX, 0x020b);
  rig.setFlags("");
  assertEquals(rig.run("37"), NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.flagsBut("oszp")], [0x0301n, "ac"]);
  rig.setGpr(Reg.RAX, 0x02f5);
  rig.setFlags("ac");
  assertEquals(rig.run("3f"), NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.flagsBut("oszp")], [0x010fn, "ac"]);
  rig.setGpr(Reg.RAX, 0x0235);
  rig.setFlags("c");
  assertEquals(rig.run("37"), NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.flagsBut("oszp")], [0x0205n, ""]);
});

Deno.test("AAM and AAD convert in any base; AAM by 0 is #DE", () => {
  const rig = new IntegerRig("flat32");
  rig.setGpr(Reg.RAX, 0xff3f);
  assertEquals(rig.run("d4 0a"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x0603n);
  assertEquals(rig.run("d5 0a"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x003fn);
  assertEquals(rig.run("d4 10"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x030fn);
  assertEquals(rig.run("d4 00"), Vector.DE);
  assertEquals(rig.gpr(Reg.RAX), 0x030fn);
});

Deno.test("SALC spreads CF over AL", () => {
  const rig = new IntegerRig("flat32");
  rig.setGpr(Reg.RAX, 0x1234);
  rig.setFlags("c");
  assertEquals(rig.run("d6"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x12ffn);
  rig.setFlags("");
  assertEquals(rig.run("d6"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x1200n);
});

Deno.test("BOUND raises #BR outside of its bounds, which are signed and count", () => {
  const rig = new IntegerRig("flat32");
  rig.setGpr(Reg.RBX, DATA_AT);
  rig.poke(DATA_AT, 32, -2);
  rig.poke(DATA_AT + 4, 32, 3);
  for (
    const [index, vector] of [
      [-3, Vector.BR],
      [-2, NONE],
      [3, NONE],
      [4, Vector.BR],
    ] as const
  ) {
    rig.setGpr(Reg.RAX, BigInt.asUintN(32, BigInt(index)));
    assertEquals(rig.run("62 03"), vector, `${index}`);
  }
});

Deno.test("BOUND of 16 bits reads four bytes and no more", () => {
  const rig = new IntegerRig("real");
  rig.setGpr(Reg.RBX, 0xfffc);
  rig.poke(0xfffc, 16, 1);
  rig.poke(0xfffe, 16, 5);
  rig.setGpr(Reg.RAX, 5);
  assertEquals(rig.run("62 07"), NONE);
  rig.setGpr(Reg.RBX, 0xfffd);
  assertEquals(rig.run("62 07"), Vector.GP);
});

Deno.test("64-bit code has none of them", () => {
  const rig = new IntegerRig("long64");
  for (const code of ["27", "2f", "37", "3f", "d4 0a", "d5 0a", "d6", "62 03"]) {
    assertEquals(rig.run(code), Vector.UD, code);
  }
});
