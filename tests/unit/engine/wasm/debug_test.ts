/** Breakpoints and single-stepping (SDM 3B chapter 17), through the interpreter's loop. */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { Cr4 } from "../../../../src/cpu/modes.ts";
import { MpState, Reg } from "../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../src/engine/engine.ts";
import { Flag, Word } from "../../../../src/engine/wasm/cpu.ts";
import { isWatched, noteAccess, updateDebug } from "../../../../src/engine/wasm/debug.ts";
import { updateModes } from "../../../../src/engine/wasm/modes.ts";
import { CODE_AT, DATA_AT, SystemRig } from "../../../support/system_rig.ts";

const GDT_AT = 0x3000;
const IDT_AT = 0x4000;
const HANDLER_AT = 0x5000;
const STACK_AT = 0x9000;
const BS = 1 << 14;
const DR6 = Word.DEBUG + 8;
const DR7 = Word.DEBUG + 10;

/** A guest in 64-bit mode that executes `code` at `CODE_AT`; its handler of #DB halts. */
function guest(code: string): SystemRig {
  const rig = new SystemRig("long64");
  const { cpu, memory } = rig;
  memory.write(gpa(CODE_AT), Uint8Array.from(code.split(" "), (byte) => parseInt(byte, 16)));
  memory.write(gpa(HANDLER_AT), Uint8Array.of(0xf4));
  memory.writeU64(gpa(GDT_AT + 8), 0x00af_9b00_0000_ffffn);
  memory.writeU64(gpa(GDT_AT + 16), 0x00cf_9300_0000_ffffn);
  memory.writeU64(gpa(IDT_AT + 16), BigInt(HANDLER_AT) | 0x8e00_0008_0000n);
  cpu.s.set([GDT_AT, 0, 0xff], Word.GDTR);
  cpu.s.set([IDT_AT, 0, 0xfff], Word.IDTR);
  rig.setGpr(Reg.RSP, STACK_AT);
  rig.setGpr(Reg.RBX, DATA_AT);
  return rig;
}

/** Breakpoint `i` at `address`, of R/W and LEN fields. */
function setBreakpoint(rig: SystemRig, i: number, address: bigint | number, rw: number, len = 0) {
  rig.set(Word.DEBUG + i * 2, address);
  rig.cpu.s[DR7] |= 1 << i * 2 | rw << 16 + i * 4 | len << 18 + i * 4;
  updateDebug(rig.cpu);
}

function setFlags(rig: SystemRig, flags: number): void {
  rig.cpu.s[Word.RFLAGS] |= flags;
  updateModes(rig.cpu);
}

/** Runs until something halts; what #DB has pushed, or undefined when the program itself has halted. */
function run(rig: SystemRig): { rip: number; flags: number; dr6: number } | undefined {
  assertEquals(rig.engine.run(1000), ExitCode.HALT);
  if (rig.get(Word.RIP) !== BigInt(HANDLER_AT + 1)) return undefined;
  const sp = Number(rig.gpr(Reg.RSP));
  const frame = new DataView(rig.memory.view(gpa(sp), 40).slice().buffer);
  return {
    rip: Number(frame.getBigUint64(0, true)) - CODE_AT,
    flags: frame.getUint32(16, true),
    dr6: rig.cpu.s[DR6] & 0xe00f,
  };
}

/** Goes on behind the handler as if it had returned with RFLAGS = `flags`. */
function resume(rig: SystemRig, at: number, flags: number): void {
  rig.cpu.mpState = MpState.RUNNABLE;
  rig.set(Word.RIP, CODE_AT + at);
  rig.setGpr(Reg.RSP, STACK_AT);
  rig.cpu.s[Word.RFLAGS] = flags;
  updateModes(rig.cpu);
}

Deno.test("TF traps behind one instruction, and the handler runs without it (SDM 3B §17.3.1.4)", () => {
  const rig = guest("0f ae e8 0f ae e8 f4");
  setFlags(rig, Flag.TF);
  const stop = run(rig);
  assertEquals([stop?.rip, stop?.dr6], [3, BS]);
  assertEquals((stop?.flags ?? 0) & (Flag.TF | Flag.RF), Flag.TF);
  assertEquals(rig.cpu.s[Word.RFLAGS] & Flag.TF, 0);
  resume(rig, 3, 2);
  assertEquals(run(rig), undefined);
});

Deno.test("an instruction breakpoint faults before its instruction (SDM 3B §17.3.1.1)", () => {
  const rig = guest("0f ae e8 0f 31 f4");
  setBreakpoint(rig, 2, CODE_AT + 3, 0);
  rig.setGpr(Reg.RAX, 0x1234);
  const stop = run(rig);
  assertEquals([stop?.rip, stop?.dr6], [3, 1 << 2]);
  assertEquals(rig.gpr(Reg.RAX), 0x1234n);
});

