/** CPUID, RDRAND, INVLPG and INVPCID, HLT and MWAIT, keys. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Cr4 } from "../../../../../src/cpu/modes.ts";
import { MpState, Seg, SegField, State } from "../../../../../src/cpu/state.ts";
import { Attention, Waiting, Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { load8 } from "../../../../../src/engine/wasm/memory.ts";
import { updateModes } from "../../../../../src/engine/wasm/modes.ts";
import { DATA_AT, NONE, SystemRig } from "../../../../support/system_rig.ts";

function cpuid(rig: SystemRig, leaf: number, subleaf = 0): number[] {
  rig.setGpr(0, leaf);
  rig.setGpr(1, subleaf);
  assertEquals(rig.run("0f a2"), NONE);
  return [0, 3, 1, 2].map((register) => Number(rig.gpr(register)));
}

Deno.test("CPUID follows CR4.OSXSAVE, CR4.PKE, XCR0, the APIC and the mode (SDM 2A CPUID)", () => {
  const rig = new SystemRig("long64");
  const { s } = rig.cpu;
  const ecx1 = () => cpuid(rig, 1)[2] >>> 27 & 1;
  const ospke = () => cpuid(rig, 7)[2] >>> 4 & 1;
  assertEquals([ecx1(), ospke()], [0, 0]);
  s[Word.CR4] |= Cr4.OSXSAVE | Cr4.PKE;
  assertEquals([ecx1(), ospke()], [1, 1]);
  assertEquals([cpuid(rig, 0xd)[1], cpuid(rig, 0xd, 1)[1]], [576, 576]);
  s[Word.XCR0] = 0x203;
  assertEquals([cpuid(rig, 0xd)[1], cpuid(rig, 0xd, 1)[1]], [2696, 584]);
  assertEquals(cpuid(rig, 1)[3] >>> 9 & 1, 1);
  rig.apic.baseLo = 0xfee0_0000 | 0;
  assertEquals(cpuid(rig, 1)[3] >>> 9 & 1, 0);
  assertEquals(cpuid(rig, 0x8000_0001)[3] >>> 11 & 1, 1, "SYSCALL in 64-bit mode");
  assertEquals(cpuid(new SystemRig("flat32"), 0x8000_0001)[3] >>> 11 & 1, 0);
});

Deno.test("RDRAND and RDSEED give numbers of each size, the same at each start, and set CF alone", () => {
  const numbers = () => {
    const rig = new SystemRig("long64");
    rig.cpu.setStatusFlags(-1);
    const all: bigint[] = [];
    for (const code of ["0f c7 f0", "48 0f c7 f8", "48 0f c7 f0"]) {
      assertEquals(rig.run(code), NONE);
      all.push(rig.gpr(0));
    }
    assertEquals(rig.cpu.statusFlags, 1);
    return all;
  };
  const first = numbers();
  assertEquals(numbers(), first);
  assertEquals(new Set(first).size, 3);
  assert(first[0] < 2n ** 32n);
  assert(first.slice(1).every((value) => value >= 2n ** 32n));
});

Deno.test("RDRAND of 16 bits keeps the rest of the register", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(3, 0x1122_3344_5566_0000n);
  assertEquals(rig.run("66 0f c7 f3"), NONE);
  assertEquals(rig.gpr(3) >> 16n, 0x1122_3344_5566n);
  assertNotEquals(rig.gpr(3) & 0xffffn, 0n);
});

Deno.test("RDRAND's bits are balanced", () => {
  const rig = new SystemRig("long64");
  let ones = 0;
  for (let i = 0; i < 1000; i++) {
    rig.run("48 0f c7 f0");
    for (let rest = rig.gpr(0); rest !== 0n; rest &= rest - 1n) ones++;
  }
  assert(Math.abs(ones - 32_000) < 1000, `${ones} of 64000`);
});

/** Page tables of `SystemRig` begin here; the gigabyte's entry is in the second page. */
const PDPT = 0x10_1000;

/** From there to another page; pages have 2 MiB. */
const OTHER_PAGE = 0x40_0000;

