import { assertEquals } from "@std/assert";
import { Word } from "../../../../../../src/engine/wasm/cpu.ts";
import { atRdi, MF, NONE, Status, X87Rig } from "./x87_rig.ts";

const NM = 7;
const FWAIT = [0x9b];
const FNOP = [0xd9, 0xd0];
const FNCLEX = [0xdb, 0xe2];
const FNSTSW_AX = [0xdf, 0xe0];
const EMMS = [0x0f, 0x77];

/** A rig with a division by zero that is pending. */
function pending(): X87Rig {
  const rig = new X87Rig();
  rig.push(0, 1);
  rig.control = 0x37b;
  rig.run(0xd8, 0xf1); // fdiv st, st(1)
  return rig;
}

Deno.test("FNINIT masks everything, empties the stack and leaves the registers' contents", () => {
  const rig = new X87Rig();
  rig.push(3);
  rig.control = 0;
  const word = rig.x87.stackWord(0);
  rig.run(0xdb, 0xe3);
  assertEquals([rig.x87.control, rig.x87.statusWord, rig.x87.used], [0x37f, 0, 0]);
  assertEquals(rig.cpu.s[word + 1], 0xc000_0000 | 0);
});

Deno.test("FNSTSW AX gives TOP in bits 13:11 and leaves the rest of RAX", () => {
  const rig = new X87Rig();
  rig.push(1, 2);
  rig.simd.setGpr(0, 0x1122_3344_5566_7788n);
  rig.run(...FNSTSW_AX);
  assertEquals(rig.simd.gpr(0), 0x1122_3344_5566_3000n);
});

Deno.test("FLDCW takes over the bits that exist, bit 6 is always 1", () => {
  const rig = new X87Rig();
  rig.control = 0xffff;
  rig.run(0xd9, atRdi(7)); // fnstcw
  assertEquals(rig.memory.getUint16(0, true), 0x1f7f);
  rig.control = 0x37f & ~0x40;
  assertEquals(rig.x87.control, 0x37f);
});

Deno.test("FLDCW that unmasks a flagged exception makes it pending", () => {
  const rig = new X87Rig();
  rig.push(0, 1);
  rig.run(0xd8, 0xf1); // fdiv st, st(1)
  assertEquals(rig.status, Status.ZE);
  rig.control = 0x37b;
  assertEquals(rig.status, Status.ZE | Status.ES | Status.B);
  assertEquals(rig.run(...FNOP), MF);
});

Deno.test("a pending exception stops waiting instructions only", () => {
  const rig = pending();
  for (const waits of [FWAIT, FNOP, EMMS, [0xd9, 0xe8], [0xd9, atRdi(0)], [0xd9, atRdi(5)]]) {
    assertEquals(rig.run(...waits), MF, `${waits}`);
  }
  for (const passes of [FNSTSW_AX, [0xd9, atRdi(7)], [0xd9, atRdi(6)]]) {
    assertEquals(pending().run(...passes), NONE, `${passes}`);
  }
});

Deno.test("FNCLEX clears exceptions, keeps condition codes and TOP", () => {
  const rig = pending();
  rig.x87.status |= Status.C3 | Status.SF;
  const { top } = rig.x87;
  rig.run(...FNCLEX);
  assertEquals([rig.status, rig.x87.top], [Status.C3, top]);
  assertEquals(rig.run(...FWAIT), NONE);
});

Deno.test("FWAIT raises #NM when both CR0.MP and CR0.TS are set", () => {
  const rig = new X87Rig();
  const MP = 2, EM = 4, TS = 8;
  for (const [cr0, vector] of [[MP, NONE], [TS, NONE], [EM, NONE], [MP | TS, NM]]) {
    rig.cpu.s[Word.CR0] = cr0;
    assertEquals(rig.run(...FWAIT), vector, `CR0 ${cr0}`);
  }
});

Deno.test("other x87 instructions raise #NM with CR0.TS or CR0.EM, FNINIT too", () => {
  const rig = new X87Rig();
  rig.cpu.x87Trap = NM + 1;
  for (const bytes of [FNOP, [0xdb, 0xe3], FNSTSW_AX]) assertEquals(rig.run(...bytes), NM);
});

Deno.test("EMMS empties all registers and makes TOP 0", () => {
  const rig = new X87Rig();
  rig.push(1, 2);
  rig.run(...EMMS);
  assertEquals([rig.x87.used, rig.x87.top], [0, 0]);
});

Deno.test("what the 287 needed does nothing", () => {
  const rig = pending();
  const before = rig.x87.statusWord;
  for (const modrm of [0xe0, 0xe1, 0xe4]) assertEquals(rig.run(0xdb, modrm), NONE);
  assertEquals(rig.x87.statusWord, before);
});
