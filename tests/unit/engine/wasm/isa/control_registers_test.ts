import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Cr0, Cr4, Efer } from "../../../../../src/cpu/modes.ts";
import { Seg, SegField, State } from "../../../../../src/cpu/state.ts";
import { Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import { DATA_AT, NONE, SystemRig } from "../../../../support/system_rig.ts";

const TO_CR0 = "0f 22 c0";
const FROM_CR0 = "0f 20 c0";
const TO_CR2 = "0f 22 d0";
const TO_CR3 = "0f 22 d8";
const FROM_CR3 = "0f 20 d8";
const TO_CR4 = "0f 22 e0";
const TO_CR8 = "44 0f 22 c0";
const FROM_CR8 = "44 0f 20 c0";

/** Writes RAX to a control register; the vector that this raises, or NONE. */
function write(rig: SystemRig, code: string, value: bigint | number): number {
  rig.setGpr(0, value);
  return rig.run(code);
}

Deno.test("MOV CR0 refuses PG without PE, NW without CD and upper bits (SDM 2B MOV CR)", () => {
  const rig = new SystemRig("flat32");
  const cr0 = rig.cpu.s[Word.CR0];
  assertEquals(write(rig, TO_CR0, Cr0.PG), Vector.GP);
  assertEquals(write(rig, TO_CR0, cr0 | Cr0.NW), Vector.GP);
  assertEquals(write(rig, TO_CR0, cr0 | Cr0.NW | Cr0.CD), NONE);
  const long = new SystemRig("long64");
  assertEquals(write(long, TO_CR0, 0x1_8000_0031n), Vector.GP);
  assertEquals(long.get(Word.CR0), 0x8000_0031n, "unchanged");
});

Deno.test("MOV CR0 ignores bits that do not exist, and ET is always 1", () => {
  const rig = new SystemRig("flat32");
  assertEquals(write(rig, TO_CR0, 0x0fda_ffc1), NONE);
  assertEquals(rig.cpu.s[Word.CR0], Cr0.PE | Cr0.ET);
  rig.run(FROM_CR0);
  assertEquals(rig.gpr(0), BigInt(Cr0.PE | Cr0.ET));
});

Deno.test("setting PG with EFER.LME activates IA-32e mode; without PAE it is refused", () => {
  const rig = new SystemRig("flat32");
  rig.wrmsr(0xc000_0080, Efer.LME);
  rig.cpu.s[Word.CR3] = 0x10_0000;
  assertEquals(write(rig, TO_CR0, Cr0.PG | Cr0.PE), Vector.GP, "SDM 3A §9.8.5");
  assertEquals(write(rig, TO_CR4, Cr4.PAE), NONE);
  assertEquals(write(rig, TO_CR0, Cr0.PG | Cr0.PE), NONE);
  assertEquals(rig.cpu.s[Word.EFER], Efer.LME | Efer.LMA);
  assertEquals([rig.cpu.longMode, rig.cpu.is64], [true, false], "compatibility mode");
  assertEquals(write(rig, TO_CR4, 0), Vector.GP, "PAE cannot be cleared in IA-32e mode");
  assertEquals(write(rig, TO_CR0, Cr0.PE), NONE);
  assertEquals(rig.cpu.s[Word.EFER], Efer.LME, "LMA follows PG");
});

Deno.test("a code segment with L set keeps PG from activating IA-32e mode", () => {
  const rig = new SystemRig("flat32");
  rig.wrmsr(0xc000_0080, Efer.LME);
  rig.cpu.s[Word.CR3] = 0x10_0000;
  write(rig, TO_CR4, Cr4.PAE);
  const at = (State.SEGMENTS + Seg.CS * 16 + SegField.ATTRIBUTES) / 2;
  rig.cpu.u16[at] |= 0x2000;
  updateModes(rig.cpu);
  assertEquals(write(rig, TO_CR0, Cr0.PG | Cr0.PE), Vector.GP);
  assertEquals(rig.cpu.s[Word.EFER], Efer.LME);
});

Deno.test("64-bit mode cannot clear PG (SDM 2B MOV CR)", () => {
  const rig = new SystemRig("long64");
  assertEquals(write(rig, TO_CR0, Cr0.PE), Vector.GP);
  assertEquals(rig.cpu.longMode, true);
});

Deno.test("PAE paging with a reserved bit in a PDPTE is refused, and nothing changes", () => {
  const rig = new SystemRig("flat32");
  write(rig, TO_CR4, Cr4.PAE);
  rig.memory.writeU64(gpa(DATA_AT), 0x3n); // bit 1 is reserved (SDM 3A table 4-8)
  write(rig, TO_CR3, DATA_AT);
  const cr0 = rig.cpu.s[Word.CR0];
  assertEquals(write(rig, TO_CR0, Cr0.PG | Cr0.PE), Vector.GP);
  assertEquals(rig.cpu.s[Word.CR0], cr0);
  rig.memory.writeU64(gpa(DATA_AT), BigInt(DATA_AT + 0x1000 | 1));
  assertEquals(write(rig, TO_CR0, Cr0.PG | Cr0.PE), NONE);
  rig.memory.writeU64(gpa(DATA_AT + 0x20), 0x3n);
  const cr3 = rig.cpu.s[Word.CR3];
  assertEquals(write(rig, TO_CR3, DATA_AT + 0x20), Vector.GP, "SDM 3A §4.4.1");
  assertEquals(rig.cpu.s[Word.CR3], cr3);
});

Deno.test("CR4 has no VME, VMXE, SMXE or CET; reserved bits raise #GP", () => {
  const rig = new SystemRig("long64");
  for (const bit of [0, 1, 13, 14, 15, 19, 23, 24, 31]) {
    assertEquals(write(rig, TO_CR4, Cr4.PAE | 2 ** bit), Vector.GP, `bit ${bit}`);
  }
  assertEquals(write(rig, TO_CR4, 0x1_0000_0020n), Vector.GP);
  const all = 0x75_0ffc | Cr4.PAE;
  assertEquals(write(rig, TO_CR4, all & ~Cr4.LA57), NONE);
  assertEquals(write(rig, TO_CR4, all | Cr4.LA57), Vector.GP, "LA57 with LMA (SDM 2B MOV CR)");
});

Deno.test("PCIDE needs IA-32e mode and a PCID of 0 in CR3 (SDM 3A §4.10.1)", () => {
  const legacy = new SystemRig("flat32");
  assertEquals(write(legacy, TO_CR4, Cr4.PCIDE), Vector.GP);
  const rig = new SystemRig("long64");
  write(rig, TO_CR3, 0x10_0018);
  assertEquals(write(rig, TO_CR4, Cr4.PAE | Cr4.PCIDE), Vector.GP);
  write(rig, TO_CR3, 0x10_0000);
  assertEquals(write(rig, TO_CR4, Cr4.PAE | Cr4.PCIDE), NONE);
  assertEquals(write(rig, TO_CR0, Cr0.PE), Vector.GP, "PG cannot be cleared with PCIDE");
});

Deno.test("CR3 bit 63 is a hint with PCIDE, is not stored, and is reserved without", () => {
  const rig = new SystemRig("long64");
  assertEquals(write(rig, TO_CR3, 0x8000_0000_0010_0000n), Vector.GP);
  write(rig, TO_CR4, Cr4.PAE | Cr4.PCIDE);
  assertEquals(write(rig, TO_CR3, 0x8000_0000_0010_0005n), NONE);
  rig.run(FROM_CR3);
  assertEquals(rig.gpr(0), 0x10_0005n);
  assertEquals(write(rig, TO_CR3, 0x0001_0000_0010_0000n), Vector.GP, "beyond MAXPHYADDR");
});

Deno.test("CR8 is the task priority of the local APIC (SDM 3A §10.8.6.1)", () => {
  const rig = new SystemRig("long64");
  assertEquals(write(rig, TO_CR8, 9), NONE);
  assertEquals(rig.apic.taskPriority, 9);
  assertEquals(write(rig, TO_CR8, 0x10), Vector.GP);
  rig.setGpr(0, -1n);
  rig.run(FROM_CR8);
  assertEquals(rig.gpr(0), 9n);
});

Deno.test("CR1, CR5 and CR9 raise #UD; programs get #GP for any", () => {
  const rig = new SystemRig("long64");
  for (const code of ["0f 20 c8", "0f 22 e8", "44 0f 20 c8"]) {
    assertEquals(rig.run(code), Vector.UD);
  }
  rig.setCpl(3);
  assertEquals(rig.run(FROM_CR0), Vector.GP);
});

Deno.test("MOV CR ignores ModRM.mod (SDM 2B MOV CR)", () => {
  const rig = new SystemRig("long64");
  assertEquals(rig.run("0f 20 00"), NONE);
  assertEquals(rig.gpr(0), 0x8000_0031n);
});

Deno.test("CR2 takes any value, 32 bits of it outside of 64-bit mode", () => {
  const rig = new SystemRig("long64");
  write(rig, TO_CR2, 0x1234_5678_9abc_def0n);
  assertEquals(rig.get(Word.CR2), 0x1234_5678_9abc_def0n);
  const legacy = new SystemRig("flat32");
  write(legacy, TO_CR2, 0x1234_5678_9abc_def0n);
  assertEquals(legacy.get(Word.CR2), 0x9abc_def0n);
});

Deno.test("LMSW sets PE but cannot clear it; SMSW reads CR0; CLTS clears TS", () => {
  const rig = new SystemRig("real");
  rig.setGpr(0, 0xffff);
  assertEquals(rig.run("0f 01 f0"), NONE);
  assertEquals(rig.cpu.s[Word.CR0], Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET);
  rig.setGpr(0, 0);
  rig.run("0f 01 f0");
  assertEquals(rig.cpu.s[Word.CR0], Cr0.PE | Cr0.ET);
  rig.setGpr(0, 0xff_0000 | Cr0.TS);
  rig.run("0f 01 f0");
  rig.setGpr(3, 0xffff_ffff);
  rig.run("0f 01 e3");
  assertEquals(rig.gpr(3), BigInt(0xffff_0000 + (Cr0.PE | Cr0.ET | Cr0.TS)), "16 bits of BX");
  rig.run("0f 06");
  assertEquals(rig.cpu.s[Word.CR0], Cr0.PE | Cr0.ET);
});

Deno.test("UMIP keeps SMSW from programs (SDM 3A §2.5)", () => {
  const rig = new SystemRig("long64");
  rig.setCpl(3);
  assertEquals(rig.run("0f 01 e0"), NONE);
  rig.setCpl(0);
  write(rig, TO_CR4, Cr4.PAE | Cr4.UMIP);
  rig.setCpl(3);
  assertEquals(rig.run("0f 01 e0"), Vector.GP);
});

Deno.test("DR4 and DR5 are DR6 and DR7, or #UD with CR4.DE (SDM 3B §17.2.2)", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(0, 0);
  assertEquals(rig.run("0f 21 e0"), NONE);
  assertEquals(rig.gpr(0), 0xffff_0ff0n);
  assertEquals(rig.run("0f 21 e8"), NONE);
  assertEquals(rig.gpr(0), 0x400n);
  write(rig, TO_CR4, Cr4.PAE | Cr4.DE);
  assertEquals(rig.run("0f 21 e0"), Vector.UD);
  assertEquals(rig.run("44 0f 21 c0"), Vector.UD, "DR8");
});

