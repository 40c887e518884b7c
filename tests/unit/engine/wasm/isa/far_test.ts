/** Far JMP, CALL, RET, INT and IRET (SDM 2A, 2B; 3A §5.8). */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg, Seg, State } from "../../../../../src/cpu/state.ts";
import { Attention, CodeSize, Flag, Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import {
  Access,
  bytes16,
  bytes32,
  dpl,
  GDT_AT,
  INNER_STACK,
  NOT_PRESENT,
  SegmentRig,
  Sel,
  USER_STACK,
} from "../../../../support/segment_rig.ts";
import { CODE_AT, NONE } from "../../../../support/system_rig.ts";
import type { QuietApic } from "../../../../support/wasm_guest.ts";

const TARGET = 0x1800;
const FREE = Sel.FREE;

function jmp(selector: number, offset = TARGET): string {
  return `ea ${bytes32(offset)} ${bytes16(selector)}`;
}
function call(selector: number, offset = TARGET): string {
  return `9a ${bytes32(offset)} ${bytes16(selector)}`;
}
function rip(rig: SegmentRig): number {
  return Number(rig.get(Word.RIP));
}
/** [vector, error code] of `code`, or undefined when it worked. */
function run(rig: SegmentRig, code: string): [number, number] | undefined {
  const vector = rig.run(code);
  return vector === NONE ? undefined : [vector, rig.cpu.faultCode];
}
/** Puts `values` on the stack, the first on top. */
function stack(rig: SegmentRig, values: readonly (number | bigint)[], size = 4): void {
  const sp = Number(rig.gpr(Reg.RSP)) - values.length * size;
  values.forEach((value, i) => {
    if (size === 8) rig.memory.writeU64(gpa(sp + i * 8), BigInt.asUintN(64, BigInt(value)));
    else if (size === 4) rig.memory.writeU32(gpa(sp + i * 4), Number(value) >>> 0);
    else rig.memory.writeU16(gpa(sp + i * 2), Number(value) & 0xffff);
  });
  rig.setGpr(Reg.RSP, sp);
}
/** The value on the stack at `index`, in 4 bytes. */
function top(rig: SegmentRig, index: number): number {
  return rig.memory.readU32(gpa(Number(rig.gpr(Reg.RSP)) + index * 4));
}

Deno.test("far jumps in real mode: CS is a paragraph, IP must be in the limit", () => {
  const rig = new SegmentRig("real");
  assertEquals(run(rig, "ea 34 12 00 f0"), undefined);
  assertEquals([rip(rig), rig.cpu.selector(Seg.CS), rig.cpu.baseLo(Seg.CS)], [
    0x1234,
    0xf000,
    0xf0000,
  ]);
  assertEquals(run(rig, "66 ea 00 00 01 00 00 f0"), [Vector.GP, 0]);
});

Deno.test("far jumps: #GP and #NP with the selector (SDM 2A, JMP)", () => {
  const cases: readonly [what: string, access: number, selector: number, vector: number][] = [
    ["data", Access.DATA, FREE, Vector.GP],
    ["an LDT", Access.LDT, FREE, Vector.GP],
    ["outer code", Access.CODE | dpl(3), FREE, Vector.GP],
    ["code by an outer selector", Access.CODE, FREE | 1, Vector.GP],
    ["outer conforming code", Access.CONFORMING | dpl(3), FREE, Vector.GP],
    ["code that is not there", Access.CODE & NOT_PRESENT, FREE, Vector.NP],
    ["a busy TSS", Access.TSS32_BUSY, FREE, Vector.GP],
    ["an interrupt gate", Access.INTERRUPT_GATE32, FREE, Vector.GP],
  ];
  for (const [what, access, selector, vector] of cases) {
    const rig = new SegmentRig("flat32");
    rig.descriptor(FREE, access, 0, 0xfffff, 0xc);
    assertEquals(run(rig, jmp(selector)), [vector, FREE], what);
    assertEquals([rip(rig), rig.access(FREE)], [CODE_AT, access], what);
  }
  assertEquals(run(new SegmentRig("flat32"), jmp(0)), [Vector.GP, 0], "null");
  assertEquals(run(new SegmentRig("flat32"), jmp(0x100)), [Vector.GP, 0x100], "beyond the GDT");
});

Deno.test("far jumps keep the CPL, in conforming code too", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(FREE, Access.CONFORMING, 0, 0xfffff, 0xc);
  rig.toUser();
  assertEquals(run(rig, jmp(FREE)), undefined);
  assertEquals([rig.cpu.selector(Seg.CS), rig.cpu.cpl, rip(rig)], [FREE | 3, 3, TARGET]);
  assertEquals(rig.access(FREE), Access.CONFORMING | 1);
});

