import { assertEquals } from "@std/assert";
import plugin from "../../../tools/lint/addresses.ts";

function findings(source: string, file = "src/mmu/x.ts"): number {
  return Deno.lint.runPlugin(plugin, file, source).length;
}

const REJECTED = [
  "const a = gpa >> 12;",
  "const a = gfn & ~511;",
  "const a = 1 | pfn;",
  "const a = ~gfn;",
  "const a = fault.gfn >>> 9;",
  "const a = fault.baseGfn ^ 1;",
  "const a = this.#gfn & 511;",
  "let root_gpa = 0; root_gpa &= 0xfff;",
  "function f(address: Gpa) { return address & 0xfff; }",
  "interface S { base: Gfn } const a = (s: S) => s.base << 12;",
  "const a = gfnOf(x) & 511;",
  "const a = (x as Gpa) >>> 0;",
  "const a = slot!.gfn! | 0;",
  "const a = (slot.gpa - base) >>> 21;",
];

for (const source of REJECTED) {
  Deno.test(`lint rejects a bitwise operator on an address: ${source}`, () => {
    assertEquals(findings(source), 1);
  });
}

const ACCEPTED = [
  "const a = flags & 0xfff;",
  "const a = Math.floor(gpa / 4096);",
  "const a = gpaCount & 1;",
  "const a = lo32(gpa) & 0xfff;",
  "const a = gpa + 1;",
  "const a = (gpa % 4096) & 0xff;",
];

for (const source of ACCEPTED) {
  Deno.test(`lint accepts: ${source}`, () => assertEquals(findings(source), 0));
}

Deno.test("lint leaves src/base alone, which owns 64-bit arithmetic", () => {
  assertEquals(findings("const a = gpa >>> 0;", "/home/u/denovisor/src/base/u64.ts"), 0);
  assertEquals(findings("const a = gpa >>> 0;", "/home/u/denovisor/src/base_x/u64.ts"), 1);
});
