/** Hardware task switches (SDM 3A chapter 7). */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { Reg, Seg, State } from "../../../../src/cpu/state.ts";
import { Flag, Word } from "../../../../src/engine/wasm/cpu.ts";
import { deliverException } from "../../../../src/engine/wasm/delivery.ts";
import { GUEST_EXCEPTION, Vector } from "../../../../src/engine/wasm/exception.ts";
import {
  Access,
  bytes16,
  dpl,
  GDT_AT,
  HANDLERS_AT,
  NOT_PRESENT,
  SegmentRig,
  Sel,
  TSS_AT,
} from "../../../support/segment_rig.ts";
import { CODE_AT, NONE } from "../../../support/system_rig.ts";

/** The other task. */
const OTHER = 0x50;
const GATE = 0x58;
const OTHER_AT = 0x7000;
const ENTRY = 0x1800;
const STACK = 0xc000;
const JMP = `ea 00 00 00 00 ${bytes16(OTHER)}`;
const CALL = `9a 00 00 00 00 ${bytes16(OTHER)}`;

/** Offsets in a 32-bit TSS. */
const F = {
  LINK: 0,
  EIP: 32,
  EFLAGS: 36,
  EAX: 40,
  ES: 72,
  CS: 76,
  SS: 80,
  DS: 84,
  LDT: 96,
  T: 100,
};

/** A rig whose current task is busy, and another one that is available, at level 0. */
function tasks(): SegmentRig {
  const rig = new SegmentRig("flat32");
  rig.memory.writeU8(gpa(GDT_AT + Sel.TSS + 5), Access.TSS32_BUSY);
  rig.use(Seg.TR, Sel.TSS);
  rig.descriptor(OTHER, Access.TSS32, OTHER_AT, 0x67);
  const put = (at: number, value: number) => rig.memory.writeU32(gpa(OTHER_AT + at), value >>> 0);
  put(F.EIP, ENTRY);
  put(F.EFLAGS, 2 | Flag.DF);
  for (let i = 0; i < 8; i++) put(F.EAX + i * 4, i === Reg.RSP ? STACK : 0x1000_0000 + i);
  for (const at of [F.ES, F.SS, F.DS, F.DS + 4, F.DS + 8]) put(at, Sel.DATA0);
  put(F.CS, Sel.CODE0);
  return rig;
}
function field(rig: SegmentRig, at: number, tss = TSS_AT): number {
  return rig.memory.readU32(gpa(tss + at));
}
function setField(rig: SegmentRig, at: number, value: number): void {
  rig.memory.writeU32(gpa(OTHER_AT + at), value);
}
function run(rig: SegmentRig, code: string): [number, number] | undefined {
  const vector = rig.run(code);
  return vector === NONE ? undefined : [vector, rig.cpu.faultCode];
}
function rip(rig: SegmentRig): number {
  return Number(rig.get(Word.RIP));
}

Deno.test("JMP to a TSS saves the old task, loads the new one, and moves the busy bit (§7.3)", () => {
  const rig = tasks();
  rig.setGpr(Reg.RDX, 0xabcd_ef01);
  rig.cpu.s[Word.RFLAGS] |= Flag.IF;
  rig.use(Seg.DS, Sel.DATA3);
  assertEquals(run(rig, JMP), undefined);
  assertEquals([field(rig, F.EIP), field(rig, F.EAX + 8)], [CODE_AT + 7, 0xabcd_ef01]);
  assertEquals(field(rig, F.EFLAGS) & (Flag.IF | Flag.NT), Flag.IF);
  assertEquals([field(rig, F.CS), field(rig, F.DS)], [Sel.CODE0, Sel.DATA3]);
  assertEquals([rip(rig), rig.gpr(Reg.RSP), rig.gpr(Reg.RDX)], [ENTRY, BigInt(STACK), 0x10000002n]);
  assertEquals(rig.cpu.flags, 2 | Flag.DF);
  assertEquals([rig.access(Sel.TSS), rig.access(OTHER)], [Access.TSS32, Access.TSS32_BUSY]);
  assertEquals(rig.cpu.selector(Seg.TR), OTHER);
  assertEquals(rig.cpu.selector(Seg.DS), Sel.DATA0);
  assertEquals(rig.cpu.s[Word.CR0] & 8, 8, "CR0.TS");
});

Deno.test("CALL links and nests; IRET with NT goes back and ends the nesting (§7.4)", () => {
  const rig = tasks();
  assertEquals(run(rig, CALL), undefined);
  assertEquals(field(rig, F.LINK, OTHER_AT) & 0xffff, Sel.TSS);
  assertEquals(rig.cpu.flags & Flag.NT, Flag.NT);
  assertEquals([rig.access(Sel.TSS), rig.access(OTHER)], [Access.TSS32_BUSY, Access.TSS32_BUSY]);
  assertEquals(run(rig, "cf"), undefined);
  assertEquals([rip(rig), rig.cpu.selector(Seg.TR)], [CODE_AT + 7, Sel.TSS]);
  assertEquals([rig.access(Sel.TSS), rig.access(OTHER)], [Access.TSS32_BUSY, Access.TSS32]);
  assertEquals(field(rig, F.EFLAGS, OTHER_AT) & Flag.NT, 0);
  assertEquals(field(rig, F.EIP, OTHER_AT), ENTRY + 1, "behind the IRET");
});

