import { assertEquals } from "@std/assert";
import { Reg } from "../../../../../src/cpu/state.ts";
import { Flag, Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { IntegerRig } from "../../../../support/integer_rig.ts";
import { DATA_AT, NONE } from "../../../../support/system_rig.ts";

const VALUE = 0x8182_8384_8586_8788n;

/** A 64-bit guest with RAX all ones, RBX = VALUE, and RSI at memory that has VALUE. */
function rigWithValue(): IntegerRig {
  const rig = new IntegerRig("long64");
  rig.setGpr(Reg.RAX, -1n);
  rig.setGpr(Reg.RBX, VALUE);
  rig.setGpr(Reg.RSI, DATA_AT);
  rig.poke(DATA_AT, 64, VALUE);
  rig.setFlags("oszapc");
  return rig;
}

Deno.test("moves into RAX leave, clear or replace its upper part by their size", () => {
  for (
    const [code, expected] of [
      ["88 d8", 0xffff_ffff_ffff_ff88n], // mov al, bl
      ["88 dc", 0xffff_ffff_ffff_88ffn], // mov ah, bl
      ["40 88 dc", 0xffff_ffff_ffff_ffffn], // mov spl, bl
      ["66 89 d8", 0xffff_ffff_ffff_8788n],
      ["89 d8", 0x8586_8788n],
      ["48 89 d8", VALUE],
      ["8a 26", 0xffff_ffff_ffff_88ffn], // mov ah, [rsi]
      ["66 8b 06", 0xffff_ffff_ffff_8788n],
      ["8b 06", 0x8586_8788n],
      ["48 8b 06", VALUE],
      ["48 c7 c0 00 00 00 80", 0xffff_ffff_8000_0000n],
      ["48 b8 01 02 03 04 05 06 07 08", 0x0807_0605_0403_0201n],
      ["b8 00 00 00 80", 0x8000_0000n],
      ["48 a1 00 00 02 00 00 00 00 00", VALUE], // mov rax, [moffs]
      ["67 a1 00 00 02 00", 0x8586_8788n],
      ["0f b6 c7", 0x87n], // movzx eax, bh
      ["66 0f b6 c3", 0xffff_ffff_ffff_0088n],
      ["48 0f b7 c3", 0x8788n],
      ["66 0f be c3", 0xffff_ffff_ffff_ff88n],
      ["0f be c3", 0xffff_ff88n],
      ["48 0f be c3", 0xffff_ffff_ffff_ff88n],
      ["0f bf 06", 0xffff_8788n],
      ["48 0f bf c3", 0xffff_ffff_ffff_8788n],
      ["48 63 06", 0xffff_ffff_8586_8788n], // movsxd rax, [rsi]
      ["63 c3", 0x8586_8788n],
      ["0f 38 f0 06", 0x8887_8685n], // movbe eax, [rsi]
      ["48 0f 38 f0 06", 0x8887_8685_8483_8281n],
      ["66 0f 38 f0 06", 0xffff_ffff_ffff_8887n],
    ] as const
  ) {
    const rig = rigWithValue();
    assertEquals(rig.run(code), NONE, code);
    assertEquals(rig.gpr(Reg.RAX), expected, code);
    assertEquals(rig.flagsBut(), "oszapc", code);
  }
});

Deno.test("stores write as many bytes as their size", () => {
  for (
    const [code, bytes] of [
      ["88 1e", 1],
      ["66 89 1e", 2],
      ["89 1e", 4],
      ["48 89 1e", 8],
      ["0f c3 1e", 4], // movnti
      ["48 0f c3 1e", 8],
    ] as const
  ) {
    const rig = rigWithValue();
    rig.poke(DATA_AT, 64, 0);
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.peek(DATA_AT, 64), BigInt.asUintN(bytes * 8, VALUE), code);
  }
  const rig = rigWithValue();
  assertEquals(rig.run("48 0f 38 f1 1e"), NONE); // movbe [rsi], rbx
  assertEquals(rig.peek(DATA_AT, 64), 0x8887_8685_8483_8281n);
});

Deno.test("LEA computes in the address size and cuts to the operand size", () => {
  const rig = rigWithValue();
  rig.setGpr(Reg.RCX, 0x1_0000_0001n);
  for (
    const [code, expected] of [
      ["48 8d 44 8b f0", (VALUE + 4n * 0x1_0000_0001n - 16n) % 2n ** 64n], // [rbx + rcx*4 - 16]
      ["8d 44 8b f0", 0x8586_877cn],
      ["67 48 8d 44 8b f0", 0x8586_877cn],
      ["64 48 8d 03", VALUE], // FS has no part in it
      ["48 8d 05 00 00 00 00", 0x1007n], // [rip]
    ] as const
  ) {
    rig.set(Word.RIP, 0x1000);
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.gpr(Reg.RAX), expected, code);
  }
  rig.setGpr(Reg.RAX, -1n);
  assertEquals(rig.run("66 8d 44 8b f0"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0xffff_ffff_ffff_877cn);
});

