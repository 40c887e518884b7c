/** Exceptions and interrupts on their way to a handler (SDM 3A chapter 6, §20.1.4, §20.3). */

import { assertEquals, assertMatch } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { Event, Reg, Seg, State } from "../../../../src/cpu/state.ts";
import { CpuState } from "../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../src/engine/engine.ts";
import { Flag, Word } from "../../../../src/engine/wasm/cpu.ts";
import { deliverException, deliverInterrupt } from "../../../../src/engine/wasm/delivery.ts";
import { GUEST_EXCEPTION, Vector } from "../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../src/engine/wasm/modes.ts";
import {
  Access,
  dpl,
  GDT_AT,
  HANDLERS_AT,
  INNER_STACK,
  IST1,
  NOT_PRESENT,
  SegmentRig,
  Sel,
  TSS_AT,
  USER_STACK,
} from "../../../support/segment_rig.ts";
import { CODE_AT, NONE } from "../../../support/system_rig.ts";

const INT_21 = "cd 21";
const UD2 = "0f 0b";
/** MOV DS, AX with AX = 0x100: #GP(0x100), for it lies beyond the GDT. */
const FAULT = "8e d8";
const FAULT_CODE = 0x100;
/** Vector 0x21 in an error code that means the IDT. */
const IDT_21 = 0x21 * 8 + 2;

function faulting(rig: SegmentRig): SegmentRig {
  rig.setGpr(Reg.RAX, FAULT_CODE);
  return rig;
}

/** Raises an exception as an instruction would, and delivers it. */
function raise(rig: SegmentRig, vector: number, code = 0): void {
  try {
    rig.cpu.raise(vector, code);
  } catch (error) {
    assertEquals(error, GUEST_EXCEPTION);
  }
  deliverException(rig.cpu);
}

/** Vector of the handler that RIP is at. */
function handler(rig: SegmentRig): number {
  return (Number(rig.get(Word.RIP)) - HANDLERS_AT) / 16;
}

function push32(rig: SegmentRig, index: number): number {
  return rig.memory.readU32(gpa(Number(rig.gpr(Reg.RSP)) + index * 4));
}

Deno.test("real mode pushes FLAGS, CS, IP and clears IF, TF, AC (SDM 3A §20.1.4)", () => {
  const rig = new SegmentRig("real");
  rig.memory.writeU32(gpa(0x21 * 4), HANDLERS_AT + 0x210);
  rig.cpu.s[Word.RFLAGS] |= Flag.IF | Flag.AC | Flag.DF;
  rig.cpu.s[Word.IDTR + 2] = 0x3ff;
  const { vector, frame } = rig.execute(INT_21, 2);
  assertEquals(vector, 0x21);
  assertEquals([frame[0], frame[1]], [CODE_AT + 2, 0]);
  assertEquals(frame[2] & (Flag.IF | Flag.DF), Flag.IF | Flag.DF);
  assertEquals(rig.cpu.flags & (Flag.IF | Flag.AC | Flag.DF), Flag.DF);
  assertEquals(rig.gpr(Reg.RSP), 0x8000n - 6n);
});

Deno.test("a real-mode vector beyond the IDT's limit ends, by way of #DF, in a shutdown", () => {
  const rig = new SegmentRig("real");
  rig.cpu.s[Word.IDTR + 2] = 0x1f; // vectors 0 to 7
  rig.memory.write(gpa(CODE_AT), Uint8Array.of(0xcd, 0x21));
  assertEquals(rig.engine.run(100), ExitCode.SHUTDOWN);
  assertMatch(rig.cpu.shutdownReason, /triple fault/i);
});

Deno.test("an interrupt gate of the same level pushes EFLAGS, CS, EIP and clears IF", () => {
  const rig = new SegmentRig("flat32");
  rig.cpu.s[Word.RFLAGS] |= Flag.IF | Flag.NT;
  const { vector, frame } = rig.execute(INT_21);
  assertEquals(vector, 0x21);
  assertEquals(frame.slice(0, 2), [CODE_AT + 2, Sel.CODE0]);
  assertEquals(frame[2] & (Flag.IF | Flag.NT | Flag.RF), Flag.IF | Flag.NT);
  assertEquals(rig.cpu.flags & (Flag.IF | Flag.NT), 0);
});

