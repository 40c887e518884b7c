import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg, Seg, SegField, State } from "../../../../../src/cpu/state.ts";
import { Attention, Flag, Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import { CODE_AT, DATA_AT, NONE, SystemRig } from "../../../../support/system_rig.ts";

Deno.test("IN and OUT pass 1, 2 and 4 bytes, by immediate and by DX", () => {
  const rig = new SystemRig("long64");
  rig.bus.answer = (port) => 0x0102_0300 + port;
  rig.setGpr(Reg.RDX, 0x123);
  rig.setGpr(Reg.RAX, -1n);
  assertEquals([rig.run("e4 f0"), rig.gpr(0)], [NONE, 0xffff_ffff_ffff_fff0n]);
  assertEquals([rig.run("66 ed"), rig.gpr(0)], [NONE, 0xffff_ffff_ffff_0423n]);
  assertEquals([rig.run("48 e5 70"), rig.gpr(0)], [NONE, 0x0102_0370n]);
  for (const code of ["e6 80", "66 e7 81", "e7 82", "ee", "66 ef", "48 ef"]) rig.run(code);
  assertEquals(rig.bus.log, [
    ...["in 0xf0 1", "in 0x123 2", "in 0x70 4"],
    ...["out 0x80 1 0x70", "out 0x81 2 0x370", "out 0x82 4 0x1020370"],
    ...["out 0x123 1 0x70", "out 0x123 2 0x370", "out 0x123 4 0x1020370"],
  ]);
});

/** A program at level 3 in 64-bit mode with a TSS whose I/O map allows `bits` (1: refused). */
function rigWithMap(bits: readonly number[], limit = 0x68 + bits.length): SystemRig {
  const rig = new SystemRig("long64");
  rig.set((State.SEGMENTS + Seg.TR * 16) / 4, DATA_AT);
  rig.cpu.s[(State.SEGMENTS + Seg.TR * 16 + SegField.LIMIT) / 4] = limit;
  rig.memory.writeU64(gpa(DATA_AT + 0x60), 0x68n << 48n);
  bits.forEach((byte, i) => rig.memory.view(gpa(DATA_AT + 0x68 + i), 1)[0] = byte);
  rig.setCpl(3);
  return rig;
}

Deno.test("a program uses the ports that the I/O map allows (SDM 1 §19.5.2)", () => {
  const rig = rigWithMap([0xff, 0b0011_1110, 0xff]);
  const allowed = (code: string) => rig.run(code) === NONE;
  assertEquals(["e4 08", "e4 09", "e4 0d", "e4 0e"].map(allowed), [true, false, false, true]);
  assertEquals(["66 e5 0e", "66 e5 0f", "e5 0c"].map(allowed), [true, false, false]);
  assertEquals(rig.bus.log, ["in 0x8 1", "in 0xe 1", "in 0xe 2"]);
});

Deno.test("ports beyond the TSS's limit are refused: two bytes of the map are read", () => {
  const rig = rigWithMap([0, 0], 0x68 + 1);
  assertEquals([rig.run("e4 07"), rig.run("e4 08")], [NONE, Vector.GP]);
  const small = rigWithMap([0, 0, 0], 0x66);
  assertEquals(small.run("e4 00"), Vector.GP);
});

Deno.test("IOPL allows all ports without a look at the map", () => {
  const rig = rigWithMap([], 0);
  assertEquals(rig.run("ee"), Vector.GP);
  rig.cpu.s[Word.RFLAGS] |= Flag.IOPL;
  assertEquals(rig.run("ee"), NONE);
});

Deno.test("virtual-8086 mode asks the map whatever IOPL, and a 16-bit TSS has none", () => {
  const rig = new SystemRig("flat32");
  rig.cpu.s[Word.RFLAGS] |= Flag.VM | Flag.IOPL;
  updateModes(rig.cpu);
  rig.cpu.s[(State.SEGMENTS + Seg.TR * 16 + SegField.LIMIT) / 4] = 0x200;
  assertEquals(rig.run("ee"), NONE, "an empty map at offset 0 allows");
  rig.cpu.u16[(State.SEGMENTS + Seg.TR * 16 + SegField.ATTRIBUTES) / 2] = 0x83;
  assertEquals(rig.run("ee"), Vector.GP);
});

Deno.test("REP INSB reads until RCX is 0, and RDI moves on", () => {
  const rig = new SystemRig("long64");
  let next = 0x40;
  rig.bus.answer = () => ++next;
  rig.setGpr(Reg.RDX, 0x511);
  rig.setGpr(Reg.RCX, 5);
  rig.setGpr(Reg.RDI, DATA_AT + 0xffe);
  assertEquals(rig.run("f3 6c"), NONE);
  assertEquals([rig.gpr(Reg.RCX), rig.gpr(Reg.RDI)], [0n, BigInt(DATA_AT + 0x1003)]);
  assertEquals([...rig.memory.view(gpa(DATA_AT + 0xffe), 5)], [0x41, 0x42, 0x43, 0x44, 0x45]);
  assertEquals(rig.get(Word.RIP), BigInt(CODE_AT + 2));
});

Deno.test("a page fault in REP INSB comes before its port is read", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(Reg.RCX, 4);
  rig.setGpr(Reg.RDI, 0x3fff_ffffn - 1n);
  rig.memory.writeU64(gpa(0x10_1000), BigInt(0x10_2000 | 7));
  rig.memory.writeU64(gpa(0x10_2ff8), 0x87n);
  rig.setGpr(Reg.RAX, 0x10_0000);
  rig.run("0f 22 d8");
  assertEquals(rig.run("f3 6c"), Vector.PF);
  assertEquals(rig.bus.log.length, 2);
  assertEquals([rig.gpr(Reg.RCX), rig.gpr(Reg.RDI)], [2n, 0x4000_0000n]);
  assertEquals(rig.get(Word.CR2), 0x4000_0000n);
});