Deno.test("RF lets the instruction at a breakpoint run once, and is gone behind it", () => {
  const rig = guest("0f ae e8 0f ae e8 f4");
  setBreakpoint(rig, 0, CODE_AT, 0);
  assertEquals(run(rig)?.rip, 0);
  resume(rig, 0, 2 | Flag.RF);
  assertEquals(run(rig), undefined);
  assertEquals(rig.cpu.s[Word.RFLAGS] & Flag.RF, 0);
});

Deno.test("a breakpoint that is not enabled, or a byte off, does not stop", () => {
  const rig = guest("0f ae e8 f4");
  setBreakpoint(rig, 0, CODE_AT + 1, 0);
  rig.set(Word.DEBUG + 2, CODE_AT);
  updateDebug(rig.cpu);
  assertEquals(run(rig), undefined);
});

// 0f ae 1b: stmxcsr [rbx]; 0f ae 13: ldmxcsr [rbx]; 0f ae e8: lfence; 6e: outsb
Deno.test("a write breakpoint traps behind the write, not at a read (SDM 3B §17.3.1.2)", () => {
  const rig = guest("0f ae 1b 0f ae 13 f4");
  setBreakpoint(rig, 1, DATA_AT, 1, 3);
  updateModesForSse(rig);
  const stop = run(rig);
  assertEquals([stop?.rip, stop?.dr6], [3, 1 << 1]);
  assertEquals(rig.memory.view(gpa(DATA_AT), 2)[1], 0x1f, "it has been carried out");
  resume(rig, 3, 2);
  assertEquals(run(rig), undefined, "LDMXCSR only reads");
});

Deno.test("an access breakpoint traps behind reads too, even of a page that was in the TLB", () => {
  const rig = guest("0f ae 1b 0f ae 13 f4");
  updateModesForSse(rig);
  rig.run("0f ae 1b");
  rig.set(Word.RIP, CODE_AT);
  setBreakpoint(rig, 3, DATA_AT + 2, 3, 1);
  assertEquals([run(rig)?.rip, rig.cpu.s[DR6] & 15], [3, 8]);
  resume(rig, 3, 2);
  assertEquals([run(rig)?.rip, rig.cpu.s[DR6] & 15], [6, 8]);
});

function updateModesForSse(rig: SystemRig): void {
  rig.cpu.s[Word.CR4] |= Cr4.OSFXSR;
  rig.cpu.s[Word.MXCSR] = 0x1f80;
  updateModes(rig.cpu);
}

Deno.test("data breakpoints meet every access that overlaps them", () => {
  const rig = guest("f4");
  setBreakpoint(rig, 0, 0x1234_0000_1003n, 3, 2); // 8 bytes from 0x…1000: low bits do not count
  const meets = (address: number, size: number) => {
    rig.cpu.debugHits = 0;
    noteAccess(rig.cpu, address, 0x1234, size, false);
    return rig.cpu.debugHits === 1;
  };
  assertEquals([meets(0xfff, 1), meets(0xfff, 2), meets(0x1000, 1)], [false, true, true]);
  assertEquals([meets(0x1007, 1), meets(0x1008, 8), meets(0xfc0, 64)], [true, false, false]);
  noteAccess(rig.cpu, 0x1000, 0x1235, 8, true);
  assertEquals(rig.cpu.debugHits, 0, "another upper half");
  assertEquals(isWatched(rig.cpu, 0x1fff, 0x1234), true);
  assertEquals([isWatched(rig.cpu, 0x2000, 0x1234), isWatched(rig.cpu, 0x1000, 0)], [false, false]);
});

Deno.test("I/O breakpoints need CR4.DE (SDM 3B §17.2.4)", () => {
  const rig = guest("e6 81 f4");
  setBreakpoint(rig, 1, 0x80, 2, 1);
  assertEquals(run(rig), undefined);
  const other = guest("e6 81 f4");
  other.cpu.s[Word.CR4] |= Cr4.DE;
  setBreakpoint(other, 1, 0x80, 2, 1);
  assertEquals([run(other)?.rip, other.cpu.s[DR6] & 15], [2, 2]);
  assertEquals(other.bus.log, ["out 0x81 1 0x0"]);
});

Deno.test("TF traps behind each repetition of a string instruction", () => {
  const rig = guest("f3 6e f4");
  rig.setGpr(Reg.RSI, DATA_AT);
  rig.setGpr(Reg.RCX, 3);
  setFlags(rig, Flag.TF);
  const stop = run(rig);
  assertEquals([stop?.rip, rig.gpr(Reg.RCX)], [0, 2n]);
  resume(rig, 0, 2 | Flag.TF);
  run(rig);
  resume(rig, 0, 2 | Flag.TF);
  assertEquals([run(rig)?.rip, rig.gpr(Reg.RCX), rig.bus.log.length], [2, 0n, 3]);
});