Deno.test("a trap gate leaves IF, and clears TF and NT all the same", () => {
  const rig = new SegmentRig("flat32");
  rig.gate(0x21, Access.TRAP_GATE32, Sel.CODE0, HANDLERS_AT + 0x210);
  rig.cpu.s[Word.RFLAGS] |= Flag.IF | Flag.NT;
  rig.execute(INT_21);
  assertEquals(rig.cpu.flags & (Flag.IF | Flag.NT | Flag.TF), Flag.IF);
});

Deno.test("a 16-bit gate pushes words and takes 16 bits of its offset", () => {
  const rig = new SegmentRig("flat32");
  rig.gate(0x21, Access.INTERRUPT_GATE16, Sel.CODE0, 0x7777_0000 | HANDLERS_AT + 0x210);
  const { vector, frame } = rig.execute(INT_21, 2);
  assertEquals(vector, 0x21);
  assertEquals(frame.slice(0, 2), [CODE_AT + 2, Sel.CODE0]);
});

Deno.test("a fault's frame has its error code, the instruction itself and RF (SDM 3A §6.5, §6.13)", () => {
  const rig = faulting(new SegmentRig("flat32"));
  const { vector, frame } = rig.execute(FAULT);
  assertEquals(vector, Vector.GP);
  assertEquals(frame.slice(0, 3), [FAULT_CODE, CODE_AT, Sel.CODE0]);
  assertEquals(frame[3] & Flag.RF, Flag.RF);
});

Deno.test("#UD pushes no error code", () => {
  const { vector, frame } = new SegmentRig("flat32").execute(UD2);
  assertEquals([vector, frame[0], frame[1]], [Vector.UD, CODE_AT, Sel.CODE0]);
});

Deno.test("from level 3 the frame is on the TSS's stack, with SS and ESP (SDM 3A §6.12.1)", () => {
  const rig = new SegmentRig("flat32");
  rig.toUser();
  const { vector, frame } = rig.execute(UD2);
  assertEquals(vector, Vector.UD);
  assertEquals([frame[0], frame[1], frame[3], frame[4]], [
    CODE_AT,
    Sel.CODE3,
    USER_STACK,
    Sel.DATA3,
  ]);
  assertEquals(rig.gpr(Reg.RSP), BigInt(INNER_STACK - 20));
  assertEquals([rig.cpu.cpl, rig.cpu.selector(Seg.SS), rig.cpu.selector(Seg.CS)], [0, 0x10, 0x08]);
  assertEquals(rig.cpu.selector(Seg.DS), Sel.DATA3, "data segments stay");
});

Deno.test("conforming handlers run at the level of what they interrupt, on its stack", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.CONFORMING, 0, 0xfffff, 0xc);
  rig.gate(Vector.UD, Access.INTERRUPT_GATE32, Sel.FREE, HANDLERS_AT + 0x60);
  rig.gate(Vector.GP, Access.INTERRUPT_GATE32, Sel.CODE0, HANDLERS_AT + 0xd0);
  rig.toUser();
  // HLT at level 3 raises #GP: its frame shows where the first handler ran.
  const { vector, frame } = rig.execute(UD2);
  assertEquals(vector, Vector.GP);
  assertEquals([frame[2], frame[4]], [Sel.FREE | 3, USER_STACK - 12]);
});

Deno.test("virtual-8086 mode pushes GS, FS, DS, ES first and clears them (SDM 3A §20.3.1.1)", () => {
  const rig = new SegmentRig("flat32");
  rig.toV86(3);
  rig.cpu.u16[(State.SEGMENTS + Seg.GS * 16 + 12) / 2] = 0x1111;
  rig.cpu.u16[(State.SEGMENTS + Seg.ES * 16 + 12) / 2] = 0x2222;
  const { vector, frame } = rig.execute(UD2);
  assertEquals(vector, Vector.UD);
  assertEquals([frame[0], frame[1], frame[3], frame[4]], [CODE_AT, 0, USER_STACK, 0]);
  assertEquals(frame[2] & Flag.VM, Flag.VM);
  assertEquals(frame.slice(5, 9), [0x2222, 0, 0, 0x1111]);
  for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) assertEquals(rig.cpu.selector(seg), 0);
  assertEquals([rig.cpu.v86, rig.cpu.cpl], [false, 0]);
});