Deno.test("a switch that its checks refuse leaves the old task alone (§7.3, table 7-1)", () => {
  const cases: readonly [what: string, access: number, limit: number, number, number][] = [
    ["busy", Access.TSS32_BUSY, 0x67, Vector.GP, OTHER],
    ["not there", Access.TSS32 & NOT_PRESENT, 0x67, Vector.NP, OTHER],
    ["too short", Access.TSS32, 0x66, Vector.TS, OTHER],
    ["too short for 16 bits", Access.TSS16, 0x2a, Vector.TS, OTHER],
  ];
  for (const [what, access, limit, vector, code] of cases) {
    const rig = tasks();
    rig.descriptor(OTHER, access, OTHER_AT, limit);
    assertEquals(run(rig, JMP), [vector, code], what);
    assertEquals([rip(rig), rig.cpu.selector(Seg.TR)], [CODE_AT, Sel.TSS], what);
    assertEquals([rig.access(Sel.TSS), rig.access(OTHER)], [Access.TSS32_BUSY, access], what);
  }
  const user = tasks();
  user.toUser();
  assertEquals(run(user, JMP), [Vector.GP, OTHER], "from level 3");
  const link = tasks();
  link.cpu.s[Word.RFLAGS] |= Flag.NT;
  link.memory.writeU16(gpa(TSS_AT), OTHER); // not busy
  assertEquals(run(link, "cf"), [Vector.TS, OTHER], "IRET to a task that is not busy");
});

Deno.test("segments of the new task: #TS, #NP, #SS, in the new task (§7.3, table 7-1)", () => {
  const free = 0x60;
  const cases: readonly [string, (rig: SegmentRig) => void, number, number][] = [
    ["no LDT", (rig) => setField(rig, F.LDT, Sel.DATA0), Vector.TS, Sel.DATA0],
    ["CS null", (rig) => setField(rig, F.CS, 0), Vector.TS, 0],
    ["CS data", (rig) => setField(rig, F.CS, Sel.DATA0), Vector.TS, Sel.DATA0],
    ["CS of another level", (rig) => setField(rig, F.CS, Sel.CODE0 | 3), Vector.TS, Sel.CODE0],
    [
      "CS not there",
      (rig) => {
        rig.descriptor(free, Access.CODE & NOT_PRESENT, 0, 0xfffff, 0xc);
        setField(rig, F.CS, free);
      },
      Vector.NP,
      free,
    ],
    ["SS of another level", (rig) => setField(rig, F.SS, Sel.DATA3), Vector.TS, Sel.DATA3 & ~3],
    [
      "SS not there",
      (rig) => {
        rig.descriptor(free, Access.DATA & NOT_PRESENT, 0, 0xfffff, 0xc);
        setField(rig, F.SS, free);
      },
      Vector.SS,
      free,
    ],
    [
      "DS that cannot be read",
      (rig) => {
        rig.descriptor(free, Access.EXECUTE_ONLY, 0, 0xfffff, 0xc);
        setField(rig, F.DS, free);
      },
      Vector.TS,
      free,
    ],
    [
      "DS not there",
      (rig) => {
        rig.descriptor(free, Access.DATA & NOT_PRESENT, 0, 0xfffff, 0xc);
        setField(rig, F.DS, free);
      },
      Vector.NP,
      free,
    ],
  ];
  for (const [what, spoil, vector, code] of cases) {
    const rig = tasks();
    spoil(rig);
    assertEquals(run(rig, JMP), [vector, code], what);
    assertEquals(rig.cpu.selector(Seg.TR), OTHER, what);
    assertEquals(rig.gpr(Reg.RSP), BigInt(STACK), what);
    assertEquals(rig.access(OTHER), Access.TSS32_BUSY, what);
  }
});

Deno.test("a fault of the new task is delivered there, at its first instruction", () => {
  const rig = tasks();
  setField(rig, F.DS, Sel.FREE); // an empty descriptor
  const { vector, frame } = rig.execute(JMP);
  assertEquals([vector, frame[0], frame[1]], [Vector.TS, Sel.FREE, ENTRY]);
});