Deno.test("XCHG exchanges, and NOP is no XCHG of EAX with itself", () => {
  const rig = rigWithValue();
  assertEquals(rig.run("48 87 06"), NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.peek(DATA_AT, 64)], [VALUE, 2n ** 64n - 1n]);
  assertEquals(rig.run("93"), NONE); // xchg ebx, eax
  assertEquals([rig.gpr(Reg.RAX), rig.gpr(Reg.RBX)], [0x8586_8788n, 0x8586_8788n]);
  assertEquals(rig.run("86 e0"), NONE); // xchg al, ah
  assertEquals(rig.gpr(Reg.RAX), 0x8586_8887n);
  rig.setGpr(Reg.RAX, -1n);
  assertEquals(rig.run("90"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 2n ** 64n - 1n);
  rig.setGpr(Reg.R8, VALUE);
  assertEquals(rig.run("49 90"), NONE); // xchg rax, r8
  assertEquals(rig.gpr(Reg.R8), 2n ** 64n - 1n);
});

Deno.test("an exchange that faults changes nothing", () => {
  const rig = rigWithValue();
  rig.setGpr(Reg.RSI, 0x4000_0000);
  for (const code of ["48 87 06", "f0 0f c1 06", "0f b1 06", "f0 48 0f c7 0e"]) {
    assertEquals(rig.run(code), Vector.PF, code);
    assertEquals(rig.cpu.faultCode & 2, 2, `${code} faults as a write`);
    assertEquals(rig.gpr(Reg.RAX), 2n ** 64n - 1n, code);
    assertEquals(rig.flagsBut(), "oszapc", code);
  }
});

Deno.test("BSWAP reverses 4 or 8 bytes; CBW and CWD and their wider kin spread the sign", () => {
  for (
    const [code, rax, rdx] of [
      ["0f cb", 0n, 0n],
      ["66 98", 0x1_ff80n, 0n],
      ["98", 0xffff_8080n, 0n],
      ["48 98", 0x1_8080n, 0n],
      ["66 99", 0x1_8080n, 0xffffn],
      ["99", 0x1_8080n, 0n],
      ["48 99", 0x1_8080n, 0n],
    ] as const
  ) {
    const rig = rigWithValue();
    if (code === "0f cb") {
      assertEquals(rig.run(code), NONE);
      assertEquals(rig.gpr(Reg.RBX), 0x8887_8685n);
      assertEquals(rig.run("48 0f cb"), NONE);
      assertEquals(rig.gpr(Reg.RBX), 0x8586_8788_0000_0000n);
      continue;
    }
    rig.setGpr(Reg.RAX, 0x1_8080);
    rig.setGpr(Reg.RDX, 0);
    assertEquals(rig.run(code), NONE);
    assertEquals([rig.gpr(Reg.RAX), rig.gpr(Reg.RDX)], [rax, rdx], code);
  }
});

Deno.test("a condition that does not hold still reads CMOV's source and clears the upper half", () => {
  const rig = rigWithValue();
  rig.setFlags("");
  assertEquals(rig.run("0f 44 c3"), NONE); // cmove eax, ebx
  assertEquals(rig.gpr(Reg.RAX), 0xffff_ffffn);
  rig.setGpr(Reg.RSI, 0x4000_0000);
  assertEquals(rig.run("0f 44 06"), Vector.PF);
});

Deno.test("LAHF and SAHF carry five flags; SAHF keeps OF", () => {
  const rig = rigWithValue();
  rig.setFlags("osc");
  assertEquals(rig.run("9f"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0xffff_ffff_ffff_83ffn);
  rig.setGpr(Reg.RAX, 0x54 << 8);
  assertEquals(rig.run("9e"), NONE);
  assertEquals(rig.flagsBut(), "ozap");
});

Deno.test("CLC, STC, CMC, CLD and STD change their one flag", () => {
  const rig = rigWithValue();
  for (const [code, flags] of [["f8", "oszap"], ["f9", "oszapc"], ["f5", "oszap"]] as const) {
    assertEquals(rig.run(code), NONE);
    assertEquals(rig.flagsBut(), flags);
  }
  assertEquals(rig.run("fd"), NONE);
  assertEquals(rig.cpu.s[Word.RFLAGS] & Flag.DF, Flag.DF);
  assertEquals(rig.run("fc"), NONE);
  assertEquals(rig.cpu.s[Word.RFLAGS] & Flag.DF, 0);
});

Deno.test("XLAT adds AL to the base without a sign", () => {
  const rig = rigWithValue();
  rig.setGpr(Reg.RBX, DATA_AT);
  rig.setGpr(Reg.RAX, 0x11f0);
  rig.poke(DATA_AT + 0xf0, 8, 0x5a);
  assertEquals(rig.run("d7"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x115an);
});

Deno.test("hints and NOPs with operands touch no memory", () => {
  const rig = rigWithValue();
  rig.setGpr(Reg.RSI, 1n << 63n);
  for (const code of ["0f 1f 06", "0f 18 0e", "0f 0d 0e", "f3 0f 1e fa", "66 0f 1f 44 00 00"]) {
    assertEquals(rig.run(code), NONE, code);
  }
});