Deno.test("virtual-8086 mode: INT n needs IOPL 3, INT3 does not; handlers must be of level 0", () => {
  const int = new SegmentRig("flat32");
  int.toV86(2);
  int.gate(0x21, Access.INTERRUPT_GATE32 | dpl(3), Sel.CODE0, HANDLERS_AT + 0x210);
  assertEquals(int.execute(INT_21).vector, Vector.GP);
  const int3 = new SegmentRig("flat32");
  int3.toV86(0);
  int3.gate(Vector.BP, Access.INTERRUPT_GATE32 | dpl(3), Sel.CODE0, HANDLERS_AT + 0x30);
  assertEquals(int3.execute("cc").vector, Vector.BP);
  const outer = new SegmentRig("flat32");
  outer.toV86(3);
  outer.gate(0x21, Access.INTERRUPT_GATE32 | dpl(3), Sel.CODE3, HANDLERS_AT + 0x210);
  const { vector, frame } = outer.execute(INT_21);
  assertEquals([vector, frame[0]], [Vector.GP, Sel.CODE3 & ~3]);
});

Deno.test("64-bit frames are aligned and always have SS and RSP (SDM 3A §6.14.2)", () => {
  const rig = new SegmentRig("long64");
  rig.setGpr(Reg.RSP, 0x9005);
  const { vector, frame } = rig.execute(UD2);
  assertEquals(vector, Vector.UD);
  assertEquals([frame[0], frame[1], frame[3], frame[4]], [CODE_AT, 0x08, 0x9005, 0x10]);
  assertEquals(rig.gpr(Reg.RSP), BigInt(0x9000 - 40));
  assertEquals(rig.cpu.selector(Seg.SS), 0x10, "without a change of level SS stays");
});

Deno.test("64-bit mode: an inner level gets RSP0 and a null SS with the new RPL", () => {
  const rig = new SegmentRig("long64");
  rig.toUser();
  const { vector, frame } = rig.execute(UD2);
  assertEquals(vector, Vector.UD);
  assertEquals([frame[1], frame[3], frame[4]], [Sel.CODE3, USER_STACK, Sel.DATA3]);
  assertEquals(rig.gpr(Reg.RSP), BigInt(INNER_STACK - 40));
  assertEquals([rig.cpu.selector(Seg.SS), rig.cpu.cpl], [0, 0]);
});

Deno.test("an interrupt stack table entry is used at every level (SDM 3A §6.14.5)", () => {
  const rig = new SegmentRig("long64");
  rig.gate(Vector.UD, Access.INTERRUPT_GATE32, Sel.CODE0, HANDLERS_AT + 0x60, 1);
  const { frame } = rig.execute(UD2);
  assertEquals(rig.gpr(Reg.RSP), BigInt((IST1 & ~15) - 40));
  assertEquals(frame[3], INNER_STACK - 0x800);
});

Deno.test("gates: #GP and #NP with the vector and the IDT bit (SDM 3A §6.13)", () => {
  const target = HANDLERS_AT + 0x210;
  const cases: readonly [what: string, break_: (rig: SegmentRig) => void, number, number][] = [
    ["beyond the IDT", (rig) => rig.cpu.s[Word.IDTR + 2] = 0x21 * 8 + 6, Vector.GP, IDT_21],
    ["a call gate", (rig) => rig.gate(0x21, Access.CALL_GATE32, 8, target), Vector.GP, IDT_21],
    ["a segment", (rig) => rig.gate(0x21, Access.CODE, 8, target), Vector.GP, IDT_21],
    ["not there", (rig) => rig.gate(0x21, 0x0e, 8, target), Vector.NP, IDT_21],
    ["no code segment", (rig) => rig.gate(0x21, 0x8e, 0, target), Vector.GP, 0],
    ["data instead of code", (rig) => rig.gate(0x21, 0x8e, 0x10, target), Vector.GP, 0x10],
    ["outer code", (rig) => rig.gate(0x21, 0x8e, Sel.CODE3, target), Vector.GP, 0x18],
    ["beyond the GDT", (rig) => rig.gate(0x21, 0x8e, 0x100, target), Vector.GP, 0x100],
    [
      "code that is not there",
      (rig) => {
        rig.descriptor(Sel.FREE, Access.CODE & NOT_PRESENT, 0, 0xfffff, 0xc);
        rig.gate(0x21, 0x8e, Sel.FREE, target);
      },
      Vector.NP,
      Sel.FREE,
    ],
    [
      "an offset beyond the code's limit",
      (rig) => {
        rig.descriptor(Sel.FREE, Access.CODE, 0, 0xfff, 0x4);
        rig.gate(0x21, 0x8e, Sel.FREE, target);
      },
      Vector.GP,
      0,
    ],
  ];
  for (const [what, spoil, vector, code] of cases) {
    const rig = new SegmentRig("flat32");
    spoil(rig);
    const stop = rig.execute(INT_21);
    assertEquals([stop.vector, stop.frame[0], stop.frame[1]], [vector, code, CODE_AT], what);
  }
});

