import { assertEquals } from "@std/assert";
import { Seg } from "../../../../../src/cpu/state.ts";
import { Flag, Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { CODE_AT, NONE, SystemRig } from "../../../../support/system_rig.ts";

const STAR = 0xc000_0081;
const LSTAR = 0xc000_0082;
const FMASK = 0xc000_0084;
const EFER = 0xc000_0080;
const KERNEL = 0xffff_8000_0012_3456n;

function segments(rig: SystemRig): (number | string)[] {
  const { cpu } = rig;
  return [Seg.CS, Seg.SS].map((seg) =>
    `${cpu.selector(seg).toString(16)}:${cpu.attributes(seg).toString(16)}`
  );
}

/** 64-bit mode with SYSCALL set up: kernel 0x10 and 0x18, programs 0x23 to 0x33. */
function rigWithSyscall(): SystemRig {
  const rig = new SystemRig("long64");
  rig.wrmsr(STAR, 0x0023_0010_0000_0000n);
  rig.wrmsr(LSTAR, KERNEL);
  rig.wrmsr(FMASK, 0x700);
  rig.wrmsr(EFER, 0x501);
  rig.set(Word.RIP, CODE_AT);
  return rig;
}

Deno.test("SYSCALL goes to LSTAR at level 0 and keeps RIP and RFLAGS in RCX and R11", () => {
  const rig = rigWithSyscall();
  rig.setCpl(3);
  rig.cpu.s[Word.RFLAGS] = 2 | Flag.IF | Flag.DF | Flag.AC;
  rig.cpu.setStatusFlags(Flag.CF | Flag.ZF);
  assertEquals(rig.run("0f 05"), NONE);
  assertEquals(rig.get(Word.RIP), KERNEL);
  assertEquals(rig.gpr(1), BigInt(CODE_AT + 2));
  const flags = Flag.CF | Flag.ZF | Flag.AC | 2;
  assertEquals(rig.gpr(11), BigInt(flags | Flag.IF | Flag.DF));
  assertEquals(rig.cpu.flags, flags);
  assertEquals(segments(rig), ["10:a09b", "18:c093"]);
  assertEquals([rig.cpu.cpl, rig.cpu.is64], [0, true]);
});

Deno.test("SYSCALL clears the RPL of CS, not that of SS (SDM 2B SYSCALL)", () => {
  const rig = rigWithSyscall();
  rig.wrmsr(STAR, 0x0023_0013_0000_0000n);
  rig.set(Word.RIP, CODE_AT);
  assertEquals(rig.run("0f 05"), NONE);
  assertEquals(segments(rig), ["10:a09b", "1b:c093"]);
});

Deno.test("SYSCALL and SYSRET raise #UD without EFER.SCE, and outside of 64-bit mode", () => {
  const rig = new SystemRig("long64");
  assertEquals([rig.run("0f 05"), rig.run("48 0f 07")], [Vector.UD, Vector.UD]);
  const legacy = new SystemRig("flat32");
  legacy.wrmsr(EFER, 1);
  assertEquals([legacy.run("0f 05"), legacy.run("0f 07")], [Vector.UD, Vector.UD]);
});

Deno.test("SYSRET returns to 64-bit code, or to 32-bit code without REX.W (SDM 2B)", () => {
  const rig = rigWithSyscall();
  rig.setGpr(1, 0x7fff_1234_5678n);
  rig.setGpr(11, 0xffff_ffff_ffffn);
  assertEquals(rig.run("48 0f 07"), NONE);
  assertEquals(rig.get(Word.RIP), 0x7fff_1234_5678n);
  assertEquals(rig.cpu.flags, 0x3c7fd7, "without RF and VM");
  assertEquals(segments(rig), ["33:a0fb", "2b:c0f3"]);
  assertEquals(rig.cpu.cpl, 3);

  const compatible = rigWithSyscall();
  compatible.setGpr(1, 0x7fff_1234_5678n);
  compatible.setGpr(11, 2);
  assertEquals(compatible.run("0f 07"), NONE);
  assertEquals(compatible.get(Word.RIP), 0x1234_5678n);
  assertEquals(segments(compatible), ["23:c0fb", "2b:c0f3"]);
  assertEquals([compatible.cpu.is64, compatible.cpu.longMode], [false, true]);
});

Deno.test("SYSRET raises #GP for programs and for a non-canonical RCX, at level 0", () => {
  const rig = rigWithSyscall();
  rig.setGpr(1, 0x8000_0000_0000n);
  assertEquals(rig.run("48 0f 07"), Vector.GP);
  assertEquals(rig.cpu.cpl, 0);
  rig.setGpr(1, 0x1000);
  rig.setCpl(3);
  assertEquals(rig.run("48 0f 07"), Vector.GP);
});

Deno.test("SYSRET that enables interrupts lets a waiting one in", () => {
  const rig = rigWithSyscall();
  rig.apic.hasInterrupt = () => true;
  rig.cpu.attention = 0;
  rig.setGpr(1, 0x1000);
  rig.setGpr(11, 2);
  rig.run("48 0f 07");
  assertEquals(rig.cpu.attention, 0);
  const other = rigWithSyscall();
  other.apic.hasInterrupt = () => true;
  other.cpu.attention = 0;
  other.setGpr(1, 0x1000);
  other.setGpr(11, 2 | Flag.IF);
  other.run("48 0f 07");
  assertEquals(other.cpu.attention, 1);
});

Deno.test("SYSENTER and SYSEXIT in 32-bit code (SDM 2B)", () => {
  const rig = new SystemRig("flat32");
  assertEquals(rig.run("0f 34"), Vector.GP, "no selector");
  rig.wrmsr(0x174, 0x63);
  rig.wrmsr(0x175, 0x1_2345_6000n);
  rig.wrmsr(0x176, 0x1_0000_7000n);
  rig.cpu.s[Word.RFLAGS] |= Flag.IF;
  rig.setCpl(3);
  assertEquals(rig.run("0f 34"), NONE);
  assertEquals([rig.get(Word.RIP), rig.gpr(4)], [0x7000n, 0x2345_6000n]);
  assertEquals(segments(rig), ["60:c09b", "68:c093"]);
  assertEquals([rig.cpu.cpl, rig.cpu.s[Word.RFLAGS] & Flag.IF], [0, 0]);
  rig.setGpr(1, 0x9000);
  rig.setGpr(2, 0x4000);
  assertEquals(rig.run("0f 35"), NONE);
  assertEquals([rig.get(Word.RIP), rig.gpr(4)], [0x4000n, 0x9000n]);
  assertEquals(segments(rig), ["73:c0fb", "7b:c0f3"]);
  assertEquals(rig.run("0f 35"), Vector.GP, "for programs");
});

Deno.test("SYSENTER enters 64-bit code in IA-32e mode; SYSEXIT with REX.W returns to it", () => {
  const rig = new SystemRig("long64");
  rig.wrmsr(0x174, 0x10);
  rig.wrmsr(0x175, KERNEL + 0x1000n);
  rig.wrmsr(0x176, KERNEL);
  rig.setCpl(3);
  assertEquals(rig.run("0f 34"), NONE);
  assertEquals([rig.get(Word.RIP), rig.gpr(4)], [KERNEL, KERNEL + 0x1000n]);
  assertEquals(segments(rig), ["10:a09b", "18:c093"]);
  rig.setGpr(2, 0x8000_0000_0000n);
  assertEquals(rig.run("48 0f 35"), Vector.GP, "RDX is not canonical");
  rig.setGpr(2, 0x7000_0000_0000n);
  rig.setGpr(1, 0x6000_0000_0000n);
  assertEquals(rig.run("48 0f 35"), NONE);
  assertEquals([rig.get(Word.RIP), rig.gpr(4)], [0x7000_0000_0000n, 0x6000_0000_0000n]);
  assertEquals(segments(rig), ["33:a0fb", "3b:c0f3"]);
});

Deno.test("SYSENTER in real mode raises #GP", () => {
  const rig = new SystemRig("real");
  rig.wrmsr(0x174, 0x10);
  assertEquals([rig.run("0f 34"), rig.run("0f 35")], [Vector.GP, Vector.GP]);
});