Deno.test("far jumps beyond the new code's limit raise #GP(0)", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(FREE, Access.CODE, 0, TARGET - 1, 0x4);
  assertEquals(run(rig, jmp(FREE)), [Vector.GP, 0]);
  rig.descriptor(FREE, Access.CODE, 0, TARGET, 0x4);
  assertEquals(run(rig, jmp(FREE)), undefined);
});

Deno.test("a far jump through memory reaches compatibility mode, and L with D is refused", () => {
  const rig = new SegmentRig("long64");
  rig.descriptor(FREE, Access.CODE, 0, 0xfffff, 0xc);
  rig.memory.writeU32(gpa(0x2_0000), TARGET);
  rig.memory.writeU16(gpa(0x2_0004), FREE);
  rig.descriptor(FREE + 8, Access.CODE, 0, 0xfffff, 0xe);
  assertEquals(rig.run("ea 00 18 00 00 48 00"), Vector.UD, "no immediate form");
  assertEquals(run(rig, "ff 2b"), undefined);
  assertEquals([rig.cpu.codeSize, rig.cpu.longMode, rip(rig)], [CodeSize.BITS32, true, TARGET]);
  const bad = new SegmentRig("long64");
  bad.descriptor(FREE, Access.CODE, 0, 0xfffff, 0xe);
  bad.memory.writeU32(gpa(0x2_0000), TARGET);
  bad.memory.writeU16(gpa(0x2_0004), FREE);
  assertEquals(run(bad, "ff 2b"), [Vector.GP, FREE]);
});

Deno.test("far calls push CS and the return address, in the operand's size", () => {
  const rig = new SegmentRig("flat32");
  const sp = rig.gpr(Reg.RSP);
  assertEquals(run(rig, call(Sel.CODE0)), undefined);
  assertEquals([top(rig, 0), top(rig, 1), rip(rig)], [CODE_AT + 7, Sel.CODE0, TARGET]);
  assertEquals(rig.gpr(Reg.RSP), sp - 8n);
  const wide = new SegmentRig("long64");
  wide.memory.writeU64(gpa(0x2_0000), BigInt(TARGET));
  wide.memory.writeU16(gpa(0x2_0008), Sel.CODE0);
  assertEquals(run(wide, "48 ff 1b"), undefined);
  assertEquals([top(wide, 0), top(wide, 2), rip(wide)], [CODE_AT + 3, Sel.CODE0, TARGET]);
});

Deno.test("a far call without room on the stack raises #SS(0) and pushes nothing", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(FREE, Access.DATA, 0, 0x9003, 0x4);
  rig.use(Seg.SS, FREE);
  rig.setGpr(Reg.RSP, 0x9008);
  assertEquals(run(rig, call(Sel.CODE0)), [Vector.SS, 0]);
  assertEquals([rig.gpr(Reg.RSP), rip(rig)], [0x9008n, CODE_AT]);
});

Deno.test("a call gate to an inner level copies its parameters (SDM 3A §5.8.5)", () => {
  const rig = new SegmentRig("flat32");
  rig.tableGate(FREE, Access.CALL_GATE32 | dpl(3), Sel.CODE0, TARGET, 2);
  rig.toUser();
  stack(rig, [0x1111, 0x2222]);
  assertEquals(run(rig, call(FREE | 3, 0xbad)), undefined);
  assertEquals([rig.cpu.cpl, rip(rig), rig.cpu.selector(Seg.SS)], [0, TARGET, Sel.DATA0]);
  assertEquals(rig.gpr(Reg.RSP), BigInt(INNER_STACK - 24));
  assertEquals([0, 1, 2, 3, 4, 5].map((i) => top(rig, i)), [
    CODE_AT + 7,
    Sel.CODE3,
    0x1111,
    0x2222,
    USER_STACK - 8,
    Sel.DATA3,
  ]);
});

