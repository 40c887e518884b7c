/** Loads of segment registers (SDM 2B, MOV; 3A §3.4, §5.4 to §5.6). */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { Reg, Seg, State } from "../../../../src/cpu/state.ts";
import { Word } from "../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../src/engine/wasm/modes.ts";
import { Access, dpl, GDT_AT, NOT_PRESENT, SegmentRig, Sel } from "../../../support/segment_rig.ts";
import { NONE, type RigMode } from "../../../support/system_rig.ts";

/** MOV DS, AX and MOV SS, AX. */
const MOV_DS = "8e d8";
const MOV_SS = "8e d0";

/** Runs `code` with AX = `selector`; [vector, error code], or undefined when it worked. */
function load(rig: SegmentRig, code: string, selector: number): [number, number] | undefined {
  rig.setGpr(Reg.RAX, selector);
  const vector = rig.run(code);
  return vector === NONE ? undefined : [vector, rig.cpu.faultCode];
}

Deno.test("MOV DS raises #GP and #NP with the selector for each descriptor that does not fit", () => {
  const free = Sel.FREE;
  const cases: readonly [what: string, access: number, selector: number, code: number][] = [
    ["a system segment", Access.LDT, free, Vector.GP],
    ["code that cannot be read", Access.EXECUTE_ONLY, free, Vector.GP],
    ["data of an inner level", Access.DATA | dpl(2), free | 3, Vector.GP],
    ["data, by RPL", Access.DATA | dpl(2), free | 3, Vector.GP],
    ["data that is not there", (Access.DATA | dpl(3)) & NOT_PRESENT, free | 3, Vector.NP],
    ["inner code", Access.CODE | dpl(1), free | 3, Vector.GP],
  ];
  for (const [what, access, selector, vector] of cases) {
    const rig = new SegmentRig("flat32");
    rig.descriptor(free, access, 0, 0xfffff, 0xc);
    if (vector !== Vector.GP || what.includes("inner")) rig.toUser();
    assertEquals(load(rig, MOV_DS, selector), [vector, free], what);
  }
  const rig = new SegmentRig("flat32");
  assertEquals(load(rig, MOV_DS, 0x100), [Vector.GP, 0x100], "beyond the GDT's limit");
  assertEquals(load(rig, MOV_DS, 0x104), [Vector.GP, 0x104], "beyond the LDT's limit");
});

Deno.test("conforming code loads into DS from every level (SDM 3A §5.6)", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.CONFORMING, 0, 0xfffff, 0xc);
  rig.toUser();
  assertEquals(load(rig, MOV_DS, Sel.FREE | 3), undefined);
  assertEquals(rig.cpu.selector(Seg.DS), Sel.FREE | 3);
});

Deno.test("a load sets the accessed bit in the table, and takes base and limit from there", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.DATA, 0x1234_5678, 0x9abcd, 0x4);
  assertEquals(load(rig, MOV_DS, Sel.FREE), undefined);
  assertEquals(rig.access(Sel.FREE), Access.DATA | 1);
  assertEquals(rig.cpu.baseLo(Seg.DS), 0x1234_5678);
  assertEquals(rig.cpu.limit(Seg.DS), 0x9abcd);
  assertEquals(rig.cpu.attributes(Seg.DS), 0x4093);
});

Deno.test("a limit in pages covers their last byte", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.DATA, 0, 0x00012, 0x8);
  load(rig, MOV_DS, Sel.FREE);
  assertEquals(rig.cpu.limit(Seg.DS), 0x12fff);
});

Deno.test("a load that faults changes neither the register nor the table", () => {
  const rig = new SegmentRig("flat32");
  rig.use(Seg.DS, Sel.DATA0);
  rig.descriptor(Sel.FREE, Access.DATA & NOT_PRESENT, 0x1000, 0xff);
  assertEquals(load(rig, MOV_DS, Sel.FREE), [Vector.NP, Sel.FREE]);
  assertEquals(rig.cpu.selector(Seg.DS), Sel.DATA0);
  assertEquals(rig.cpu.limit(Seg.DS), 0xffff_ffff);
  assertEquals(rig.access(Sel.FREE), Access.DATA & NOT_PRESENT);
});