Deno.test("REP OUTSW stops between two repetitions when something wants attention", () => {
  const rig = new SystemRig("long64");
  rig.memory.writeU64(gpa(DATA_AT), 0x4444_3333_2222_1111n);
  rig.setGpr(Reg.RCX, 4);
  rig.setGpr(Reg.RSI, DATA_AT);
  rig.cpu.attention = 0;
  rig.bus.onPort = (_port, value) => {
    if (value === 0x2222) rig.cpu.attention |= Attention.KICK;
  };
  assertEquals(rig.run("66 f3 6f"), NONE);
  assertEquals([rig.gpr(Reg.RCX), rig.gpr(Reg.RSI)], [2n, BigInt(DATA_AT + 4)]);
  assertEquals(rig.get(Word.RIP), BigInt(CODE_AT), "RIP stays");
  rig.cpu.attention = 0;
  assertEquals(rig.run("66 f3 6f"), NONE);
  assertEquals(rig.gpr(Reg.RCX), 0n);
  assertEquals(rig.bus.log.map((line) => line.split(" ")[3]), [
    ...["0x1111", "0x2222", "0x3333", "0x4444"],
  ]);
});

Deno.test("REP with RCX = 0 touches nothing, and a huge count does not stay in one call", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(Reg.RCX, 0);
  assertEquals(rig.run("f3 6e"), NONE);
  assertEquals(rig.bus.log, []);
  rig.setGpr(Reg.RCX, -1n);
  rig.setGpr(Reg.RSI, DATA_AT);
  assertEquals(rig.run("f3 6e"), NONE);
  const done = rig.bus.log.length;
  assertEquals(rig.gpr(Reg.RCX), 2n ** 64n - 1n - BigInt(done));
  assertEquals(rig.cpu.repeats, done - 1);
});

Deno.test("REP INS and OUTS with RCX = 0 are refused where their port is", () => {
  const rig = rigWithMap([0, 0xff]);
  rig.setGpr(Reg.RCX, 0n);
  rig.setGpr(Reg.RDX, 8);
  assertEquals(["f3 6c", "f3 6f"].map((code) => rig.run(code)), [Vector.GP, Vector.GP]);
  rig.setGpr(Reg.RDX, 7);
  assertEquals([rig.run("f3 6c"), rig.bus.log], [NONE, []]);
});

Deno.test("INS and OUTS count down with DF, by 16-bit registers where addresses have 16 bits", () => {
  const rig = new SystemRig("real");
  rig.cpu.s[Word.RFLAGS] |= Flag.DF;
  rig.setGpr(Reg.RSI, 0x1_0001);
  rig.setGpr(Reg.RCX, 0x7_0001);
  assertEquals(rig.run("f3 6f"), NONE);
  assertEquals([rig.gpr(Reg.RSI), rig.gpr(Reg.RCX)], [0x1_ffffn, 0x7_0000n]);
});
