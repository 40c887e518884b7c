import { assertEquals } from "@std/assert";
import { Seg, State } from "../../../../../src/cpu/state.ts";
import { Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { NONE, SystemRig } from "../../../../support/system_rig.ts";

/** Canonical with 57 bits, not with 48: the processor's width counts, not CR4.LA57. */
const WIDE = 0x00ff_ffff_ffff_fff0n;
const NOT_CANONICAL = 0x0100_0000_0000_0000n;

Deno.test("an MSR that does not exist raises #GP, for programs any does", () => {
  const rig = new SystemRig("long64");
  for (const msr of [0, 0x3a, 0x48, 0x49, 0x79, 0x10a, 0x17b, 0x480, 0xc000_0085, 0xffff_ffff]) {
    assertEquals([rig.wrmsr(msr, 0), rig.rdmsr(msr)], [Vector.GP, undefined], msr.toString(16));
  }
  rig.setCpl(3);
  assertEquals([rig.wrmsr(0x277, 0), rig.rdmsr(0x277)], [Vector.GP, undefined]);
});

Deno.test("RDMSR clears the upper halves of RAX and RDX", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(0, -1n);
  rig.setGpr(2, -1n);
  assertEquals(rig.rdmsr(0x277), 0x0007_0406_0007_0406n);
  assertEquals([rig.gpr(0), rig.gpr(2)], [0x0007_0406n, 0x0007_0406n]);
});

Deno.test("MSRs with addresses take canonical ones only", () => {
  const rig = new SystemRig("long64");
  const msrs = [0x175, 0x176, 0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102];
  for (const msr of msrs) {
    assertEquals(rig.wrmsr(msr, WIDE), NONE, msr.toString(16));
    assertEquals(rig.rdmsr(msr), WIDE);
    assertEquals(rig.wrmsr(msr, NOT_CANONICAL), Vector.GP, msr.toString(16));
    assertEquals(rig.rdmsr(msr), WIDE, "unchanged");
  }
});

Deno.test("FS_BASE and GS_BASE are the segments' bases (SDM 3A §3.4.4)", () => {
  const rig = new SystemRig("long64");
  rig.wrmsr(0xc000_0101, 0xffff_8000_1234_5678n);
  assertEquals(rig.get((State.SEGMENTS + Seg.GS * 16) / 4), 0xffff_8000_1234_5678n);
  assertEquals(rig.cpu.flatRead >>> Seg.GS & 1, 0);
  rig.set((State.SEGMENTS + Seg.FS * 16) / 4, 0x4321);
  assertEquals(rig.rdmsr(0xc000_0100), 0x4321n);
});

Deno.test("EFER has SCE, LME, LMA and NXE; LME is fixed while paging is on", () => {
  const rig = new SystemRig("long64");
  assertEquals(rig.rdmsr(0xc000_0080), 0x500n);
  assertEquals(rig.wrmsr(0xc000_0080, 0x901), NONE, "LMA cannot be written");
  assertEquals(rig.rdmsr(0xc000_0080), 0xd01n);
  assertEquals(rig.wrmsr(0xc000_0080, 0x801), Vector.GP, "LME");
  for (const bit of [1, 9, 12, 13, 14, 15]) {
    assertEquals(rig.wrmsr(0xc000_0080, 0x500 | 1 << bit), Vector.GP, `bit ${bit}`);
  }
});

Deno.test("PAT takes memory types only (SDM 3A §11.12.2)", () => {
  const rig = new SystemRig("long64");
  assertEquals(rig.wrmsr(0x277, 0x0105_0406_0007_0000n), NONE);
  for (const type of [2, 3, 8, 0x86]) {
    assertEquals(rig.wrmsr(0x277, BigInt(type) << 56n), Vector.GP, `type ${type}`);
  }
  assertEquals(rig.rdmsr(0x277), 0x0105_0406_0007_0000n);
});

