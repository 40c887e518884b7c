import { assertEquals } from "@std/assert";
import { Reg, Seg, SegField, State } from "../../../../../src/cpu/state.ts";
import { Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import { IntegerRig } from "../../../../support/integer_rig.ts";
import { DATA_AT, NONE, type RigMode } from "../../../../support/system_rig.ts";

const TOP = DATA_AT + 0x1000;

function rigAt(sp: number | bigint, mode: RigMode = "long64"): IntegerRig {
  const rig = new IntegerRig(mode);
  rig.setGpr(Reg.RSP, sp);
  return rig;
}

Deno.test("PUSH RSP pushes the value before, POP RSP gives what was on the stack", () => {
  const rig = rigAt(TOP);
  assertEquals(rig.run("54"), NONE);
  assertEquals(rig.gpr(Reg.RSP), BigInt(TOP - 8));
  assertEquals(rig.peek(TOP - 8, 64), BigInt(TOP));
  rig.poke(TOP - 8, 64, 0x1234_5678_9abcn);
  assertEquals(rig.run("5c"), NONE);
  assertEquals(rig.gpr(Reg.RSP), 0x1234_5678_9abcn);
});

Deno.test("POP to memory makes its address with the incremented stack pointer", () => {
  const rig = rigAt(TOP);
  rig.poke(TOP, 64, 0x1122_3344_5566_7788n);
  assertEquals(rig.run("8f 44 24 10"), NONE); // pop qword [rsp + 16]
  assertEquals(rig.peek(TOP + 24, 64), 0x1122_3344_5566_7788n);
  assertEquals(rig.gpr(Reg.RSP), BigInt(TOP + 8));
});

Deno.test("POP to memory that faults leaves the stack pointer", () => {
  const rig = rigAt(TOP);
  rig.setGpr(Reg.RBX, 0x4000_0000);
  assertEquals(rig.run("8f 03"), Vector.PF);
  assertEquals(rig.gpr(Reg.RSP), BigInt(TOP));
});

Deno.test("64-bit code pushes immediates sign-extended, and 16 bits with the prefix", () => {
  const rig = rigAt(TOP);
  assertEquals(rig.run("6a 80"), NONE);
  assertEquals(rig.peek(TOP - 8, 64), 2n ** 64n - 128n);
  assertEquals(rig.run("68 00 00 00 80"), NONE);
  assertEquals(rig.peek(TOP - 16, 64), 0xffff_ffff_8000_0000n);
  assertEquals(rig.run("66 68 34 12"), NONE);
  assertEquals(rig.gpr(Reg.RSP), BigInt(TOP - 18));
  assertEquals(rig.peek(TOP - 18, 16), 0x1234n);
});

Deno.test("a stack that is not canonical is #SS, and one that is not there #PF; RSP stays", () => {
  const rig = rigAt(0x8000_0000_0000n + 8n);
  for (const code of ["50", "58", "c3", "e8 00 00 00 00"]) {
    assertEquals(rig.run(code), Vector.SS, code);
    assertEquals(rig.cpu.faultCode, 0);
    assertEquals(rig.gpr(Reg.RSP), 0x8000_0000_0008n);
  }
  rig.setGpr(Reg.RSP, 0x4000_0008);
  assertEquals(rig.run("50"), Vector.PF);
  assertEquals(rig.get(Word.CR2), 0x4000_0000n);
  assertEquals(rig.gpr(Reg.RSP), 0x4000_0008n);
});

Deno.test("LEAVE through a base pointer that is not canonical is #SS", () => {
  const rig = rigAt(TOP);
  rig.setGpr(Reg.RBP, 0x8000_0000_0000n);
  assertEquals(rig.run("c9"), Vector.SS);
  assertEquals(rig.gpr(Reg.RSP), BigInt(TOP));
});

Deno.test("a 16-bit stack wraps at 64 KiB and leaves ESP's upper half", () => {
  const rig = rigAt(0x1_0000, "real");
  rig.setGpr(Reg.RAX, 0xabcd);
  assertEquals(rig.run("50"), NONE);
  assertEquals(rig.gpr(Reg.RSP), 0x1_fffen);
  assertEquals(rig.peek(0xfffe, 16), 0xabcdn);
  assertEquals(rig.run("5b"), NONE);
  assertEquals([rig.gpr(Reg.RBX), rig.gpr(Reg.RSP)], [0xabcdn, 0x1_0000n]);
});

Deno.test("a push beyond the limit of SS is #SS", () => {
  const rig = rigAt(0x2000, "flat32");
  const at = (State.SEGMENTS + Seg.SS * 16 + SegField.LIMIT) / 4;
  rig.cpu.s[at] = 0x1ffe;
  updateModes(rig.cpu);
  assertEquals(rig.run("50"), Vector.SS);
  assertEquals(rig.gpr(Reg.RSP), 0x2000n);
  rig.cpu.s[at] = 0x1fff;
  updateModes(rig.cpu);
  assertEquals(rig.run("50"), NONE);
});

Deno.test("PUSHA has the stack pointer of before, POPA passes over it", () => {
  for (const [prefix, bytes] of [["", 4], ["66 ", 2]] as const) {
    const rig = rigAt(TOP, "flat32");
    for (let i = 0; i < 8; i++) if (i !== Reg.RSP) rig.setGpr(i, 0x1111_1111 * i + 0x100);
    const before = Array.from({ length: 8 }, (_, i) => rig.gpr(i));
    assertEquals(rig.run(`${prefix}60`), NONE);
    assertEquals(rig.gpr(Reg.RSP), BigInt(TOP - 8 * bytes));
    const mask = bytes === 4 ? 0xffff_ffffn : 0xffffn;
    for (let i = 0; i < 8; i++) {
      const pushed = rig.peek(TOP - (i + 1) * bytes, bytes === 4 ? 32 : 16);
      assertEquals(pushed, before[i] & mask, `register ${i}`);
    }
    for (let i = 0; i < 8; i++) if (i !== Reg.RSP) rig.setGpr(i, 0);
    assertEquals(rig.run(`${prefix}61`), NONE);
    const after = Array.from({ length: 8 }, (_, i) => rig.gpr(i));
    assertEquals(after, before.map((value, i) => i === Reg.RSP ? value : value & mask));
  }
});

Deno.test("ENTER copies the outer frames' pointers, and LEAVE undoes it", () => {
  const rig = rigAt(TOP);
  const outer = DATA_AT + 0x800;
  rig.setGpr(Reg.RBP, outer);
  rig.poke(outer - 8, 64, 0xaaa);
  rig.poke(outer - 16, 64, 0xbbb);
  assertEquals(rig.run("c8 20 00 03"), NONE); // enter 32, 3
  const frame = TOP - 8;
  assertEquals([0, 8, 16, 24].map((below) => rig.peek(frame - below, 64)), [
    BigInt(outer),
    0xaaan,
    0xbbbn,
    BigInt(frame),
  ]);
  assertEquals(rig.gpr(Reg.RBP), BigInt(frame));
  assertEquals(rig.gpr(Reg.RSP), BigInt(frame - 24 - 32));
  assertEquals(rig.run("c9"), NONE);
  assertEquals([rig.gpr(Reg.RSP), rig.gpr(Reg.RBP)], [TOP, outer].map(BigInt));
});

Deno.test("ENTER takes the nesting level modulo 32", () => {
  const rig = rigAt(TOP);
  rig.setGpr(Reg.RBP, DATA_AT + 0x800);
  assertEquals(rig.run("c8 00 00 21"), NONE);
  assertEquals(rig.gpr(Reg.RSP), BigInt(TOP - 16));
});

Deno.test("ENTER whose room is not writable changes no register", () => {
  const rig = rigAt(0x18);
  rig.setGpr(Reg.RBP, 5);
  assertEquals(rig.run("c8 00 10 00"), Vector.PF); // enter 4096, 0: down past address 0
  assertEquals(rig.get(Word.CR2), 2n ** 64n - 0xff0n);
  assertEquals([rig.gpr(Reg.RSP), rig.gpr(Reg.RBP)], [0x18n, 5n]);
});