Deno.test("IA-32e mode: gates of 16 bits, task gates and 32-bit code are refused", () => {
  for (const access of [Access.INTERRUPT_GATE16, Access.TASK_GATE]) {
    const rig = new SegmentRig("long64");
    rig.gate(0x21, access, Sel.CODE0, HANDLERS_AT + 0x210);
    const { vector, frame } = rig.execute(INT_21);
    assertEquals([vector, frame[0]], [Vector.GP, IDT_21]);
  }
  const rig = new SegmentRig("long64");
  rig.descriptor(Sel.FREE, Access.CODE, 0, 0xfffff, 0xc);
  rig.gate(0x21, Access.INTERRUPT_GATE32, Sel.FREE, HANDLERS_AT + 0x210);
  const { vector, frame } = rig.execute(INT_21);
  assertEquals([vector, frame[0]], [Vector.GP, Sel.FREE]);
});

Deno.test("the gate's level counts for INT n and INT3 only (SDM 3A §6.12.1.1)", () => {
  const int = new SegmentRig("flat32");
  int.toUser();
  const { vector, frame } = int.execute(INT_21);
  assertEquals([vector, frame[0]], [Vector.GP, IDT_21]);
  const int1 = new SegmentRig("flat32");
  int1.toUser();
  const stop = int1.execute("f1");
  assertEquals([stop.vector, stop.frame[0]], [Vector.DB, CODE_AT + 1]);
});

Deno.test("inner stacks: #TS for a bad one, #SS for one that is not there or too small", () => {
  const bad: readonly [what: string, break_: (rig: SegmentRig) => void, number, number][] = [
    ["null", (rig) => rig.memory.writeU32(gpa(TSS_AT + 8), 0), Vector.TS, 1],
    ["of level 3", (rig) => rig.memory.writeU32(gpa(TSS_AT + 8), Sel.DATA3), Vector.TS, 0x21],
    ["code", (rig) => rig.memory.writeU32(gpa(TSS_AT + 8), Sel.CODE0), Vector.TS, 0x09],
    [
      "not there",
      (rig) => {
        rig.descriptor(Sel.FREE, Access.DATA & NOT_PRESENT, 0, 0xfffff, 0xc);
        rig.memory.writeU32(gpa(TSS_AT + 8), Sel.FREE);
      },
      Vector.SS,
      Sel.FREE | 1,
    ],
    [
      "too small",
      (rig) => {
        rig.descriptor(Sel.FREE, Access.DATA, 0, 0xfff, 0x4);
        rig.memory.writeU32(gpa(TSS_AT + 8), Sel.FREE);
      },
      Vector.SS,
      Sel.FREE | 1,
    ],
    [
      "not in the TSS",
      (rig) => {
        rig.cpu.s[(State.SEGMENTS + Seg.TR * 16) / 4 + 2] = 8;
      },
      Vector.TS,
      Sel.TSS | 1,
    ],
  ];
  for (const [what, spoil, vector, code] of bad) {
    const rig = new SegmentRig("flat32");
    spoil(rig);
    rig.toUser();
    // The handler of the second exception is conforming: it needs no other stack.
    rig.descriptor(0x60, Access.CONFORMING, 0, 0xfffff, 0xc);
    rig.gate(vector, Access.INTERRUPT_GATE32, 0x60, HANDLERS_AT + vector * 16);
    raise(rig, Vector.UD);
    assertEquals([handler(rig), push32(rig, 0)], [vector, code], what);
    assertEquals(push32(rig, 1), CODE_AT, what);
  }
});