Deno.test("RET n to the outer level drops the parameters on both stacks (SDM 3A §5.8.6)", () => {
  const rig = new SegmentRig("flat32");
  rig.tableGate(FREE, Access.CALL_GATE32 | dpl(3), Sel.CODE0, TARGET, 2);
  rig.toUser();
  rig.use(Seg.FS, Sel.DATA0); // an inner segment: the return must drop it
  stack(rig, [0x1111, 0x2222]);
  run(rig, call(FREE | 3));
  assertEquals(run(rig, "ca 08 00"), undefined);
  assertEquals([rip(rig), rig.cpu.cpl, rig.gpr(Reg.RSP)], [CODE_AT + 7, 3, BigInt(USER_STACK)]);
  assertEquals([rig.cpu.selector(Seg.SS), rig.cpu.selector(Seg.FS)], [Sel.DATA3, 0]);
  assertEquals(rig.cpu.selector(Seg.DS), Sel.DATA3, "an outer one stays");
});

Deno.test("a 16-bit call gate pushes and copies words", () => {
  const rig = new SegmentRig("flat32");
  rig.tableGate(FREE, Access.CALL_GATE16 | dpl(3), Sel.CODE0, TARGET, 1);
  rig.toUser();
  stack(rig, [0x1111], 2);
  assertEquals(run(rig, call(FREE | 3)), undefined);
  assertEquals(rig.gpr(Reg.RSP), BigInt(INNER_STACK - 10));
  assertEquals([top(rig, 0), top(rig, 1) & 0xffff], [Sel.CODE3 << 16 | CODE_AT + 7, 0x1111]);
});

Deno.test("call gates: levels of gate and selector, #NP with the gate's selector", () => {
  const cases: readonly [what: string, access: number, selector: number, vector: number][] = [
    ["a gate of level 0", Access.CALL_GATE32, FREE, Vector.GP],
    ["a gate of level 2", Access.CALL_GATE32 | dpl(2), FREE, Vector.GP],
    ["not there", (Access.CALL_GATE32 | dpl(3)) & NOT_PRESENT, FREE, Vector.NP],
  ];
  for (const [what, access, selector, vector] of cases) {
    const rig = new SegmentRig("flat32");
    rig.tableGate(FREE, access, Sel.CODE0, TARGET);
    rig.toUser();
    assertEquals(run(rig, call(selector)), [vector, FREE], what);
  }
  const rig = new SegmentRig("flat32");
  rig.tableGate(FREE, Access.CALL_GATE32, Sel.CODE0, TARGET);
  assertEquals(run(rig, call(FREE | 1)), [Vector.GP, FREE], "an outer selector");
  const jump = new SegmentRig("flat32");
  jump.tableGate(FREE, Access.CALL_GATE32 | dpl(3), Sel.CODE0, TARGET);
  jump.toUser();
  assertEquals(run(jump, jmp(FREE)), [Vector.GP, Sel.CODE0], "a jump does not change the level");
});

Deno.test("64-bit call gates have 16 bytes, 64-bit code and no parameters (SDM 3A §5.8.3.1)", () => {
  const rig = new SegmentRig("long64");
  rig.tableGate(FREE, Access.CALL_GATE32 | dpl(3), Sel.CODE0, TARGET, 5);
  rig.memory.writeU32(gpa(GDT_AT + FREE + 8), 0);
  rig.memory.writeU16(gpa(0x2_0004), FREE);
  rig.toUser();
  assertEquals(run(rig, "ff 1b"), undefined);
  assertEquals([rig.cpu.cpl, rip(rig), rig.cpu.selector(Seg.SS)], [0, TARGET, 0]);
  assertEquals(rig.gpr(Reg.RSP), BigInt(INNER_STACK - 32));
  assertEquals([0, 2, 4, 6].map((i) => top(rig, i)), [CODE_AT + 2, 0x1b, USER_STACK, 0x23]);
  const bad = new SegmentRig("long64");
  bad.tableGate(FREE, Access.CALL_GATE32, Sel.CODE0, TARGET);
  bad.memory.writeU32(gpa(GDT_AT + FREE + 12), 0x1f00);
  bad.memory.writeU16(gpa(0x2_0004), FREE);
  assertEquals(run(bad, "ff 1b"), [Vector.GP, FREE], "a type in the upper half");
});