Deno.test("a null selector loads, and the access through it raises #GP(0) (SDM 3A §3.4.2)", () => {
  const rig = new SegmentRig("flat32");
  assertEquals(load(rig, MOV_DS, 3), undefined);
  assertEquals(rig.cpu.selector(Seg.DS), 3);
  assertEquals([rig.run("8a 03"), rig.cpu.faultCode], [Vector.GP, 0]); // mov al, [ebx]
});

Deno.test("MOV SS wants a writable segment of just this level: #GP; and present: #SS", () => {
  const free = Sel.FREE;
  const cases: readonly [what: string, access: number, selector: number, vector: number][] = [
    ["read-only data", Access.READ_ONLY, free, Vector.GP],
    ["code", Access.CODE, free, Vector.GP],
    ["an outer segment", Access.DATA | dpl(3), free, Vector.GP],
    ["an outer selector", Access.DATA, free | 3, Vector.GP],
    ["not present", Access.DATA & NOT_PRESENT, free, Vector.SS],
  ];
  for (const [what, access, selector, vector] of cases) {
    const rig = new SegmentRig("flat32");
    rig.descriptor(free, access, 0, 0xfffff, 0xc);
    assertEquals(load(rig, MOV_SS, selector), [vector, free], what);
  }
});

Deno.test("SS may be null in 64-bit mode below level 3 with RPL = CPL only", () => {
  const cases: readonly [mode: RigMode, cpl: number, selector: number, works: boolean][] = [
    ["flat32", 0, 0, false],
    ["long64", 0, 0, true],
    ["long64", 0, 1, false],
    ["long64", 1, 1, true],
    ["long64", 3, 3, false],
  ];
  for (const [mode, cpl, selector, works] of cases) {
    const rig = new SegmentRig(mode);
    rig.setCpl(cpl);
    const what = `${mode}, CPL ${cpl}, selector ${selector}`;
    assertEquals(load(rig, MOV_SS, selector), works ? undefined : [Vector.GP, 0], what);
    assertEquals(rig.cpu.cpl, cpl, what);
  }
});

Deno.test("MOV SS and POP SS hold events off for one instruction; MOV DS does not", () => {
  const rig = new SegmentRig("flat32");
  load(rig, MOV_DS, Sel.DATA0);
  assertEquals(rig.cpu.shadow, 0);
  load(rig, MOV_SS, Sel.DATA0);
  assertEquals(rig.cpu.shadow, 2);
});

Deno.test("MOV CS and segment numbers 6 and 7 are undefined", () => {
  const rig = new SegmentRig("flat32");
  for (const code of ["8e c8", "8e f0", "8e f8", "8c f0", "8c f8"]) {
    assertEquals(rig.run(code), Vector.UD, code);
  }
});

Deno.test("real mode changes the base and keeps the limit: unreal mode (SDM 3A §20.1.1)", () => {
  const rig = new SegmentRig("real");
  rig.cpu.s[(State.SEGMENTS + Seg.DS * 16) / 4 + 2] = -1;
  updateModes(rig.cpu);
  assertEquals(load(rig, MOV_DS, 0x1234), undefined);
  assertEquals(rig.cpu.baseLo(Seg.DS), 0x12340);
  assertEquals(rig.cpu.limit(Seg.DS), 0xffff_ffff);
});

Deno.test("virtual-8086 mode loads selectors as real mode does, with limits of 64 KiB", () => {
  const rig = new SegmentRig("flat32");
  rig.toV86(3);
  assertEquals(load(rig, MOV_DS, 0xffff), undefined);
  assertEquals(rig.cpu.baseLo(Seg.DS), 0xffff0);
  assertEquals(rig.cpu.limit(Seg.DS), 0xffff);
});

Deno.test("POP DS takes 16 bits of its operand, and RSP moves by all of it", () => {
  const rig = new SegmentRig("flat32");
  rig.memory.writeU32(gpa(0x9000), 0xabcd_0010);
  rig.setGpr(Reg.RSP, 0x9000);
  assertEquals(rig.run("1f"), NONE);
  assertEquals(rig.cpu.selector(Seg.DS), 0x10);
  assertEquals(rig.gpr(Reg.RSP), 0x9004n);
});

Deno.test("POP SS moves the old stack pointer by the old stack's width", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.DATA, 0, 0xffff); // B clear
  rig.memory.writeU32(gpa(0xfffc), Sel.FREE);
  rig.setGpr(Reg.RSP, 0xfffc);
  assertEquals(rig.run("17"), NONE);
  assertEquals(rig.gpr(Reg.RSP), 0x1_0000n);
  assertEquals(rig.cpu.stack32, false);
});