Deno.test("a TSS of 16 bits has words, and leaves FS and GS null", () => {
  const rig = tasks();
  rig.descriptor(OTHER, Access.TSS16, OTHER_AT, 0x2b);
  const words = [0, 0, 0, 0, 0, 0, 0, ENTRY, 2, 1, 2, 3, 4, STACK, 6, 7, 8, 0x10, 8, 0x10, 0x10, 0];
  words.forEach((word, i) => rig.memory.writeU16(gpa(OTHER_AT + i * 2), word));
  rig.use(Seg.FS, Sel.DATA0);
  rig.setGpr(Reg.RAX, 0x5555_5555);
  assertEquals(run(rig, CALL), undefined);
  assertEquals([rip(rig), rig.gpr(Reg.RSP), rig.gpr(Reg.RDI)], [ENTRY, BigInt(STACK), 8n]);
  assertEquals([rig.cpu.selector(Seg.FS), rig.cpu.attributes(Seg.FS) & 0x80], [0, 0]);
  assertEquals(run(rig, "cf"), undefined);
  assertEquals([rip(rig), rig.gpr(Reg.RAX)], [CODE_AT + 7, 0x5555_5555n]);
  assertEquals(rig.memory.readU16(gpa(OTHER_AT + 14)), ENTRY + 1);
});

Deno.test("a task gate is reached by its own level, not by the TSS's", () => {
  const rig = tasks();
  rig.tableGate(GATE, Access.TASK_GATE | dpl(3), OTHER, 0);
  rig.toUser();
  assertEquals(run(rig, `ea 00 00 00 00 ${bytes16(GATE | 3)}`), undefined);
  assertEquals([rig.cpu.cpl, rip(rig)], [0, ENTRY]);
});

Deno.test("an exception through a task gate pushes its code on the new task's stack (§7.3)", () => {
  const rig = tasks();
  rig.gate(Vector.GP, Access.TASK_GATE, OTHER, 0);
  rig.cpu.s[Word.RFLAGS] |= Flag.IF;
  try {
    rig.cpu.raise(Vector.GP, 0x1230);
  } catch (error) {
    assertEquals(error, GUEST_EXCEPTION);
  }
  deliverException(rig.cpu);
  assertEquals([rip(rig), rig.gpr(Reg.RSP)], [ENTRY, BigInt(STACK - 4)]);
  assertEquals(rig.memory.readU32(gpa(STACK - 4)), 0x1230);
  assertEquals(field(rig, F.EIP), CODE_AT);
  assertEquals(field(rig, F.EFLAGS) & (Flag.RF | Flag.IF), Flag.RF | Flag.IF);
  assertEquals(rig.cpu.flags & Flag.NT, Flag.NT);
  assertEquals(field(rig, F.LINK, OTHER_AT) & 0xffff, Sel.TSS);
});

Deno.test("a task gate with a busy task raises #GP with EXT in the delivery of an exception", () => {
  const rig = tasks();
  rig.descriptor(OTHER, Access.TSS32_BUSY, OTHER_AT, 0x67);
  rig.gate(Vector.UD, Access.TASK_GATE, OTHER, 0);
  const { vector, frame } = rig.execute("0f 0b");
  assertEquals([vector, frame[0], frame[1]], [Vector.GP, OTHER | 1, CODE_AT]);
});

Deno.test("a switch to virtual-8086 mode loads paragraphs, at level 3", () => {
  const rig = tasks();
  setField(rig, F.EFLAGS, 2 | Flag.VM);
  setField(rig, F.CS, 0x0100);
  setField(rig, F.DS, 0x1234);
  assertEquals(run(rig, JMP), undefined);
  assertEquals([rig.cpu.v86, rig.cpu.cpl], [true, 3]);
  assertEquals([rig.cpu.baseLo(Seg.CS), rig.cpu.baseLo(Seg.DS)], [0x1000, 0x12340]);
});

Deno.test("the T flag raises #DB with BT, behind the switch (SDM 3B §17.3.1.5)", () => {
  const rig = tasks();
  setField(rig, F.T, 1);
  const { vector, frame } = rig.execute(JMP);
  assertEquals([vector, frame[0]], [Vector.DB, ENTRY]);
  assertEquals(rig.cpu.s[Word.DEBUG + 8] & 0x8000, 0x8000);
});

Deno.test("a switch ends local breakpoints (SDM 3B §17.2.4)", () => {
  const rig = tasks();
  rig.cpu.s[Word.DEBUG + 10] = 0x4ff;
  assertEquals(run(rig, JMP), undefined);
  assertEquals(rig.cpu.s[Word.DEBUG + 10], 0x4aa);
});

Deno.test("an old TSS that is too short for its task raises #TS before anything happens", () => {
  const rig = tasks();
  rig.cpu.s[(State.SEGMENTS + Seg.TR * 16) / 4 + 2] = 0x5e;
  assertEquals(run(rig, JMP), [Vector.TS, Sel.TSS]);
  assertEquals(rig.access(OTHER), Access.TSS32);
});

Deno.test("there are no tasks in IA-32e mode: #GP with the TSS's selector (§7.7)", () => {
  const rig = new SegmentRig("long64");
  rig.memory.writeU16(gpa(0x2_0004), Sel.TSS);
  assertEquals(run(rig, "ff 2b"), [Vector.GP, Sel.TSS]);
  assertEquals(Number(rig.get(Word.RIP)) < HANDLERS_AT, true);
});