Deno.test("RET: the return code's level is its selector's (SDM 2B, RET)", () => {
  const cases: readonly [what: string, selector: number, vector: number, code: number][] = [
    ["null", 0, Vector.GP, 0],
    ["data", Sel.DATA0, Vector.GP, Sel.DATA0],
    ["an outer selector of inner code", Sel.CODE0 | 3, Vector.GP, Sel.CODE0],
    ["an inner selector of outer code", Sel.CODE3 & ~3, Vector.GP, Sel.CODE3 & ~3],
    ["beyond the GDT", 0x100, Vector.GP, 0x100],
  ];
  for (const [what, selector, vector, code] of cases) {
    const rig = new SegmentRig("flat32");
    stack(rig, [TARGET, selector]);
    assertEquals(run(rig, "cb"), [vector, code], what);
  }
  const inner = new SegmentRig("flat32");
  inner.toUser();
  stack(inner, [TARGET, Sel.CODE0]);
  assertEquals(run(inner, "cb"), [Vector.GP, Sel.CODE0], "to an inner level");
});

Deno.test("RET to an outer level checks the stack it goes back to", () => {
  const cases: readonly [what: string, ss: number, vector: number, code: number][] = [
    ["null", 0, Vector.GP, 0],
    ["of level 0", Sel.DATA0, Vector.GP, Sel.DATA0],
    ["code", Sel.CODE3, Vector.GP, Sel.CODE3 & ~3],
    ["not there", FREE | 3, Vector.SS, FREE],
  ];
  for (const [what, ss, vector, code] of cases) {
    const rig = new SegmentRig("flat32");
    rig.descriptor(FREE, (Access.DATA | dpl(3)) & NOT_PRESENT, 0, 0xfffff, 0xc);
    stack(rig, [TARGET, Sel.CODE3, USER_STACK, ss]);
    const sp = rig.gpr(Reg.RSP);
    assertEquals(run(rig, "cb"), [vector, code], what);
    assertEquals([rig.gpr(Reg.RSP), rig.cpu.cpl], [sp, 0], what);
  }
});

Deno.test("IRET in real mode keeps VM, VIF, VIP and takes the rest, by the operand's size", () => {
  const rig = new SegmentRig("real");
  stack(rig, [TARGET, 0, 0xffff], 2);
  assertEquals(run(rig, "cf"), undefined);
  assertEquals(rig.cpu.flags, 0x7fd7);
  const wide = new SegmentRig("real");
  stack(wide, [TARGET, 0, 0xffff_ffff]);
  assertEquals(run(wide, "66 cf"), undefined);
  assertEquals(wide.cpu.flags, 0x25_7fd7);
});

Deno.test("IRET at level 3 cannot change IOPL, and IF with IOPL 3 only (SDM 2A, IRET)", () => {
  for (const iopl of [0, 3]) {
    const rig = new SegmentRig("flat32");
    rig.toUser();
    rig.cpu.s[Word.RFLAGS] |= iopl << 12;
    stack(rig, [TARGET, Sel.CODE3, 0x3fff_ffff]);
    assertEquals(run(rig, "cf"), undefined);
    const expected = 0x25_4dd7 | iopl << 12 | (iopl === 3 ? Flag.IF : 0);
    assertEquals(rig.cpu.flags, expected, `IOPL ${iopl}`);
  }
});

Deno.test("IRET turns interrupts on: one that has waited comes at once; NMIs may come again", () => {
  for (const pending of [true, false]) {
    const rig = new SegmentRig("flat32");
    (rig.cpu.apic as QuietApic).pending = pending;
    rig.cpu.nmiMasked = true;
    rig.cpu.attention = 0;
    stack(rig, [TARGET, Sel.CODE0, Flag.IF]);
    assertEquals(run(rig, "cf"), undefined);
    assertEquals((rig.cpu.attention & Attention.INTERRUPT) !== 0, pending);
    assertEquals(rig.cpu.nmiMasked, false);
  }
  const faulting = new SegmentRig("flat32");
  faulting.cpu.nmiMasked = true;
  stack(faulting, [TARGET, 0, 0]);
  assertEquals(run(faulting, "cf"), [Vector.GP, 0]);
  assertEquals(faulting.cpu.nmiMasked, false, "SDM 3A §6.7.1");
});