Deno.test("LDS loads both, or nothing when the selector is refused", () => {
  const rig = new SegmentRig("flat32");
  rig.memory.writeU32(gpa(0x2_0000), 0xdead_beef);
  rig.memory.writeU16(gpa(0x2_0004), 0x100);
  rig.setGpr(Reg.RAX, 1);
  assertEquals([rig.run("c5 03"), rig.cpu.faultCode], [Vector.GP, 0x100]);
  assertEquals(rig.gpr(Reg.RAX), 1n);
  rig.memory.writeU16(gpa(0x2_0004), Sel.DATA0);
  assertEquals(rig.run("c5 03"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0xdead_beefn);
  assertEquals(rig.cpu.selector(Seg.DS), Sel.DATA0);
});

Deno.test("MOV from a segment register zero-extends into registers and stores 16 bits", () => {
  const rig = new SegmentRig("long64");
  rig.use(Seg.DS, Sel.DATA0);
  rig.setGpr(Reg.RAX, -1);
  rig.memory.writeU32(gpa(0x2_0000), 0xffff_ffff);
  assertEquals(rig.run("48 8c 1b"), NONE); // mov [rbx], ds
  assertEquals(rig.memory.readU32(gpa(0x2_0000)), 0xffff_0010);
  assertEquals(rig.run("66 8c d8"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0xffff_ffff_ffff_0010n);
  assertEquals(rig.run("8c d8"), NONE);
  assertEquals(rig.gpr(Reg.RAX), 0x10n);
});

Deno.test("LTR marks the TSS as busy and refuses it the next time (SDM 2A, LTR)", () => {
  const rig = new SegmentRig("flat32");
  rig.setGpr(Reg.RAX, Sel.TSS);
  assertEquals(rig.run("0f 00 d8"), NONE);
  assertEquals(rig.access(Sel.TSS), Access.TSS32_BUSY);
  assertEquals(rig.cpu.attributes(Seg.TR) & 0xff, Access.TSS32_BUSY);
  assertEquals([rig.run("0f 00 d8"), rig.cpu.faultCode], [Vector.GP, Sel.TSS]);
});

Deno.test("LTR and LLDT read 16 bytes in IA-32e mode, where the rest must have no type", () => {
  const rig = new SegmentRig("long64");
  rig.memory.writeU32(gpa(GDT_AT + Sel.TSS + 8), 0xffff_8000);
  rig.setGpr(Reg.RAX, Sel.TSS);
  assertEquals(rig.run("0f 00 d8"), NONE);
  assertEquals(rig.cpu.baseHi(Seg.TR) >>> 0, 0xffff_8000);
  rig.setGpr(Reg.RAX, Sel.LDT);
  assertEquals(rig.run("0f 00 d0"), NONE);
  rig.memory.writeU32(gpa(GDT_AT + Sel.LDT + 12), 0x100);
  assertEquals([rig.run("0f 00 d0"), rig.cpu.faultCode], [Vector.GP, Sel.LDT]);
  rig.cpu.s[Word.GDTR + 2] = Sel.LDT + 14; // the upper half is cut off
  rig.memory.writeU32(gpa(GDT_AT + Sel.LDT + 12), 0);
  assertEquals([rig.run("0f 00 d0"), rig.cpu.faultCode], [Vector.GP, Sel.LDT]);
});

Deno.test("LTR and LLDT refuse a base that is not canonical, and take 32 bits in compatibility mode", () => {
  for (const [code, own] of [["0f 00 d8", Sel.TSS], ["0f 00 d0", Sel.LDT]] as const) {
    const seg = own === Sel.TSS ? Seg.TR : Seg.LDTR;
    const rig = new SegmentRig("long64");
    rig.memory.writeU32(gpa(GDT_AT + own + 8), 0x1234_5678);
    assertEquals(load(rig, code, own), [Vector.GP, own], code);
    rig.descriptor(Sel.CODE0, Access.CODE, 0, 0xfffff, 0xc);
    rig.use(Seg.CS, Sel.CODE0);
    assertEquals(load(rig, code, own), undefined, code);
    assertEquals(rig.cpu.baseHi(seg), 0, code);
  }
});

Deno.test("LTR and LLDT: #GP for a wrong type or a local selector, #NP when not present", () => {
  for (const [code, own] of [["0f 00 d8", Sel.TSS], ["0f 00 d0", Sel.LDT]] as const) {
    const other = own === Sel.TSS ? Sel.LDT : Sel.TSS;
    const rig = new SegmentRig("flat32");
    assertEquals(load(rig, code, other), [Vector.GP, other], code);
    assertEquals(load(rig, code, own | 4), [Vector.GP, own | 4], code);
    const access = rig.access(own);
    rig.memory.writeU8(gpa(GDT_AT + own + 5), access & NOT_PRESENT);
    assertEquals(load(rig, code, own), [Vector.NP, own], code);
  }
});

Deno.test("a null LDTR makes every local selector invalid", () => {
  const rig = new SegmentRig("flat32");
  assertEquals(load(rig, "0f 00 d0", 0), undefined);
  assertEquals(load(rig, MOV_DS, 0x0c), [Vector.GP, 0x0c]);
});

Deno.test("LTR, LLDT, STR, VERR, LAR and ARPL are undefined without descriptors", () => {
  for (const code of ["0f 00 d8", "0f 00 d0", "0f 00 c8", "0f 00 e0", "0f 02 c0", "63 c0"]) {
    assertEquals(new SegmentRig("real").run(code), Vector.UD, code);
  }
  const rig = new SegmentRig("flat32");
  rig.toV86(3);
  assertEquals(rig.run("0f 00 d8"), Vector.UD, "even at level 3");
});

Deno.test("UMIP keeps SGDT, SIDT, SLDT, STR from level 3: #GP(0) (SDM 3A §2.5)", () => {
  const rig = new SegmentRig("flat32");
  rig.toUser();
  for (const code of ["0f 01 03", "0f 01 0b", "0f 00 c0", "0f 00 c8"]) {
    rig.cpu.s[Word.CR4] = 0;
    assertEquals(rig.run(code), NONE, code);
    rig.cpu.s[Word.CR4] = 1 << 11;
    assertEquals(rig.run(code), Vector.GP, code);
  }
});

Deno.test("LGDT takes 24 bits of base with 16-bit operands, 64 in 64-bit mode if canonical", () => {
  const rig = new SegmentRig("flat32");
  rig.memory.writeU64(gpa(0x2_0000), 0xffff_1234_5678_4321n);
  assertEquals(rig.run("66 0f 01 13"), NONE);
  assertEquals([rig.cpu.s[Word.GDTR], rig.cpu.s[Word.GDTR + 2]], [0x34_5678, 0x4321]);
  assertEquals(rig.run("0f 01 13"), NONE);
  assertEquals(rig.cpu.s[Word.GDTR], 0x1234_5678);
  const wide = new SegmentRig("long64");
  wide.memory.writeU64(gpa(0x2_0002), 0x0000_8000_0000_0000n);
  assertEquals(wide.run("0f 01 13"), Vector.GP);
  wide.memory.writeU64(gpa(0x2_0002), 0xffff_8000_0000_0000n);
  assertEquals(wide.run("0f 01 13"), NONE);
  assertEquals(wide.get(Word.GDTR), 0xffff_8000_0000_0000n);
});

Deno.test("LAR, LSL, VERR and VERW see what this level may use, and only then write", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.DATA | dpl(3), 0, 0x1234, 0);
  rig.descriptor(Sel.FREE + 8, Access.EXECUTE_ONLY | dpl(3), 0, 0x1234, 0);
  rig.toUser();
  const see = (code: string, selector: number) => {
    rig.setGpr(Reg.RAX, selector);
    rig.setGpr(Reg.RDX, 0x55);
    assertEquals(rig.run(code), NONE);
    return [rig.cpu.zero === 0, Number(rig.gpr(Reg.RDX))];
  };
  assertEquals(see("0f 02 d0", Sel.FREE), [true, 0xf200]); // lar edx, eax
  assertEquals(see("0f 03 d0", Sel.FREE), [true, 0x1234]); // lsl edx, eax
  assertEquals(see("0f 03 d0", Sel.DATA0), [false, 0x55]);
  assertEquals(see("0f 02 d0", Sel.TSS), [false, 0x55]);
  assertEquals(see("0f 02 d0", 0), [false, 0x55]);
  assertEquals(see("0f 00 e0", Sel.FREE)[0], true); // verr
  assertEquals(see("0f 00 e8", Sel.FREE)[0], true); // verw
  assertEquals(see("0f 00 e0", Sel.FREE + 8)[0], false);
  assertEquals(see("0f 00 e8", Sel.CODE3)[0], false);
});