Deno.test("RF alone, as behind a page fault, does not part the repetitions, and is gone behind them", () => {
  const rig = guest("f3 aa f4"); // rep stosb; hlt
  rig.setGpr(Reg.RDI, DATA_AT);
  rig.setGpr(Reg.RCX, 500);
  rig.setGpr(Reg.RAX, 0x5a);
  setFlags(rig, Flag.RF);
  assertEquals(run(rig), undefined);
  assertEquals(rig.memory.view(gpa(DATA_AT), 500).every((byte) => byte === 0x5a), true);
  assertEquals(rig.cpu.s[Word.RFLAGS] & Flag.RF, 0);
  assertEquals(rig.engine.retired, 501);
  assertEquals(rig.engine.stats().blocks, 2);
});

Deno.test("a breakpoint at a string instruction is met once, not at every repetition", () => {
  const rig = guest("f3 6e f4");
  rig.setGpr(Reg.RSI, DATA_AT);
  rig.setGpr(Reg.RCX, 5);
  setBreakpoint(rig, 0, CODE_AT, 0);
  assertEquals(run(rig)?.rip, 0);
  resume(rig, 0, 2 | Flag.RF);
  assertEquals(run(rig), undefined);
  assertEquals([rig.gpr(Reg.RCX), rig.bus.log.length], [0n, 5]);
});

Deno.test("SYSCALL whose mask clears TF leads to a handler that is not stepped", () => {
  const rig = guest("0f 05");
  rig.memory.write(gpa(0x6000), Uint8Array.of(0x0f, 0xae, 0xe8, 0xf4));
  rig.wrmsr(0xc000_0081, 0x0023_0008_0000_0000n);
  rig.wrmsr(0xc000_0082, 0x6000);
  rig.wrmsr(0xc000_0084, Flag.TF);
  rig.wrmsr(0xc000_0080, 0x501);
  rig.set(Word.RIP, CODE_AT);
  setFlags(rig, Flag.TF);
  assertEquals(run(rig), undefined);
  assertEquals(rig.get(Word.RIP), 0x6004n);
});

Deno.test("an instruction that faults has no trap of its own: the fault is delivered alone", () => {
  const rig = guest("0f 0b");
  rig.memory.writeU64(gpa(IDT_AT + 6 * 16), BigInt(HANDLER_AT + 0x100) | 0x8e00_0008_0000n);
  rig.memory.write(gpa(HANDLER_AT + 0x100), Uint8Array.of(0xf4));
  setFlags(rig, Flag.TF);
  assertEquals(run(rig), undefined);
  assertEquals(rig.get(Word.RIP), BigInt(HANDLER_AT + 0x101));
  assertEquals(rig.cpu.s[DR6] & 0xe00f, 0);
});

Deno.test("B0 to B3 are those of the last #DB, BS stays until it is cleared (SDM 3B §17.2.3)", () => {
  const rig = guest("0f ae e8 0f ae e8 f4");
  rig.cpu.s[DR6] = 0xffff_0ff0 | 0 | BS | 8;
  setBreakpoint(rig, 0, CODE_AT + 3, 0);
  assertEquals(run(rig)?.dr6, BS | 1);
});

Deno.test("MOV SS holds #DB back until behind the next instruction (SDM 3A §6.8.3)", () => {
  const rig = guest("8e 13 0f ae e8 f4");
  rig.memory.writeU64(gpa(DATA_AT), 16n);
  setBreakpoint(rig, 0, DATA_AT, 3, 1);
  setBreakpoint(rig, 1, CODE_AT + 2, 0);
  setFlags(rig, Flag.TF);
  const stop = run(rig);
  assertEquals([stop?.rip, stop?.dr6], [5, BS | 1], "the breakpoint at LFENCE is passed over");
});

Deno.test("POPF that sets TF is not stepped itself, the instruction behind it is", () => {
  const rig = guest("9d 0f ae e8 0f ae e8 f4");
  rig.memory.writeU64(gpa(STACK_AT), BigInt(Flag.TF | 2));
  assertEquals(run(rig)?.rip, 4);
});

Deno.test("with DEBUGCTL.BTF only branches that are taken are stepped (SDM 3B §17.4.3)", () => {
  const rig = guest("0f ae e8 eb 01 f4 f4");
  rig.wrmsr(0x1d9, 2);
  rig.set(Word.RIP, CODE_AT);
  setFlags(rig, Flag.TF);
  assertEquals([run(rig)?.rip, rig.rdmsr(0x1d9)], [6, 0n]);
});