Deno.test("IRET to virtual-8086 mode takes all segments from the frame (SDM 3A §20.2.5)", () => {
  const rig = new SegmentRig("flat32");
  const flags = Flag.VM | 2 | Flag.IF;
  stack(rig, [0x1234, 0xf000, flags, 0x8000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000]);
  assertEquals(run(rig, "cf"), undefined);
  const { cpu } = rig;
  assertEquals([cpu.v86, cpu.cpl, rip(rig), rig.gpr(Reg.RSP)], [true, 3, 0x1234, 0x8000n]);
  const order = [Seg.CS, Seg.SS, Seg.ES, Seg.DS, Seg.FS, Seg.GS];
  assertEquals(order.map((seg) => cpu.selector(seg)), [
    0xf000,
    0x1000,
    0x2000,
    0x3000,
    0x4000,
    0x5000,
  ]);
  assertEquals([cpu.baseLo(Seg.GS), cpu.limit(Seg.GS)], [0x50000, 0xffff]);
});

Deno.test("IRET from virtual-8086 mode needs IOPL 3, and changes neither IOPL nor VM", () => {
  const rig = new SegmentRig("flat32");
  rig.toV86(0);
  assertEquals(run(rig, "cf"), [Vector.GP, 0]);
  const free = new SegmentRig("flat32");
  free.toV86(3);
  stack(free, [0x1234, 0xf000, Flag.IF], 2);
  assertEquals(run(free, "cf"), undefined);
  assertEquals(free.cpu.flags & (Flag.VM | Flag.IOPL | Flag.IF), Flag.VM | Flag.IOPL | Flag.IF);
});

Deno.test("IRET at level 3 does not enter virtual-8086 mode", () => {
  const rig = new SegmentRig("flat32");
  rig.toUser();
  stack(rig, [TARGET, Sel.CODE3, Flag.VM | 2]);
  assertEquals(run(rig, "cf"), undefined);
  assertEquals([rig.cpu.v86, rig.cpu.flags & Flag.VM], [false, 0]);
});

Deno.test("IRETQ always pops SS and RSP (SDM 3A §6.14.3)", () => {
  const rig = new SegmentRig("long64");
  stack(rig, [TARGET, Sel.CODE0, 2, 0x9008, 0], 8);
  assertEquals(run(rig, "48 cf"), undefined);
  assertEquals([rip(rig), rig.gpr(Reg.RSP), rig.cpu.selector(Seg.SS)], [TARGET, 0x9008n, 0]);
  const user = new SegmentRig("long64");
  stack(user, [TARGET, Sel.CODE3, 2, USER_STACK, 3], 8);
  assertEquals(run(user, "48 cf"), [Vector.GP, 0], "level 3 needs a stack segment");
  const odd = new SegmentRig("long64");
  stack(odd, [0x8000_0000_0000n, Sel.CODE0, 2, 0x9008, 0], 8);
  assertEquals(run(odd, "48 cf"), [Vector.GP, 0], "not canonical");
});

Deno.test("IRETQ to level 3 keeps the base of a null FS, and drops an inner DS", () => {
  const rig = new SegmentRig("long64");
  const fs = (State.SEGMENTS + Seg.FS * 16) / 4;
  rig.cpu.s.set([0x1234, 0x7f, 0, 0], fs);
  rig.use(Seg.DS, Sel.DATA0);
  rig.use(Seg.ES, Sel.DATA3);
  stack(rig, [TARGET, Sel.CODE3, 2, USER_STACK, Sel.DATA3], 8);
  assertEquals(run(rig, "48 cf"), undefined);
  assertEquals([rig.cpu.cpl, rig.get(fs)], [3, 0x7f_0000_1234n]);
  assertEquals([rig.cpu.selector(Seg.DS), rig.cpu.selector(Seg.ES)], [0, Sel.DATA3]);
});

Deno.test("IRETQ to compatibility mode at level 3 checks the limit", () => {
  const rig = new SegmentRig("long64");
  rig.descriptor(FREE, Access.CODE | dpl(3), 0, 0xfffff, 0xc);
  stack(rig, [TARGET, FREE | 3, 2, USER_STACK, Sel.DATA3], 8);
  assertEquals(run(rig, "48 cf"), undefined);
  assertEquals([rig.cpu.codeSize, rig.cpu.is64, rig.cpu.cpl], [CodeSize.BITS32, false, 3]);
  const far = new SegmentRig("long64");
  far.descriptor(FREE, Access.CODE | dpl(3), 0, 0xfffff, 0xc);
  stack(far, [0x1_0000_0000n, FREE | 3, 2, USER_STACK, Sel.DATA3], 8);
  assertEquals(run(far, "48 cf"), [Vector.GP, 0]);
});