Deno.test("ARPL raises the RPL and says so", () => {
  const rig = new SegmentRig("flat32");
  for (const [a, b, result, zero] of [[0x10, 3, 0x13, true], [0x13, 2, 0x13, false]] as const) {
    rig.setGpr(Reg.RAX, a);
    rig.setGpr(Reg.RCX, b);
    assertEquals(rig.run("63 c8"), NONE);
    assertEquals([Number(rig.gpr(Reg.RAX)), rig.cpu.zero === 0], [result, zero]);
  }
});

Deno.test("limits: the last byte counts, and expand-down segments begin above theirs", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.DATA, 0, 0x1003);
  rig.descriptor(Sel.FREE + 8, Access.EXPAND_DOWN, 0, 0xfff, 0x4);
  const read = (selector: number, offset: number) => {
    load(rig, MOV_DS, selector);
    rig.setGpr(Reg.RBX, offset);
    return rig.run("8b 03");
  };
  assertEquals(read(Sel.FREE, 0x1000), NONE);
  assertEquals(read(Sel.FREE, 0x1001), Vector.GP);
  assertEquals(read(Sel.FREE + 8, 0x1000), NONE);
  assertEquals(read(Sel.FREE + 8, 0xfff), Vector.GP);
});

Deno.test("SWAPGS exchanges two bases, at level 0 of 64-bit mode", () => {
  const rig = new SegmentRig("long64");
  rig.wrmsr(0xc000_0101, 0x1111_0000_2222n);
  rig.wrmsr(0xc000_0102, 0x3333_0000_4444n);
  assertEquals(rig.run("0f 01 f8"), NONE);
  assertEquals(rig.rdmsr(0xc000_0101), 0x3333_0000_4444n);
  assertEquals(rig.rdmsr(0xc000_0102), 0x1111_0000_2222n);
  rig.setCpl(3);
  assertEquals(rig.run("0f 01 f8"), Vector.GP);
  assertEquals(new SegmentRig("flat32").run("0f 01 f8"), Vector.UD);
});