/** What a supervisor reads at `DATA_AT`. */
function look(rig: SystemRig): number {
  return load8(rig.cpu, DATA_AT, 0);
}

/** A rig with DATA_AT (7 in it) in the TLB, and page tables that now map it 2 MiB higher (9). */
function rigWithStaleTlb(): SystemRig {
  const rig = new SystemRig("long64");
  rig.memory.writeU64(gpa(PDPT + 0x1000), 0x87n);
  rig.memory.writeU64(gpa(PDPT), BigInt(PDPT + 0x1000 | 7));
  rig.setGpr(0, 0x10_0000);
  rig.run("0f 22 d8");
  rig.memory.writeU64(gpa(DATA_AT), 7n);
  rig.memory.writeU64(gpa(DATA_AT + 0x20_0000), 9n);
  assertEquals(look(rig), 7);
  rig.memory.writeU64(gpa(PDPT + 0x1000), 0x20_0087n);
  assertEquals(look(rig), 7, "still in the TLB");
  return rig;
}

Deno.test("INVLPG forgets its page's translation and no other (SDM 3A §4.10.4.1)", () => {
  const rig = rigWithStaleTlb();
  rig.setGpr(3, 0x8000_0000_0000n);
  assertEquals(rig.run("0f 01 3b"), NONE, "non-canonical: nothing");
  rig.setGpr(3, DATA_AT + OTHER_PAGE);
  rig.run("0f 01 3b");
  assertEquals(look(rig), 7);
  rig.setGpr(3, DATA_AT + 0x123);
  rig.run("0f 01 3b");
  assertEquals(look(rig), 9);
  rig.setCpl(3);
  assertEquals(rig.run("0f 01 3b"), Vector.GP);
});

Deno.test("INVLPG needs no segment: it accesses nothing (SDM 2A INVLPG)", () => {
  const rig = new SystemRig("flat32");
  rig.cpu.u16[(State.SEGMENTS + Seg.DS * 16 + SegField.ATTRIBUTES) / 2] = 0;
  updateModes(rig.cpu);
  assertEquals(rig.run("8a 03"), Vector.GP, "a load");
  assertEquals(rig.run("0f 01 3b"), NONE);
});

/** Executes INVPCID with the descriptor at 0x30000, wherever that is mapped to. */
function invpcid(
  rig: SystemRig,
  type: bigint | number,
  pcid: bigint | number,
  address = 0n,
): number {
  for (const at of [0x3_0000, 0x23_0000]) {
    rig.memory.writeU64(gpa(at), BigInt(pcid));
    rig.memory.writeU64(gpa(at + 8), address);
  }
  rig.setGpr(0, type);
  rig.setGpr(3, 0x3_0000);
  return rig.run("66 0f 38 82 03");
}

Deno.test("INVPCID forgets an address, a context, or all (SDM 2A INVPCID)", () => {
  for (const type of [0, 1, 2, 3]) {
    const rig = rigWithStaleTlb();
    assertEquals(invpcid(rig, type, 0, BigInt(DATA_AT)), NONE);
    assertEquals(look(rig), 9, `type ${type}`);
  }
  const other = rigWithStaleTlb();
  invpcid(other, 0, 0, BigInt(DATA_AT + OTHER_PAGE));
  assertEquals(look(other), 7);
});

Deno.test("INVPCID refuses types above 3, reserved bits, and PCIDs that are not enabled", () => {
  const rig = new SystemRig("long64");
  assertEquals(invpcid(rig, 4, 0), Vector.GP);
  assertEquals(invpcid(rig, 0x1_0000_0000n, 0), Vector.GP);
  assertEquals(invpcid(rig, 2, 0x1000), Vector.GP);
  assertEquals(invpcid(rig, 2, 0x1_0000_0000n), Vector.GP);
  assertEquals(invpcid(rig, 0, 0, 0x8000_0000_0000n), Vector.GP);
  assertEquals(invpcid(rig, 1, 5), Vector.GP, "without CR4.PCIDE");
  assertEquals(invpcid(rig, 2, 5), NONE, "not used by type 2");
  rig.cpu.s[Word.CR4] |= Cr4.PCIDE;
  assertEquals(invpcid(rig, 1, 5), NONE);
});

