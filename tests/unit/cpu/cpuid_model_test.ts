import { assert, assertEquals } from "@std/assert";
import { Cpuid, FEATURES } from "../../../src/cpu/cpuid_model.ts";
import { TSC_HZ } from "../../../src/engine/cpu_bus.ts";
import { ROWS } from "../../../src/engine/wasm/isa/table.ts";

function query(cpuid: Cpuid, leaf: number, subleaf = 0): number[] {
  cpuid.query(leaf, subleaf);
  return [cpuid.eax, cpuid.ebx, cpuid.ecx, cpuid.edx].map((value) => value >>> 0);
}

function text(...words: number[]): string {
  return new TextDecoder().decode(new Uint8Array(Uint32Array.from(words).buffer));
}

Deno.test("the processor is one of Intel's, of family 6 (SDM 2A CPUID, leaves 0 and 1)", () => {
  const cpuid = new Cpuid(0, 1);
  const [max, ebx, ecx, edx] = query(cpuid, 0);
  assertEquals(text(ebx, edx, ecx), "GenuineIntel");
  assert(max >= 0x16, "leaves 0x15 and 0x16 have the frequencies");
  assertEquals(query(cpuid, 1)[0] >>> 8 & 15, 6);
});

Deno.test("every feature has its bit, and every bit of a feature leaf is a feature", () => {
  const cpuid = new Cpuid(0, 1);
  const registers = { eax: 0, ebx: 1, ecx: 2, edx: 3 } as const;
  const bits = new Map<string, number>();
  for (const [name, [leaf, register, bit, subleaf = 0]] of Object.entries(FEATURES)) {
    const value = query(cpuid, leaf, subleaf)[registers[register]];
    assertEquals(value >>> bit & 1, 1, name);
    const place = `${leaf}.${subleaf}.${register}`;
    bits.set(place, (bits.get(place) ?? 0) | 1 << bit);
  }
  for (const place of ["1.0.ecx", "1.0.edx", "7.0.ebx", "7.0.ecx", "7.0.edx"]) {
    const [leaf, subleaf, register] = place.split(".");
    const value = query(cpuid, Number(leaf), Number(subleaf))[registers[register as "eax"]];
    assertEquals(value, (bits.get(place) ?? 0) >>> 0, place);
  }
});

Deno.test("what is not there is not offered: AVX, VME, virtualization, AVX-512, SGX", () => {
  const cpuid = new Cpuid(0, 1);
  const [, , ecx, edx] = query(cpuid, 1);
  assertEquals(ecx >>> 28 & 1, 0, "AVX");
  assertEquals(ecx >>> 5 & 1, 0, "VMX");
  assertEquals(edx >>> 1 & 1, 0, "VME");
  const [, ebx] = query(cpuid, 7);
  assertEquals(ebx >>> 5 & 1, 0, "AVX2");
  assertEquals(ebx >>> 16 & 1, 0, "AVX512F");
  assertEquals(cpuid.has("avx"), false);
  assertEquals(cpuid.has("toString"), false);
});

Deno.test("every feature that the instruction table names exists", () => {
  const cpuid = new Cpuid(0, 1);
  for (const { feature, mnemonic } of ROWS) {
    if (feature !== undefined) assert(cpuid.has(feature), `${mnemonic}: ${feature}`);
  }
});

Deno.test("leaves 0x15, 0x16 and 0x40000010 give the TSC's frequency, so that none calibrates", () => {
  const cpuid = new Cpuid(0, 1);
  const [denominator, numerator, crystal] = query(cpuid, 0x15);
  assertEquals(crystal * numerator / denominator, TSC_HZ);
  assertEquals(query(cpuid, 0x16)[0] * 1e6, TSC_HZ);
  const [max, ...name] = query(cpuid, 0x4000_0000);
  assertEquals(max, 0x4000_0010);
  assertEquals(text(...name), "denovisor\0\0\0");
  assertEquals(query(cpuid, 0x4000_0010).slice(0, 2), [TSC_HZ / 1000, TSC_HZ / 1000]);
});

Deno.test("addresses have 48 physical and 57 linear bits (leaf 0x80000008)", () => {
  const cpuid = new Cpuid(0, 1);
  assertEquals(query(cpuid, 0x8000_0008)[0], 57 << 8 | 48);
  assertEquals(cpuid.maxPhyAddrBits, 48);
});

Deno.test("leaf 4 has two caches of level 1, and ends with a type of 0", () => {
  const cpuid = new Cpuid(0, 1);
  const bytes = (subleaf: number) => {
    const [, ebx, ecx] = query(cpuid, 4, subleaf);
    return ((ebx >>> 22) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1);
  };
  assertEquals([0, 1, 2, 3].map(bytes), [32 << 10, 32 << 10, 1 << 20, 8 << 20]);
  assertEquals([0, 1, 2, 3, 4].map((i) => query(cpuid, 4, i)[0] & 31), [1, 2, 3, 3, 0]);
  assertEquals([0, 1, 2, 3].map((i) => query(cpuid, 4, i)[0] >>> 5 & 7), [1, 1, 2, 3]);
});

Deno.test("each vCPU has its own APIC id in leaves 1 and 0xB", () => {
  const cpuid = new Cpuid(2, 4);
  assertEquals(query(cpuid, 1)[1] >>> 24, 2);
  assertEquals(query(cpuid, 0xb, 0).slice(1), [1, 0x100, 2]);
  assertEquals(query(cpuid, 0xb, 1), [2, 4, 0x201, 2]);
  assertEquals(query(cpuid, 0xb, 7), [0, 0, 7, 2], "behind the last level");
});

Deno.test("a leaf beyond its range answers as the last basic leaf; one within it is 0", () => {
  const cpuid = new Cpuid(0, 1);
  const last = query(cpuid, 0x16);
  assertEquals(query(cpuid, 0x17), last);
  assertEquals(query(cpuid, 0x8000_0009), last);
  assertEquals(query(cpuid, 0xffff_ffff), last);
  assertEquals(query(cpuid, 0x4000_0011), last);
  assertEquals(query(cpuid, 3), [0, 0, 0, 0]);
  assertEquals(query(cpuid, 7, 1), [0, 0, 0, 0]);
});

Deno.test("leaf 0xD describes x87, SSE and PKRU (SDM 1 §13.2)", () => {
  const cpuid = new Cpuid(0, 1);
  const [components, , size] = query(cpuid, 0xd, 0);
  assertEquals(components, 0x203);
  const [bytes, offset] = query(cpuid, 0xd, 9);
  assertEquals([bytes, offset, offset + bytes], [8, 2688, size]);
});