Deno.test("delivery that faults leaves the interrupted program's registers", () => {
  const rig = new SegmentRig("flat32");
  rig.memory.writeU32(gpa(TSS_AT + 8), 0);
  rig.toUser();
  rig.gate(0x21, Access.INTERRUPT_GATE32 | dpl(3), Sel.CODE0, HANDLERS_AT + 0x210);
  assertEquals([rig.run(INT_21), rig.cpu.faultCode], [Vector.TS, 0]);
  assertEquals([rig.gpr(Reg.RSP), rig.get(Word.RIP)], [BigInt(USER_STACK), BigInt(CODE_AT)]);
  assertEquals([rig.cpu.cpl, rig.cpu.selector(Seg.CS)], [3, Sel.CODE3]);
});

Deno.test("double faults: the classes of SDM 3A tables 6-4 and 6-5", () => {
  const spoiled = Access.INTERRUPT_GATE32 & NOT_PRESENT; // delivery raises #NP, contributory
  const cases: readonly [first: number, entered: number][] = [
    [Vector.GP, Vector.DF],
    [Vector.DE, Vector.DF],
    [Vector.TS, Vector.DF],
    [Vector.SS, Vector.DF],
    [Vector.PF, Vector.DF],
    [Vector.UD, Vector.NP],
    [Vector.DB, Vector.NP],
    [Vector.AC, Vector.NP],
    [Vector.MF, Vector.NP],
  ];
  for (const [first, entered] of cases) {
    const rig = new SegmentRig("flat32");
    rig.gate(first, spoiled, Sel.CODE0, HANDLERS_AT);
    raise(rig, first);
    assertEquals(handler(rig), entered, `first ${first}`);
    const code = entered === Vector.DF ? 0 : first * 8 + 2 + 1;
    assertEquals(push32(rig, 0), code, `first ${first}: error code with EXT`);
  }
});

Deno.test("a page fault in the delivery of #GP is delivered, in that of #PF it is a double fault", () => {
  for (const [first, entered] of [[Vector.GP, Vector.PF], [Vector.PF, Vector.DF]] as const) {
    const rig = new SegmentRig("long64");
    // Interrupt stack 2 lies where nothing is mapped.
    rig.memory.writeU64(gpa(TSS_AT + 44), 0x7f00_0000_0000n);
    rig.gate(first, Access.INTERRUPT_GATE32, Sel.CODE0, HANDLERS_AT, 2);
    raise(rig, first);
    assertEquals(handler(rig), entered);
    const code = rig.memory.readU32(gpa(Number(rig.gpr(Reg.RSP))));
    assertEquals(code, entered === Vector.PF ? 2 : 0, "a supervisor's write, without EXT");
  }
});

Deno.test("a fault in the delivery of #DF is a triple fault, told in one line", () => {
  const rig = new SegmentRig("flat32");
  rig.cpu.s[Word.IDTR + 2] = 0;
  rig.memory.write(gpa(CODE_AT), Uint8Array.of(0x0f, 0x0b));
  assertEquals(rig.engine.run(100), ExitCode.SHUTDOWN);
  assertMatch(rig.cpu.shutdownReason, /^[^\n]*triple fault[^\n]*$/i);
});

Deno.test("a fault in the delivery of an external interrupt has EXT in its error code", () => {
  const rig = new SegmentRig("flat32");
  rig.gate(0x21, Access.INTERRUPT_GATE32 & NOT_PRESENT, Sel.CODE0, HANDLERS_AT);
  deliverInterrupt(rig.cpu, 0x21, false);
  assertEquals([handler(rig), push32(rig, 0)], [Vector.NP, IDT_21 | 1]);
});

Deno.test("an external interrupt's image has no RF, and a non-canonical IST raises #SS", () => {
  const rig = new SegmentRig("long64");
  deliverInterrupt(rig.cpu, 0x21, false);
  const flags = rig.memory.readU32(gpa(Number(rig.gpr(Reg.RSP)) + 16));
  assertEquals([handler(rig), flags & Flag.RF], [0x21, 0]);
  rig.memory.writeU64(gpa(TSS_AT + 44), 0x8000_0000_1000n);
  rig.gate(0x22, Access.INTERRUPT_GATE32, Sel.CODE0, HANDLERS_AT, 2);
  deliverInterrupt(rig.cpu, 0x22, false);
  assertEquals(handler(rig), Vector.SS);
});

