import { assertEquals } from "@std/assert";
import {
  type CpuidLeaf,
  findLeaf,
  hypervisorLeaves,
  withTopology,
} from "../../../src/cpu/cpuid.ts";

const entry = (leaf: number, registers: Partial<CpuidLeaf> = {}): CpuidLeaf => ({
  ...{ leaf, subleaf: 0, indexed: false, eax: 0, ebx: 0, ecx: 0, edx: 0 },
  ...registers,
});

/** A cache of `level` in leaf `leaf`. */
const cache = (leaf: number, subleaf: number, level: number): CpuidLeaf =>
  entry(leaf, { subleaf, indexed: true, eax: 0xffff_c000 | level << 5 | 1 });

const INTEL = entry(0, { eax: 0x1f, ebx: 0x756e_6547, edx: 0x4965_6e69, ecx: 0x6c65_746e });
const AMD = entry(0, { eax: 0x10, ebx: 0x6874_7541, edx: 0x6974_6e65, ecx: 0x444d_4163 });

Deno.test("leaf 1 has the vCPU's APIC id, and HTT when there are several vCPUs", () => {
  const host = [INTEL, entry(1, { ebx: 0x0510_0800, edx: 0x1000_0001 })];
  const alone = findLeaf(withTopology(host, 0, 1), 1);
  assertEquals([alone?.ebx, alone?.edx], [0x0001_0800, 0x0000_0001]);
  const third = findLeaf(withTopology(host, 2, 3), 1);
  assertEquals([third?.ebx, third?.edx], [0x0204_0800, 0x1000_0001]);
  const last = findLeaf(withTopology(host, 255, 256), 1);
  assertEquals(last?.ebx, 0xffff_0800);
});

Deno.test("leaves 0xB and 0x1F number one thread a core and all cores of one package", () => {
  const host = [INTEL, entry(0xb, { indexed: true, eax: 7, edx: 9 })];
  const table = withTopology(host, 5, 6);
  for (const leaf of [0xb, 0x1f]) {
    const levels = [0, 1, 2].map((subleaf) => findLeaf(table, leaf, subleaf));
    assertEquals(levels.map((l) => [l?.eax, l?.ebx, l?.ecx, l?.edx]), [
      [0, 1, 0x100, 5],
      [3, 6, 0x201, 5],
      [0, 0, 2, 5],
    ]);
  }
});

Deno.test("a host whose basic leaves end before 0x1F does not get it", () => {
  const table = withTopology([AMD], 0, 2);
  assertEquals(findLeaf(table, 0x1f), undefined);
  assertEquals(findLeaf(table, 0xb, 1)?.ebx, 2);
});

Deno.test("first and second level caches belong to a core and the third to the package", () => {
  const host = [INTEL, cache(4, 0, 1), cache(4, 1, 2), cache(4, 2, 3), entry(4, { subleaf: 3 })];
  const sharers = (subleaf: number) =>
    ((withTopology(host, 0, 6).find((e) => e.leaf === 4 && e.subleaf === subleaf)?.eax ?? 0) >>>
      14) & 0xfff;
  assertEquals([sharers(0), sharers(1), sharers(2)], [0, 0, 7]);
  const cores = findLeaf(withTopology(host, 0, 6), 4, 0);
  assertEquals((cores?.eax ?? 0) >>> 26, 7);
});

Deno.test("AMD's leaves count the cores", () => {
  const host = [
    AMD,
    entry(0x8000_0001, { ecx: 0x0040_01ff }),
    entry(0x8000_0008, { eax: 0x3030, ecx: 0x0000_703f }),
    cache(0x8000_001d, 3, 3),
    entry(0x8000_001e, { eax: 77, ebx: 0x0107, ecx: 0x0100 }),
  ];
  const table = withTopology(host, 2, 3);
  assertEquals(findLeaf(table, 0x8000_0001)?.ecx, 0x0040_01ff);
  assertEquals(findLeaf(withTopology(host, 0, 1), 0x8000_0001)?.ecx, 0x0040_01fd);
  assertEquals(findLeaf(table, 0x8000_0008)?.ecx, 0x2002);
  assertEquals((findLeaf(table, 0x8000_001d, 3)?.eax ?? 0) >>> 14 & 0xfff, 2);
  const node = findLeaf(table, 0x8000_001e);
  assertEquals([node?.eax, node?.ebx, node?.ecx], [2, 2, 0]);
});

Deno.test("the host's table stays as it was", () => {
  const host = [INTEL, entry(1, { ebx: 7, edx: 7 })];
  const before = structuredClone(host);
  withTopology(host, 3, 4);
  assertEquals(host, before);
});

Deno.test("the hypervisor's leaves have its name, its features and the frequencies", () => {
  const info = { signature: "KVMKVMKVM", features: 0x0100_7efb, hints: 1, apicKhz: 1_000_000 };
  const leaves = hypervisorLeaves({ ...info, tscKhz: 2_600_000 });
  const signature = findLeaf(leaves, 0x4000_0000);
  assertEquals(signature?.eax, 0x4000_0010);
  assertEquals([signature?.ebx, signature?.ecx, signature?.edx], [0x4b4d_564b, 0x564b_4d56, 0x4d]);
  assertEquals(findLeaf(leaves, 0x4000_0001)?.eax, 0x0100_7efb);
  assertEquals(findLeaf(leaves, 0x4000_0001)?.edx, 1);
  const frequencies = findLeaf(leaves, 0x4000_0010);
  assertEquals([frequencies?.eax, frequencies?.ebx], [2_600_000, 1_000_000]);
  const unknown = hypervisorLeaves({ ...info, tscKhz: 0 });
  assertEquals(findLeaf(unknown, 0x4000_0000)?.eax, 0x4000_0001);
  assertEquals(findLeaf(unknown, 0x4000_0010), undefined);
});