Deno.test("NT in IA-32e mode makes IRET raise #GP(0)", () => {
  const rig = new SegmentRig("long64");
  rig.cpu.s[Word.RFLAGS] |= Flag.NT;
  assertEquals(run(rig, "48 cf"), [Vector.GP, 0]);
});

Deno.test("POPF: IOPL at level 0, IF up to IOPL, never VM; AC and ID with 32 bits", () => {
  const pop = (rig: SegmentRig, code: string, size: number) => {
    stack(rig, [0xffff_ffff], size);
    assertEquals(run(rig, code), undefined);
    return rig.cpu.flags;
  };
  assertEquals(pop(new SegmentRig("flat32"), "9d", 4), 0x24_7fd7);
  assertEquals(pop(new SegmentRig("flat32"), "66 9d", 2), 0x7fd7);
  const user = new SegmentRig("flat32");
  user.toUser();
  assertEquals(pop(user, "9d", 4), 0x24_4dd7);
  const v86 = new SegmentRig("flat32");
  v86.toV86(2);
  assertEquals(run(v86, "9d"), [Vector.GP, 0]);
  assertEquals(run(v86, "9c"), [Vector.GP, 0]);
});

Deno.test("CLI and STI go by IOPL; STI that turns interrupts on holds them off for one more", () => {
  const rig = new SegmentRig("flat32");
  assertEquals(run(rig, "fb"), undefined);
  assertEquals([rig.cpu.flags & Flag.IF, rig.cpu.shadow], [Flag.IF, 1]);
  rig.cpu.shadow = 0;
  assertEquals(run(rig, "fb"), undefined);
  assertEquals(rig.cpu.shadow, 0, "they were on already");
  rig.toUser();
  assertEquals(run(rig, "fa"), [Vector.GP, 0]);
  assertEquals(run(rig, "fb"), [Vector.GP, 0]);
  rig.cpu.s[Word.RFLAGS] |= Flag.IOPL;
  assertEquals(run(rig, "fa"), undefined);
  assertEquals(rig.cpu.flags & Flag.IF, 0);
});

Deno.test("STAC and CLAC are for level 0: elsewhere undefined", () => {
  const rig = new SegmentRig("long64");
  assertEquals(run(rig, "0f 01 cb"), undefined);
  assertEquals(rig.cpu.flags & Flag.AC, Flag.AC);
  assertEquals(run(rig, "0f 01 ca"), undefined);
  assertEquals(rig.cpu.flags & Flag.AC, 0);
  rig.toUser();
  assertEquals(rig.run("0f 01 cb"), Vector.UD);
});

Deno.test("INTO raises #OF's interrupt with OF only, behind the instruction", () => {
  const rig = new SegmentRig("flat32");
  rig.cpu.setStatusFlags(0);
  assertEquals(rig.execute("ce f4").vector, -1);
  const set = new SegmentRig("flat32");
  set.cpu.setStatusFlags(Flag.OF);
  const { vector, frame } = set.execute("ce f4");
  assertEquals([vector, frame[0]], [Vector.OF, CODE_AT + 1]);
});

Deno.test("a far return to a 16-bit stack leaves its pointer as it was popped", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(FREE, Access.DATA | dpl(3), 0, 0xffff);
  stack(rig, [TARGET, Sel.CODE3, 0x1234_fffe, FREE | 3]);
  assertEquals(run(rig, "cb"), undefined);
  assertEquals([rig.gpr(Reg.RSP), rig.cpu.stack32], [0x1234_fffen, false]);
  updateModes(rig.cpu);
  assertEquals(rig.cpu.cpl, 3);
});

Deno.test("a far call that is refused for its offset has pushed nothing (SDM 2A CALL)", () => {
  const real = new SegmentRig("real");
  const before = real.memory.readU32(gpa(0x7ffc));
  assertEquals(run(real, `66 9a ${bytes32(0x1_0000)} 00 00`), [Vector.GP, 0]);
  assertEquals(real.memory.readU32(gpa(0x7ffc)), before);
  const rig = new SegmentRig("flat32");
  rig.descriptor(FREE, Access.CODE, 0, 0xfff, 0x4);
  const sp = Number(rig.gpr(Reg.RSP));
  rig.memory.writeU32(gpa(sp - 4), 0x1234_5678);
  assertEquals(run(rig, call(FREE)), [Vector.GP, 0]);
  assertEquals(rig.memory.readU32(gpa(sp - 4)), 0x1234_5678);
});