Deno.test("WRFSBASE needs CR4.FSGSBASE and a canonical base", () => {
  const rig = new SegmentRig("long64");
  rig.setGpr(Reg.RAX, 0x8000_0000_0000n);
  assertEquals(rig.run("f3 48 0f ae d0"), Vector.UD);
  rig.cpu.s[Word.CR4] |= 1 << 16;
  assertEquals(rig.run("f3 48 0f ae d0"), Vector.GP);
  assertEquals(rig.run("f3 0f ae d0"), NONE); // 32 bits of it
  rig.setGpr(Reg.RAX, 0xffff_8000_1234_5678n);
  assertEquals(rig.run("f3 48 0f ae d0"), NONE);
  assertEquals(rig.run("f3 48 0f ae c1"), NONE); // rdfsbase rcx
  assertEquals(rig.gpr(Reg.RCX), 0xffff_8000_1234_5678n);
});

Deno.test("the address of a GDT entry is one of the supervisor, whatever the CPL", () => {
  const rig = new SegmentRig("long64");
  // Page tables of 4 KiB pages in which only the code's page is for users.
  const tables = 0x10_0000;
  rig.memory.writeU64(gpa(tables + 0x1000), BigInt(tables + 0x2000 | 7));
  rig.memory.writeU64(gpa(tables + 0x2000), BigInt(tables + 0x3000 | 7));
  for (let page = 0; page < 512; page++) {
    rig.memory.writeU64(
      gpa(tables + 0x3000 + page * 8),
      BigInt(page * 4096 | (page === 1 ? 7 : 3)),
    );
  }
  rig.toUser();
  rig.cpu.paging.flush();
  assertEquals(load(rig, MOV_DS, Sel.DATA3), undefined);
  rig.setGpr(Reg.RBX, GDT_AT);
  assertEquals([rig.run("8a 03"), rig.cpu.faultCode], [Vector.PF, 5]);
});
