/** FXSAVE and XSAVE areas (SDM 1 §10.5 and chapter 13). */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Cr0, Cr4 } from "../../../../../src/cpu/modes.ts";
import { Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import { DATA_AT, NONE, type RigMode, SystemRig } from "../../../../support/system_rig.ts";

const FXSAVE = "0f ae 03";
const FXRSTOR = "0f ae 0b";
const XSAVE = "0f ae 23";
const XRSTOR = "0f ae 2b";
const XSAVEOPT = "0f ae 33";
const XSAVEC = "0f c7 23";
const XSAVES = "0f c7 2b";
const XRSTORS = "0f c7 1b";
const X87 = 1, SSE = 2, PKRU = 0x200, ALL = 0x203;

/** All components enabled, RBX at the area, EDX:EAX = `mask`. */
function rigFor(mask = ALL, mode: RigMode = "long64"): SystemRig {
  const rig = new SystemRig(mode);
  rig.cpu.s[Word.CR4] |= Cr4.OSXSAVE | Cr4.OSFXSR | Cr4.PKE;
  rig.cpu.s[Word.XCR0] = ALL;
  updateModes(rig.cpu);
  rig.setGpr(3, DATA_AT);
  rig.setGpr(0, mask);
  rig.setGpr(2, 0);
  return rig;
}

/** State that is not initial in any component. */
function fill(rig: SystemRig): void {
  const { cpu } = rig;
  cpu.x87.control = 0x27f;
  cpu.x87.statusWord = 0x2800 | 0x41; // TOP = 5
  cpu.x87.used = 0b1110_0000;
  cpu.x87.opcode = 0x123;
  cpu.x87.ipLo = 0x1234_5678;
  cpu.x87.ipHi = 0x7fff;
  cpu.x87.dpLo = 0x2222_3333;
  cpu.x87.dpHi = 0x5555;
  for (let i = 0; i < 8; i++) {
    cpu.s.set([0x100 + i, 0x8000_0000 | 0, 0x3fff + i, 0], cpu.x87.word(i));
  }
  for (let i = 0; i < 64; i++) cpu.s[Word.XMM + i] = 0x1000 + i;
  cpu.s[Word.MXCSR] = 0x1fa0;
  cpu.s[Word.PKRU] = 0xc;
}

function area(rig: SystemRig, at = DATA_AT): DataView {
  const bytes = rig.memory.view(gpa(at), 4096 - at % 4096);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

Deno.test("FXSAVE writes the legacy region: x87 registers in stack order, 16 XMM registers", () => {
  const rig = rigFor();
  fill(rig);
  area(rig).setUint32(416, 0x5a5a_5a5a, true);
  assertEquals(rig.run("48 " + FXSAVE), NONE);
  const a = area(rig);
  const head = [0, 2, 4, 6].map((at) => a.getUint16(at, true));
  assertEquals(head, [0x27f, 0x2841, 0xe0, 0x123]);
  assertEquals(a.getBigUint64(8, true), 0x7fff_1234_5678n);
  assertEquals(a.getBigUint64(16, true), 0x5555_2222_3333n);
  assertEquals([a.getUint32(24, true), a.getUint32(28, true)], [0x1fa0, 0xffff]);
  assertEquals(a.getBigUint64(32, true), 0x8000_0000_0000_0105n, "ST0 is physical register 5");
  assertEquals(a.getUint16(32 + 8, true), 0x4004);
  assertEquals(a.getUint32(160 + 15 * 16 + 12, true), 0x103f);
  assertEquals(a.getUint32(416, true), 0x5a5a_5a5a, "the rest belongs to software");
});

Deno.test("FXSAVE without REX.W keeps 32 bits of the pointers; legacy modes have 8 XMM registers", () => {
  const rig = rigFor(ALL, "flat32");
  fill(rig);
  assertEquals(rig.run(FXSAVE), NONE);
  const a = area(rig);
  assertEquals([a.getBigUint64(8, true), a.getBigUint64(16, true)], [0x1234_5678n, 0x2222_3333n]);
  assertEquals(a.getUint32(160 + 7 * 16, true), 0x101c);
  assertEquals(a.getUint32(160 + 8 * 16, true), 0);
});

Deno.test("FXRSTOR takes back what FXSAVE has written", () => {
  const rig = rigFor();
  fill(rig);
  rig.run("48 " + FXSAVE);
  const { cpu } = rig;
  const before = [cpu.x87.statusWord, cpu.x87.used, cpu.x87.ipHi, cpu.x87.top];
  const registers = cpu.s.slice(Word.MMX, Word.XMM + 64);
  cpu.x87.init();
  cpu.s.fill(-1, Word.MMX, Word.XMM + 64);
  cpu.s[Word.MXCSR] = 0x1f80;
  assertEquals(rig.run("48 " + FXRSTOR), NONE);
  assertEquals([cpu.x87.statusWord, cpu.x87.used, cpu.x87.ipHi, cpu.x87.top], before);
  assertEquals(cpu.s.slice(Word.MMX, Word.XMM + 64), registers);
  assertEquals(cpu.s[Word.MXCSR], 0x1fa0);
});

Deno.test("FXRSTOR and LDMXCSR refuse reserved bits of MXCSR, and nothing changes", () => {
  const rig = rigFor();
  area(rig).setUint32(24, 0x1_0000, true);
  rig.cpu.s[Word.XMM] = 77;
  assertEquals(rig.run(FXRSTOR), Vector.GP);
  assertEquals(rig.cpu.s[Word.XMM], 77);
  rig.setGpr(3, DATA_AT + 24);
  assertEquals(rig.run("0f ae 13"), Vector.GP);
  area(rig).setUint32(24, 0xffff, true);
  assertEquals([rig.run("0f ae 13"), rig.cpu.s[Word.MXCSR]], [NONE, 0xffff]);
  rig.setGpr(3, DATA_AT + 64);
  assertEquals([rig.run("0f ae 1b"), area(rig).getUint32(64, true)], [NONE, 0xffff]);
});

Deno.test("FXSAVE raises #NM with EM or TS, and #GP where it is not aligned to 16 bytes", () => {
  for (const bit of [Cr0.EM, Cr0.TS]) {
    const rig = rigFor();
    rig.cpu.s[Word.CR0] |= bit;
    updateModes(rig.cpu);
    assertEquals(rig.run(FXSAVE), Vector.NM);
  }
  const rig = rigFor();
  rig.setGpr(3, DATA_AT + 8);
  assertEquals([rig.run(FXSAVE), rig.run(FXRSTOR)], [Vector.GP, Vector.GP]);
});

Deno.test("XSAVE raises #UD without OSXSAVE, #NM with TS, #GP where not aligned to 64 bytes", () => {
  const rig = rigFor();
  const codes = [XSAVE, XSAVEOPT, XSAVEC, XSAVES];
  rig.setGpr(3, DATA_AT + 16);
  assertEquals(codes.map((code) => rig.run(code)), codes.map(() => Vector.GP));
  rig.cpu.s[Word.CR0] |= Cr0.TS;
  assertEquals(codes.map((code) => rig.run(code)), codes.map(() => Vector.NM));
  rig.cpu.s[Word.CR4] &= ~Cr4.OSXSAVE;
  assertEquals(codes.map((code) => rig.run(code)), codes.map(() => Vector.UD));
  assertEquals([rig.run("0f 01 d0"), rig.run("0f 01 d1")], [Vector.UD, Vector.UD]);
});

Deno.test("XSAVE writes the components that are asked for, and keeps other XSTATE_BV bits", () => {
  const rig = rigFor(SSE | PKRU);
  fill(rig);
  const a = area(rig);
  a.setUint32(512, X87, true);
  a.setUint32(520, 0x77, true);
  assertEquals(rig.run(XSAVE), NONE);
  assertEquals([a.getUint32(512, true), a.getUint32(520, true)], [ALL, 0x77]);
  assertEquals(a.getUint32(0, true), 0, "no x87");
  assertEquals([a.getUint32(24, true), a.getUint32(160, true)], [0x1fa0, 0x1000]);
  assertEquals(a.getBigUint64(2688, true), 0xcn);
});

Deno.test("XSAVE clears the XSTATE_BV bit of initial state; XSAVEOPT does not write it either", () => {
  const rig = rigFor();
  const { cpu } = rig;
  cpu.x87.init();
  cpu.s.fill(0, Word.MMX, Word.XMM + 64);
  cpu.s[Word.MXCSR] = 0x1f80;
  const a = area(rig);
  a.setUint32(512, ALL, true);
  a.setUint32(0, 0x9999, true);
  assertEquals(rig.run(XSAVEOPT), NONE);
  assertEquals([a.getUint32(512, true), a.getUint32(0, true)], [0, 0x9999]);
  assertEquals(a.getUint32(24, true), 0x1f80, "MXCSR is written nonetheless");
  rig.run(XSAVE);
  assertEquals([a.getUint32(512, true), a.getUint32(0, true)], [0, 0x37f]);
});

Deno.test("XSAVEC packs PKRU behind the header and says so in XCOMP_BV", () => {
  const rig = rigFor();
  fill(rig);
  rig.cpu.s.fill(0, Word.XMM, Word.XMM + 64);
  assertEquals(rig.run(XSAVEC), NONE);
  const a = area(rig);
  assertEquals(a.getBigUint64(512, true), BigInt(ALL), "MXCSR makes SSE state worth saving");
  assertEquals(a.getBigUint64(520, true), 1n << 63n | BigInt(ALL));
  assertEquals([a.getUint32(24, true), a.getBigUint64(576, true)], [0x1fa0, 0xcn]);
  rig.cpu.s[Word.MXCSR] = 0x1f80;
  rig.run(XSAVES);
  assertEquals(a.getBigUint64(512, true), BigInt(X87 | PKRU));
});

Deno.test("XRSTOR takes back both formats", () => {
  for (const [save, load] of [[XSAVE, XRSTOR], [XSAVEC, XRSTOR], [XSAVES, XRSTORS]]) {
    const rig = rigFor();
    fill(rig);
    rig.run("48 " + save);
    const { cpu } = rig;
    const registers = cpu.s.slice(Word.MMX, Word.XMM + 64);
    cpu.x87.init();
    cpu.s.fill(-1, Word.MMX, Word.XMM + 64);
    cpu.s[Word.MXCSR] = 0x1f80;
    cpu.s[Word.PKRU] = 0;
    assertEquals(rig.run("48 " + load), NONE, load);
    assertEquals(cpu.s.slice(Word.MMX, Word.XMM + 64), registers);
    assertEquals([cpu.s[Word.MXCSR], cpu.s[Word.PKRU], cpu.x87.top], [0x1fa0, 0xc, 5]);
    assertEquals([cpu.x87.control, cpu.x87.ipHi, cpu.x87.opcode], [0x27f, 0x7fff, 0x123]);
  }
});

Deno.test("XRSTOR initializes what XSTATE_BV leaves out, and only what is asked for", () => {
  const rig = rigFor(X87 | PKRU);
  fill(rig);
  assertEquals(rig.run(XRSTOR), NONE);
  const { cpu } = rig;
  assertEquals([cpu.x87.control, cpu.x87.statusWord, cpu.x87.used], [0x37f, 0, 0]);
  assertEquals([cpu.s[Word.MMX], cpu.s[Word.PKRU]], [0, 0]);
  assertEquals([cpu.s[Word.XMM], cpu.s[Word.MXCSR]], [0x1000, 0x1fa0], "not asked for");
  rig.setGpr(0, SSE);
  area(rig).setUint32(24, 0x1f00, true);
  rig.run(XRSTOR);
  assertEquals([cpu.s[Word.XMM], cpu.s[Word.MXCSR]], [0, 0x1f00], "the standard format has MXCSR");
  area(rig).setBigUint64(520, 1n << 63n, true);
  rig.run(XRSTOR);
  assertEquals(cpu.s[Word.MXCSR], 0x1f80, "the compacted one initializes it");
});

Deno.test("XRSTOR refuses headers that are not valid (SDM 1 §13.8.1, §13.8.2)", () => {
  const compacted = 1n << 63n;
  const cases: [bigint, bigint, bigint][] = [ // XSTATE_BV, XCOMP_BV, what follows
    [4n, 0n, 0n], // not in XCR0
    [1n << 62n, 0n, 0n],
    [1n, 1n, 0n], // standard format: XCOMP_BV is 0
    [1n, 0n, 1n],
    [3n, compacted | 1n, 0n], // not in XCOMP_BV
    [1n, compacted | 5n, 0n], // not in XCR0
    [1n, compacted | 1n << 40n | 1n, 0n],
    [1n, compacted | 1n, 1n],
  ];
  for (const [bv, comp, rest] of cases) {
    const rig = rigFor();
    fill(rig);
    [bv, comp, rest].forEach((value, i) => area(rig).setBigUint64(512 + i * 8, value, true));
    assertEquals(rig.run(XRSTOR), Vector.GP, `${bv} ${comp} ${rest}`);
    assertEquals(rig.cpu.x87.control, 0x27f, "unchanged");
  }
  const rig = rigFor();
  assertEquals(rig.run(XRSTORS), Vector.GP, "only the compacted format");
});

Deno.test("XRSTORS and XSAVES are not for programs", () => {
  const rig = rigFor();
  rig.setCpl(3);
  assertEquals([rig.run(XRSTORS), rig.run(XSAVES)], [Vector.GP, Vector.GP]);
  assertEquals(rig.run(XSAVEC), NONE);
});

Deno.test("a page fault in the middle of XRSTOR changes nothing", () => {
  const rig = rigFor();
  fill(rig);
  rig.memory.writeU64(gpa(0x10_1000), BigInt(0x10_2000 | 7));
  rig.memory.writeU64(gpa(0x10_2000), BigInt(0x10_3000 | 7));
  for (let i = 0; i < 512; i++) rig.memory.writeU64(gpa(0x10_3000 + i * 8), BigInt(i << 12 | 7));
  rig.memory.writeU64(gpa(0x10_3000 + 0x21 * 8), 0n);
  rig.setGpr(3, 0x10_0000);
  rig.run("0f 22 db");
  const at = DATA_AT + 0x1000 - 576;
  area(rig, at).setUint32(512, PKRU | X87 | SSE, true);
  rig.setGpr(3, at);
  assertEquals(rig.run(XRSTOR), Vector.PF);
  assertEquals([rig.cpu.x87.control, rig.cpu.s[Word.XMM + 5]], [0x27f, 0x1005]);
});

Deno.test("XSETBV takes x87, SSE and PKRU; x87 cannot be off (SDM 2D XSETBV)", () => {
  const rig = rigFor();
  const set = (value: number) => {
    rig.setGpr(0, value);
    rig.setGpr(1, 0);
    return rig.run("0f 01 d1");
  };
  const values = [1, 3, 0x201, 0x203];
  assertEquals(values.map(set), values.map(() => NONE));
  const refused = [0, 2, 7, 5, 0x403];
  assertEquals(refused.map(set), refused.map(() => Vector.GP));
  assertEquals(rig.cpu.s[Word.XCR0], 0x203);
  rig.setGpr(0, 3);
  rig.setGpr(1, 1);
  assertEquals(rig.run("0f 01 d1"), Vector.GP, "there is XCR0 only");
  rig.setCpl(3);
  assertEquals(set(3), Vector.GP);
});

Deno.test("XGETBV reads XCR0, and with ECX = 1 what of it is in use", () => {
  const rig = rigFor();
  fill(rig);
  rig.cpu.s.fill(0, Word.XMM, Word.XMM + 64);
  const get = (index: number) => {
    rig.setGpr(1, index);
    const vector = rig.run("0f 01 d0");
    return vector === NONE ? Number(rig.gpr(0)) : -vector;
  };
  assertEquals([get(0), get(1), get(2)], [ALL, X87 | PKRU, -Vector.GP]);
});