Deno.test("exceptions that raise themselves in their delivery end the vCPU, not the host", () => {
  const rig = new SegmentRig("flat32");
  rig.toUser();
  // A conforming handler on a stack that is misaligned, with alignment checks on: #AC without end.
  rig.descriptor(Sel.FREE, Access.CONFORMING, 0, 0xfffff, 0xc);
  rig.gate(Vector.AC, Access.INTERRUPT_GATE32, Sel.FREE, HANDLERS_AT);
  rig.setGpr(Reg.RSP, USER_STACK + 1);
  rig.cpu.s[Word.CR0] |= 1 << 18;
  rig.cpu.s[Word.RFLAGS] |= Flag.AC;
  updateModes(rig.cpu);
  rig.memory.write(gpa(CODE_AT), Uint8Array.of(0x9c)); // pushf
  assertEquals(rig.engine.run(100), ExitCode.SHUTDOWN);
});

Deno.test("the delivery of an event ends the shadow of STI and MOV SS", () => {
  const rig = new SegmentRig("flat32");
  rig.cpu.shadow = 3;
  raise(rig, Vector.UD);
  assertEquals(rig.cpu.shadow, 0);
});

Deno.test("an event that was in flight in a state is delivered before the first instruction", () => {
  const rig = new SegmentRig("flat32");
  const state = new CpuState();
  rig.engine.vcpus[0].readState(state);
  state.setEvent(Event.EXCEPTION, Vector.PF);
  state.setEvent(Event.ERROR_CODE, 6);
  rig.engine.vcpus[0].writeState(state);
  const again = new CpuState();
  rig.engine.vcpus[0].readState(again);
  assertEquals(again.event(Event.EXCEPTION), Vector.PF);
  const { vector, frame } = rig.execute("f4");
  assertEquals([vector, frame[0], frame[1]], [Vector.PF, 6, CODE_AT]);
});

Deno.test("code of an accessed GDT entry is marked when a handler is entered", () => {
  const rig = new SegmentRig("flat32");
  rig.descriptor(Sel.FREE, Access.CODE, 0, 0xfffff, 0xc);
  rig.gate(0x21, Access.INTERRUPT_GATE32, Sel.FREE, HANDLERS_AT + 0x210);
  assertEquals(rig.run(INT_21), NONE);
  assertEquals(rig.memory.readU8(gpa(GDT_AT + Sel.FREE + 5)), Access.CODE | 1);
});

Deno.test("a fetch beyond the limit of CS is reported where it is, not where its block began", () => {
  const rig = new SegmentRig("flat32");
  // The limit is behind MOV DS, which ends a block.
  rig.setGpr(Reg.RAX, Sel.DATA0);
  rig.descriptor(Sel.FREE, Access.CODE, 0, CODE_AT + 2, 0x4);
  rig.use(Seg.CS, Sel.FREE);
  const { vector, frame } = rig.execute("90 8e d8 90");
  assertEquals([vector, frame[1]], [Vector.GP, CODE_AT + 3]);
});

for (
  const [what, limit, at] of [
    ["an instruction behind the limit of CS in the middle of a block", CODE_AT + 1, CODE_AT + 2],
    ["an instruction that has bytes beyond the limit of CS", CODE_AT + 3, CODE_AT + 2],
  ] as const
) {
  Deno.test(`${what} raises #GP(0) when its predecessors have been executed`, () => {
    const rig = new SegmentRig("flat32");
    rig.descriptor(Sel.FREE, Access.CODE, 0, limit, 0x4);
    rig.use(Seg.CS, Sel.FREE);
    rig.setGpr(Reg.RAX, 5);
    const { vector, frame } = rig.execute("40 40 83 c0 10 90"); // inc, inc, add 16
    assertEquals([vector, frame[0], frame[1]], [Vector.GP, 0, at]);
    assertEquals(rig.gpr(Reg.RAX), 7n);
  });
}