Deno.test("DR6 and DR7 have fixed bits, and no upper halves (SDM 3B §17.2)", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(0, 0xffff_ffff);
  assertEquals(rig.run("0f 23 f0"), NONE);
  assertEquals(rig.get(Word.DEBUG + 8), 0xffff_efffn);
  rig.setGpr(0, 0xffff_dfff);
  assertEquals(rig.run("0f 23 f8"), NONE);
  assertEquals(rig.get(Word.DEBUG + 10), 0xffff_07ffn);
  rig.setGpr(0, 0x1_0000_0000n);
  assertEquals([rig.run("0f 23 f0"), rig.run("0f 23 f8")], [Vector.GP, Vector.GP]);
  assertEquals(rig.run("0f 23 c0"), NONE, "DR0 takes all 64 bits");
});

Deno.test("DR7.GD makes the next MOV DR a #DB with DR6.BD, and is cleared by it", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(0, 0x2000);
  rig.run("0f 23 f8");
  assertEquals(rig.run("0f 21 c0"), Vector.DB);
  assertEquals(rig.cpu.s[Word.DEBUG + 8] & 0x2000, 0x2000);
  assertEquals(rig.cpu.s[Word.DEBUG + 10] & 0x2000, 0);
  assertEquals(rig.run("0f 21 c0"), NONE);
});
