import { assertEquals } from "@std/assert";
import { Reg, Seg, SegField, State } from "../../../../../src/cpu/state.ts";
import { Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import { IntegerRig } from "../../../../support/integer_rig.ts";
import { CODE_AT, DATA_AT, NONE, type RigMode } from "../../../../support/system_rig.ts";

/** Runs `code` at CODE_AT; RIP behind it, or the vector as a negative number. */
function go(rig: IntegerRig, code: string): bigint {
  rig.set(Word.RIP, CODE_AT);
  const vector = rig.run(code);
  if (vector !== NONE) {
    assertEquals(rig.get(Word.RIP), BigInt(CODE_AT), "a fault leaves RIP");
    return BigInt(-vector);
  }
  return rig.get(Word.RIP);
}

function rigIn(mode: RigMode): IntegerRig {
  const rig = new IntegerRig(mode);
  rig.setGpr(Reg.RSP, mode === "real" ? 0x8000 : DATA_AT + 0x1000);
  return rig;
}

/** The 16 conditions by the manual's names, on flags by letters (SDM 1 appendix B). */
const CONDITIONS: readonly ((has: (letter: string) => boolean) => boolean)[] = [
  (has) => has("o"),
  (has) => has("c"),
  (has) => has("z"),
  (has) => has("c") || has("z"),
  (has) => has("s"),
  (has) => has("p"),
  (has) => has("s") !== has("o"),
  (has) => has("z") || has("s") !== has("o"),
];

Deno.test("Jcc, SETcc and CMOVcc follow the conditions for all 64 states of the flags", () => {
  const rig = rigIn("long64");
  for (let state = 0; state < 64; state++) {
    const letters = [..."oszapc"].filter((_, i) => (state >> i & 1) !== 0).join("");
    for (let cc = 0; cc < 16; cc++) {
      const holds = CONDITIONS[cc >> 1]((letter) => letters.includes(letter)) !== ((cc & 1) !== 0);
      const digit = cc.toString(16);
      rig.setFlags(letters);
      const what = `condition ${digit} of "${letters}"`;
      assertEquals(go(rig, `7${digit} 10`), BigInt(CODE_AT + (holds ? 18 : 2)), what);
      assertEquals(
        go(rig, `0f 8${digit} f0 ff ff ff`),
        BigInt(CODE_AT + (holds ? 6 - 16 : 6)),
        what,
      );
      rig.setGpr(Reg.RAX, -1n);
      go(rig, `0f 9${digit} c0`);
      assertEquals(rig.gpr(Reg.RAX) & 0xffffn, holds ? 0xff01n : 0xff00n, what);
      rig.setGpr(Reg.RAX, -1n);
      rig.setGpr(Reg.RBX, 0x1234_5678_9abc_def0n);
      go(rig, `0f 4${digit} c3`);
      assertEquals(rig.gpr(Reg.RAX), holds ? 0x9abc_def0n : 0xffff_ffffn, what);
      assertEquals(rig.flagsBut(), letters, what);
    }
  }
});

Deno.test("CALL pushes the next instruction's address, RET n releases n bytes more", () => {
  for (
    const [mode, bytes, code] of [
      ["long64", 8, "e8 00 01 00 00"],
      ["flat32", 4, "e8 00 01 00 00"],
      ["real", 2, "e8 00 01"],
    ] as const
  ) {
    const rig = rigIn(mode);
    const sp = rig.gpr(Reg.RSP);
    const length = code.split(" ").length;
    assertEquals(go(rig, code), BigInt(CODE_AT + length + 0x100), mode);
    assertEquals(rig.gpr(Reg.RSP), sp - BigInt(bytes), mode);
    const bits = bytes * 8 as 16 | 32 | 64;
    assertEquals(rig.peek(Number(sp) - bytes, bits), BigInt(CODE_AT + length), mode);
    assertEquals(go(rig, "c2 10 00"), BigInt(CODE_AT + length), mode);
    assertEquals(rig.gpr(Reg.RSP), sp + 16n, mode);
  }
});

Deno.test("branches through registers and memory take the operand size", () => {
  const rig = rigIn("long64");
  rig.setGpr(Reg.RBX, 0x7fff_1234_5678n);
  assertEquals(go(rig, "ff e3"), 0x7fff_1234_5678n);
  rig.poke(DATA_AT, 64, 0xffff_8000_0000_1000n);
  rig.setGpr(Reg.RBX, DATA_AT);
  assertEquals(go(rig, "ff 13"), 0xffff_8000_0000_1000n);
  const flat = rigIn("flat32");
  flat.setGpr(Reg.RBX, 0x1234_5678);
  assertEquals(go(flat, "66 ff e3"), 0x5678n);
});

Deno.test("a target that is not canonical is #GP, before anything is pushed", () => {
  const rig = rigIn("long64");
  const sp = rig.gpr(Reg.RSP);
  rig.setGpr(Reg.RBX, 0x8000_0000_0000n);
  assertEquals(go(rig, "ff e3"), BigInt(-Vector.GP));
  rig.poke(Number(sp) - 8, 64, 0x5a5a);
  assertEquals(go(rig, "ff d3"), BigInt(-Vector.GP));
  assertEquals([rig.gpr(Reg.RSP), rig.peek(Number(sp) - 8, 64)], [sp, 0x5a5an]);
  rig.poke(Number(sp), 64, 1n << 63n);
  assertEquals(go(rig, "c3"), BigInt(-Vector.GP));
  assertEquals(rig.gpr(Reg.RSP), sp);
});

Deno.test("a target beyond the limit of CS is #GP", () => {
  const rig = rigIn("flat32");
  rig.cpu.s[(State.SEGMENTS + Seg.CS * 16 + SegField.LIMIT) / 4] = CODE_AT + 0x11;
  updateModes(rig.cpu);
  assertEquals(go(rig, "eb 10"), BigInt(-Vector.GP));
  assertEquals(go(rig, "eb 0f"), BigInt(CODE_AT + 0x11));
});

Deno.test("16-bit branches wrap in their segment", () => {
  const rig = rigIn("real");
  assertEquals(go(rig, "e9 00 f0"), 3n); // 0x1003 - 0x1000
  assertEquals(go(rig, "e9 fc ef"), 0xffffn);
});

Deno.test("LOOP counts in the address size, and a fault leaves the count", () => {
  const rig = rigIn("long64");
  rig.setGpr(Reg.RCX, 0x1_0000_0000n);
  assertEquals(go(rig, "e2 10"), BigInt(CODE_AT + 18));
  assertEquals(rig.gpr(Reg.RCX), 0xffff_ffffn);
  rig.setGpr(Reg.RCX, 0x1_0000_0001n);
  assertEquals(go(rig, "67 e2 10"), BigInt(CODE_AT + 3));
  assertEquals(rig.gpr(Reg.RCX), 0n);
  const real = rigIn("real");
  real.setGpr(Reg.RCX, 0x5_0000);
  assertEquals(go(real, "e2 10"), BigInt(CODE_AT + 18));
  assertEquals(real.gpr(Reg.RCX), 0x5_ffffn);
  const flat = rigIn("flat32");
  flat.cpu.s[(State.SEGMENTS + Seg.CS * 16 + SegField.LIMIT) / 4] = CODE_AT + 4;
  updateModes(flat.cpu);
  flat.setGpr(Reg.RCX, 2);
  assertEquals(go(flat, "e2 7f"), BigInt(-Vector.GP));
  assertEquals(flat.gpr(Reg.RCX), 2n);
});

Deno.test("LOOPE and LOOPNE look at ZF, too, and JRCXZ at the count alone", () => {
  const rig = rigIn("long64");
  for (
    const [code, flags, count, taken] of [
      ["e1", "z", 2, true],
      ["e1", "", 2, false],
      ["e1", "z", 1, false],
      ["e0", "", 2, true],
      ["e0", "z", 2, false],
      ["e3", "z", 0, true],
      ["e3", "", 1, false],
    ] as const
  ) {
    rig.setFlags(flags);
    rig.setGpr(Reg.RCX, count);
    assertEquals(go(rig, `${code} 10`), BigInt(CODE_AT + (taken ? 18 : 2)), `${code} "${flags}"`);
    assertEquals(rig.gpr(Reg.RCX), BigInt(code === "e3" ? count : count - 1));
    assertEquals(rig.flagsBut(), flags);
  }
});
