import { assertEquals } from "@std/assert";
import { Cr4 } from "../../../../../src/cpu/modes.ts";
import { Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { NONE, SystemRig } from "../../../../support/system_rig.ts";

function rdtsc(rig: SystemRig): bigint {
  assertEquals(rig.run("0f 31"), NONE);
  return rig.gpr(2) << 32n | rig.gpr(0);
}

Deno.test("RDTSC counts the clock's nanoseconds, beyond 32 bits too", () => {
  const rig = new SystemRig("long64");
  rig.setGpr(0, -1n);
  rig.nowNs = 2 ** 50 + 12345;
  assertEquals(rdtsc(rig), 2n ** 50n + 12345n);
});

Deno.test("a write of the counter is seen in TSC_ADJUST, and the other way (SDM 3B §17.17.3)", () => {
  const rig = new SystemRig("long64");
  const offsets: string[] = [];
  rig.apic.setTscOffset = ((lo: number, hi: number) => {
    offsets.push(`${hi} ${lo}`);
  }) as () => void;
  rig.nowNs = 5_000_000_000;
  rig.wrmsr(0x10, 1000);
  assertEquals(rdtsc(rig), 1000n);
  assertEquals(rig.rdmsr(0x3b), BigInt.asUintN(64, 1000n - 5_000_000_000n));
  rig.wrmsr(0x3b, 0);
  assertEquals(rdtsc(rig), 5_000_000_000n);
  rig.wrmsr(0x3b, 0x7_0000_0001n);
  rig.nowNs += 9;
  assertEquals(rdtsc(rig), 5_000_000_009n + 0x7_0000_0001n);
  assertEquals(offsets, ["-2 -705031704", "0 0", "7 1"]);
});

Deno.test("RDTSCP and RDPID give TSC_AUX", () => {
  const rig = new SystemRig("long64");
  rig.wrmsr(0xc000_0103, 0xabcd_1234);
  rig.nowNs = 77;
  rig.setGpr(1, -1n);
  assertEquals(rig.run("0f 01 f9"), NONE);
  assertEquals([rig.gpr(0), rig.gpr(2), rig.gpr(1)], [77n, 0n, 0xabcd_1234n]);
  rig.setGpr(15, -1n);
  assertEquals(rig.run("f3 41 0f c7 ff"), NONE);
  assertEquals(rig.gpr(15), 0xabcd_1234n);
});

Deno.test("CR4.TSD keeps the counter from programs (SDM 3A §2.5)", () => {
  const rig = new SystemRig("long64");
  rig.cpu.s[Word.CR4] |= Cr4.TSD;
  assertEquals([rig.run("0f 31"), rig.run("0f 01 f9")], [NONE, NONE]);
  rig.setCpl(3);
  assertEquals([rig.run("0f 31"), rig.run("0f 01 f9")], [Vector.GP, Vector.GP]);
});
