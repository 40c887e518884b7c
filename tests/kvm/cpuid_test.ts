import { assert, assertEquals } from "@std/assert";
import type { CpuidLeaf } from "../../src/cpu/cpuid.ts";
import { guestCpuid } from "../../src/engine/kvm/kvm_cpuid.ts";
import { engineFor, kvmEngine, le, long64, memoryWith } from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";

/** EAX, EBX, ECX, EDX of a leaf, as a guest on vCPU 0 of 1 gets them. */
function cpuidInGuest(leaf: number, subleaf = 0): number[] {
  const memory = memoryWith([
    ...[0xb8, ...le(leaf, 4), 0xb9, ...le(subleaf, 4), 0x0f, 0xa2, 0xe7, 0x10], // out 0x10, eax
    ...[0x89, 0xd8, 0xe7, 0x10, 0x89, 0xc8, 0xe7, 0x10, 0x89, 0xd0, 0xe7, 0x10], // ebx, ecx, edx
  ]);
  using engine = engineFor(memory, long64(memory));
  return Array.from({ length: 4 }, () => {
    engine.run(0);
    return engine.exit.data.getUint32(engine.exit.offset, true);
  });
}

testWith(kvmEngine, "a guest finds KVM, its features and the TSC's frequency", () => {
  const [max, ...name] = cpuidInGuest(0x4000_0000);
  assertEquals(max, 0x4000_0010);
  assertEquals(name, [0x4b4d_564b, 0x564b_4d56, 0x4d]);
  assert(cpuidInGuest(0x4000_0001)[0] !== 0);
  const [tscKhz, apicKhz] = cpuidInGuest(0x4000_0010);
  assert(tscKhz > 100_000 && tscKhz < 20_000_000, `${tscKhz} kHz`);
  assertEquals(apicKhz, 1_000_000);
});

testWith(kvmEngine, "a guest with one vCPU finds one CPU", () => {
  const [, ebx, ecx] = cpuidInGuest(1);
  assertEquals(ebx >>> 24, 0); // initial APIC id
  assertEquals(ebx >>> 16 & 0xff, 1); // addressable ids
  assertEquals(ecx >>> 31, 1); // runs under a hypervisor
  assertEquals(cpuidInGuest(0xb, 1).slice(0, 2), [0, 1]);
});

Deno.test("what the engine does not serve is taken out of the host's table", () => {
  const all = 0xffff_ffff;
  const entry = (leaf: number, subleaf: number, indexed: boolean): CpuidLeaf => ({
    ...{ leaf, subleaf, indexed, eax: 0x20, ebx: all, ecx: all, edx: all },
  });
  const host = [
    ...[0, 1, 0x12, 0x1d, 0x1e, 0x4000_0000, 0x4000_0001, 0x4000_0021].map((l) =>
      entry(l, 0, false)
    ),
    entry(7, 0, true),
  ];
  const table = guestCpuid(host, { index: 0, cpus: 1, tscKhz: 1, tscDeadline: false });
  assertEquals(
    table.map((e) => e.leaf).filter((leaf) => leaf !== 0xb && leaf !== 0x1f),
    [0, 1, 7, 0x4000_0000, 0x4000_0001, 0x4000_0010],
  );
  const extended = table.find((e) => e.leaf === 7);
  assertEquals(extended?.ebx, (all & ~(1 << 2)) >>> 0); // SGX
  assertEquals(extended?.edx, (all & ~(1 << 22 | 1 << 24 | 1 << 25)) >>> 0); // AMX
});