Deno.test("MTRRs keep ranges and types, and refuse what is reserved (SDM 3A §11.11)", () => {
  const rig = new SystemRig("long64");
  assertEquals(rig.rdmsr(0xfe), 0x508n);
  assertEquals([rig.wrmsr(0x200, 0xc000_0006), rig.wrmsr(0x201, 0xffff_c000_0800n)], [NONE, NONE]);
  assertEquals([rig.rdmsr(0x200), rig.rdmsr(0x201)], [0xc000_0006n, 0xffff_c000_0800n]);
  assertEquals(rig.wrmsr(0x20f, 0x1_0000_0000_0800n), Vector.GP, "beyond MAXPHYADDR");
  assertEquals(rig.wrmsr(0x20e, 0x1006), NONE);
  assertEquals(rig.wrmsr(0x20e, 0x1106), Vector.GP, "bits 11:8 of a base");
  assertEquals(rig.wrmsr(0x20e, 0x1002), Vector.GP, "type 2");
  assertEquals(rig.wrmsr(0x210, 0), Vector.GP, "there are 8");
  assertEquals(rig.wrmsr(0x26f, 0x0606_0505_0404_0100n), NONE);
  assertEquals(rig.rdmsr(0x26f), 0x0606_0505_0404_0100n);
  assertEquals(rig.wrmsr(0x250, 0x0700n), Vector.GP, "type 7 is PAT's");
  assertEquals([rig.wrmsr(0x2ff, 0xc06), rig.rdmsr(0x2ff)], [NONE, 0xc06n]);
  assertEquals([rig.wrmsr(0x2ff, 0x1c06), rig.wrmsr(0x2ff, 0xc03)], [Vector.GP, Vector.GP]);
});

Deno.test("machine-check banks read as zero and take what systems write (SDM 3B §15.3.2)", () => {
  const rig = new SystemRig("long64");
  const banks = Number(rig.rdmsr(0x179)) & 0xff;
  for (let bank = 0; bank < banks; bank++) {
    const control = 0x400 + bank * 4;
    assertEquals(rig.wrmsr(control, -1n), NONE);
    assertEquals(rig.wrmsr(control + 1, 0), NONE);
    assertEquals(rig.wrmsr(control + 1, 1), Vector.GP, "a status can only be cleared");
    assertEquals(rig.rdmsr(control + 1), 0n);
  }
  assertEquals(rig.rdmsr(0x400 + banks * 4), undefined);
  assertEquals([rig.wrmsr(0x17a, 7), rig.wrmsr(0x17a, 8)], [NONE, Vector.GP]);
});

Deno.test("the local APIC has its base, its deadline and the x2APIC's registers", () => {
  const rig = new SystemRig("long64");
  const log: string[] = [];
  rig.apic.readMsr = ((msr: number) => {
    log.push(`read ${msr.toString(16)}`);
    rig.apic.msrLo = 0x1234;
    rig.apic.msrHi = 5;
    return msr !== 0x8ff;
  }) as () => boolean;
  rig.apic.writeMsr = ((msr: number, lo: number, hi: number) => {
    log.push(`write ${msr.toString(16)} ${hi} ${lo}`);
    return msr !== 0x8ff;
  }) as () => boolean;
  assertEquals(rig.rdmsr(0x1b), 0x5_0000_1234n);
  assertEquals([rig.wrmsr(0x6e0, 0x1_0000_0002n), rig.wrmsr(0x80b, 0)], [NONE, NONE]);
  assertEquals([rig.wrmsr(0x8ff, 0), rig.rdmsr(0x8ff)], [Vector.GP, undefined]);
  assertEquals(log, ["read 1b", "write 6e0 1 2", "write 80b 0 0", "write 8ff 0 0", "read 8ff"]);
});

Deno.test("constants are read-only: MTRRCAP, MCG_CAP, PLATFORM_INFO, PLATFORM_ID", () => {
  const rig = new SystemRig("long64");
  for (const msr of [0xfe, 0x179, 0xce, 0x17]) {
    const value = rig.rdmsr(msr);
    assertEquals(rig.wrmsr(msr, value ?? 0), Vector.GP, msr.toString(16));
  }
});

Deno.test("the microcode's revision is not 0, whatever has been written (SDM 3A §9.11.7)", () => {
  const rig = new SystemRig("long64");
  assertEquals([rig.wrmsr(0x8b, 0), rig.rdmsr(0x8b)], [NONE, 0x1_0000_0000n]);
});

Deno.test("MISC_ENABLE says that MONITOR is there, and keeps fast strings", () => {
  const rig = new SystemRig("long64");
  assertEquals(rig.rdmsr(0x1a0), 0x4_1801n);
  assertEquals([rig.wrmsr(0x1a0, 0), rig.rdmsr(0x1a0)], [NONE, 0x4_1800n]);
});

Deno.test("XSS has no bits, TSC_AUX 32, DEBUGCTL two", () => {
  const rig = new SystemRig("long64");
  assertEquals([rig.wrmsr(0xda0, 0), rig.wrmsr(0xda0, 1)], [NONE, Vector.GP]);
  assertEquals(rig.wrmsr(0xc000_0103, 0x1_0000_0000n), Vector.GP);
  assertEquals([rig.wrmsr(0x1d9, 3), rig.wrmsr(0x1d9, 4)], [NONE, Vector.GP]);
  assertEquals(rig.rdmsr(0x1d9), 3n);
  assertEquals(rig.cpu.s[Word.RFLAGS] & 0x100, 0);
});
