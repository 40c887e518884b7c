import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import {
  type Bits,
  cut,
  IntegerRig,
  sizePrefix,
  written,
} from "../../../../support/integer_rig.ts";
import { DATA_AT, NONE } from "../../../../support/system_rig.ts";

const SIZES: readonly Bits[] = [8, 16, 32, 64];
const A = 0x7fff_ffff_7f7f_7f7fn;
const B = 0x0102_0304_0506_0701n;

Deno.test("XADD leaves the sum in the destination and its old value in the source", () => {
  for (const bits of SIZES) {
    for (const inMemory of [false, true]) {
      const rig = new IntegerRig("long64");
      rig.setGpr(Reg.RBX, inMemory ? DATA_AT : A);
      rig.poke(DATA_AT, 64, A);
      rig.setGpr(Reg.RDX, B);
      const code = `${sizePrefix(bits)}0f ${bits === 8 ? "c0" : "c1"} ${inMemory ? "13" : "d3"}`;
      assertEquals(rig.run(code), NONE);
      const sum = cut(A + B, bits);
      if (inMemory) assertEquals(rig.peek(DATA_AT, bits), sum, code);
      else assertEquals(rig.gpr(Reg.RBX), written(A, sum, bits), code);
      assertEquals(rig.gpr(Reg.RDX), written(B, A, bits), code);
      assertEquals(rig.cpu.over < 0, true, "the sum of both signs' largest overflows");
    }
  }
});

Deno.test("XADD of a register with itself doubles it", () => {
  const rig = new IntegerRig("long64");
  rig.setGpr(Reg.RBX, 0x1234);
  assertEquals(rig.run("48 0f c1 db"), NONE);
  assertEquals(rig.gpr(Reg.RBX), 0x2468n);
});

Deno.test("CMPXCHG stores the source when the accumulator matches, else loads the accumulator", () => {
  for (const bits of SIZES) {
    const code = `f0 ${sizePrefix(bits)}0f ${bits === 8 ? "b0" : "b1"} 13`;
    const rig = new IntegerRig("long64");
    rig.setGpr(Reg.RBX, DATA_AT);
    rig.setGpr(Reg.RDX, B);
    rig.poke(DATA_AT, 64, A);
    rig.setGpr(Reg.RAX, A);
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.peek(DATA_AT, bits), cut(B, bits), code);
    assertEquals([rig.cpu.zero, rig.cpu.cf], [0, 0]);
    rig.setGpr(Reg.RAX, A);
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.gpr(Reg.RAX), written(A, B, bits), code);
    assertEquals(rig.peek(DATA_AT, bits), cut(B, bits));
    assertEquals(rig.cpu.zero !== 0, true);
  }
});

Deno.test("CMPXCHG8B and CMPXCHG16B compare rDX:rAX, and change ZF alone", () => {
  for (const [code, bits] of [["f0 0f c7 0e", 32], ["f0 48 0f c7 0e", 64]] as const) {
    const rig = new IntegerRig("long64");
    const bytes = bits / 8;
    rig.setGpr(Reg.RSI, DATA_AT);
    rig.poke(DATA_AT, bits, A);
    rig.poke(DATA_AT + bytes, bits, B);
    rig.setGpr(Reg.RAX, A);
    rig.setGpr(Reg.RDX, B + 1n);
    rig.setGpr(Reg.RBX, 0x33);
    rig.setGpr(Reg.RCX, 0x44);
    rig.setFlags("oszapc");
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.flagsBut(), "osapc");
    assertEquals([rig.gpr(Reg.RAX), rig.gpr(Reg.RDX)], [cut(A, bits), cut(B, bits)]);
    assertEquals(rig.peek(DATA_AT, bits), cut(A, bits));
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.flagsBut(), "oszapc");
    assertEquals([rig.peek(DATA_AT, bits), rig.peek(DATA_AT + bytes, bits)], [0x33n, 0x44n]);
    assertEquals([rig.gpr(Reg.RAX), rig.gpr(Reg.RDX)], [cut(A, bits), cut(B, bits)]);
  }
});

Deno.test("CMPXCHG16B at an address that is not a multiple of 16 is #GP, CMPXCHG8B is not", () => {
  const rig = new IntegerRig("long64");
  rig.setGpr(Reg.RSI, DATA_AT + 8);
  assertEquals(rig.run("48 0f c7 0e"), Vector.GP);
  rig.setGpr(Reg.RSP, (1n << 47n) + 8n);
  assertEquals(rig.run("48 0f c7 0c 24"), Vector.SS); // on the stack, which is not canonical
  assertEquals(rig.run("0f c7 0e"), NONE);
  assertEquals(rig.run("0f c7 ce"), Vector.UD); // a register
});