Deno.test("CLFLUSH and its relatives fault where a load would", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(3, DATA_AT);
  for (const code of ["0f ae 3b", "66 0f ae 3b", "66 0f ae 33"]) {
    assertEquals(rig.run(code), NONE, code);
  }
  rig.setGpr(3, 0x4000_0000);
  for (const code of ["0f ae 3b", "66 0f ae 3b", "66 0f ae 33"]) {
    assertEquals(rig.run(code), Vector.PF, code);
  }
});

Deno.test("HLT halts, PAUSE without other vCPUs and the fences do nothing", () => {
  const rig = new SystemRig("long64");
  rig.cpu.attention = 0;
  for (const code of ["0f ae e8", "0f ae f0", "0f ae f8"]) assertEquals(rig.run(code), NONE);
  assertEquals(rig.cpu.attention, 0);
  rig.run("f3 90");
  assertEquals(rig.cpu.attention, 0, "there is nobody else");
  assertEquals(rig.run("f4"), NONE);
  assertEquals(rig.cpu.mpState, MpState.HALTED);
  rig.setCpl(3);
  assertEquals(rig.run("f4"), Vector.GP);
});

Deno.test("MWAIT waits once after each MONITOR; both are not for programs (SDM 2B)", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(0, DATA_AT);
  rig.cpu.attention = 0;
  assertEquals(rig.run("0f 01 c9"), NONE);
  assertEquals(rig.cpu.attention, 0, "nothing is monitored");
  assertEquals([rig.run("0f 01 c8"), rig.run("0f 01 c9")], [NONE, NONE]);
  assertEquals([rig.cpu.attention, rig.cpu.waiting], [Attention.HALT, Waiting.UNMASKED]);
  rig.cpu.attention = 0;
  assertEquals(rig.run("0f 01 c9"), NONE);
  assertEquals(rig.cpu.attention, 0, "it waits once");
  rig.setGpr(1, 2);
  assertEquals([rig.run("0f 01 c8"), rig.run("0f 01 c9")], [Vector.GP, Vector.GP]);
  rig.setGpr(1, 0);
  rig.setGpr(0, 0x4000_0000);
  assertEquals(rig.run("0f 01 c8"), Vector.PF);
  rig.setCpl(3);
  assertEquals([rig.run("0f 01 c8"), rig.run("0f 01 c9")], [Vector.UD, Vector.UD]);
});

Deno.test("UD0, UD1 and UD2 raise #UD; RDPMC has no counter to read", () => {
  const rig = new SystemRig("long64");
  const codes = ["0f ff c0", "0f b9 c0", "0f 0b", "0f 33"];
  assertEquals(codes.map((code) => rig.run(code)), [Vector.UD, Vector.UD, Vector.UD, Vector.GP]);
});

Deno.test("WRPKRU takes effect at once: a page with a denied key faults (SDM 3A §4.6.2)", () => {
  const rig = new SystemRig("long64");
  assertEquals(rig.run("0f 01 ef"), Vector.UD, "without CR4.PKE");
  rig.memory.writeU64(gpa(PDPT), 0x87n | 3n << 59n);
  rig.setGpr(0, 0x40_0020);
  rig.run("0f 22 e0");
  rig.setGpr(3, DATA_AT);
  assertEquals(rig.run("0f ae 3b"), NONE);
  rig.setGpr(0, 1 << 6);
  rig.setGpr(1, 0);
  rig.setGpr(2, 0);
  assertEquals(rig.run("0f 01 ef"), NONE);
  assertEquals(rig.run("0f ae 3b"), Vector.PF);
  assertEquals(rig.cpu.faultCode & 0x20, 0x20, "PK");
  rig.setGpr(2, 5);
  assertEquals(rig.run("0f 01 ef"), Vector.GP, "EDX must be 0");
  rig.run("0f 01 ee");
  assertEquals([rig.gpr(0), rig.gpr(2)], [64n, 0n]);
});
