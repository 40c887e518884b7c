import { assertEquals, assertThrows } from "@std/assert";
import { CAUSES } from "../../../../src/cli/report/fault_causes.ts";
import { Size } from "../../../../src/cli/report/sizes.ts";
import type { Summary } from "../../../../src/cli/report/summary.ts";
import { DenovisorError } from "../../../../src/base/errors.ts";
import { line, mapping, summaryOf } from "./support.ts";

/** Counts that are not 0, by cause and index in SIZES. */
function counts({ faults }: Summary): [cause: string, size: number, count: number][] {
  return CAUSES.flatMap((name, cause) =>
    Object.values(Size).map((size): [string, number, number] => [
      name,
      size,
      faults.count(cause, size),
    ])
  ).filter(([, , count]) => count > 0);
}

const fault = (code: number, address = 0x5000) =>
  line("kvm_page_fault", {
    fault_address: `0x${address.toString(16)}`,
    error_code: `0x${code.toString(16)}`,
  });

Deno.test("faults are counted by their error code and the size of the page that was mapped", () => {
  const summary = summaryOf(
    ...mapping(0, 1, 0, 4),
    ...mapping(0x200, 2, 0, 6),
    ...mapping(0x4_0000, 3, 0, 0x14),
    ...mapping(1, 1, 0, 7),
    ...mapping(2, 1, 0, 0x15),
    ...mapping(2, 1, 0, 5),
  );
  assertEquals(counts(summary), [
    ["Read, not mapped", Size.PAGE_4K, 1],
    ["Write, not mapped", Size.PAGE_2M, 1],
    ["Fetch, not mapped", Size.PAGE_1G, 1],
    ["Read, not allowed", Size.PAGE_4K, 1],
    ["Write, not allowed", Size.PAGE_4K, 1],
    ["Fetch, not allowed", Size.PAGE_4K, 1],
  ]);
  assertEquals([summary.faults.total, summary.faults.ofSize(Size.PAGE_4K)], [6, 4]);
});

Deno.test("a fault without a mapping, and the last one of a trace, are counted too", () => {
  const summary = summaryOf(fault(4), fault(4), fault(6));
  assertEquals(counts(summary), [
    ["Read, not mapped", Size.NONE, 2],
    ["Write, not mapped", Size.NONE, 1],
  ]);
});

Deno.test("a fault is of its own page's size, not of those that were mapped ahead of time", () => {
  const summary = summaryOf(
    ...mapping(0x200, 2),
    line("kvm_mmu_set_spte", { gfn: "0x1", level: 1 }),
  );
  assertEquals(counts(summary), [["Write, not mapped", Size.PAGE_2M, 1]]);
  assertEquals(summary.map.sizeAt(1), Size.PAGE_4K);
});

Deno.test("MMIO is known by its first fault and by a reserved bit ever after", () => {
  const summary = summaryOf(
    fault(6, 0xfee0_0000),
    line("mark_mmio_spte", { gfn: "0xfee00" }),
    fault(0xf, 0xfee0_0000), // the vCPU knows the page: no other event
    fault(0xf, 0xfee0_0000),
    line("handle_mmio_page_fault", { gfn: "0xfee00" }),
  );
  assertEquals(counts(summary), [
    ["Write, not mapped", Size.MMIO, 1],
    ["Known MMIO", Size.MMIO, 2],
  ]);
  assertEquals(summary.map.sizeAt(0xfee00), Size.MMIO);
});

Deno.test("a fault that the fast path fixed is of the size that is mapped; one that it left is not", () => {
  const fast = (retry: boolean) => line("fast_page_fault", { cr2_or_gpa: "0x205000", retry });
  const done = summaryOf(...mapping(0x200, 2), fault(7, 0x20_5000), fast(true));
  assertEquals(counts(done)[1], ["Write, not allowed", Size.PAGE_2M, 1]);
  const left = summaryOf(...mapping(0x200, 2), fault(7, 0x20_5000), fast(false));
  assertEquals(counts(left)[1], ["Write, not allowed", Size.NONE, 1]);
});

Deno.test("a table that goes takes its mappings along", () => {
  const zap = (gfn: number, level: number, more = {}) =>
    line("kvm_mmu_prepare_zap_page", {
      gen: 0,
      gfn: `0x${gfn.toString(16)}`,
      role: `0x${(0x790 | level).toString(16)}`,
      ...more,
    });
  const start = [...mapping(5, 1), ...mapping(0x200, 2), ...mapping(0x4_0000, 2)];
  const sizes = (...lines: string[]) => {
    const { map } = summaryOf(...start, ...lines);
    return [map.sizeAt(5), map.sizeAt(0x200), map.sizeAt(0x4_0000)];
  };
  const { PAGE_4K, PAGE_2M, NONE } = Size;
  assertEquals(sizes(), [PAGE_4K, PAGE_2M, PAGE_2M]);
  assertEquals(sizes(zap(0, 1)), [NONE, PAGE_2M, PAGE_2M]);
  assertEquals(sizes(zap(0, 2)), [NONE, NONE, PAGE_2M]);
  assertEquals(sizes(zap(0, 3)), [NONE, NONE, NONE]);
  // The table whose place the 2 MiB page has taken.
  assertEquals(sizes(zap(0x200, 1)), [PAGE_4K, PAGE_2M, PAGE_2M]);
  // A guest's own table: its frame is not what it maps.
  assertEquals(sizes(zap(0, 1, { role: "0x711" })), [PAGE_4K, PAGE_2M, PAGE_2M]);
});

Deno.test("after a fast zap only what is mapped again counts, while old tables still go", () => {
  const { map } = summaryOf(
    ...mapping(5, 1),
    line("kvm_mmu_zap_all_fast", { mmu_valid_gen: 0, mmu_used_pages: 4 }),
    ...mapping(6, 1),
    line("kvm_mmu_prepare_zap_page", { gen: 0, gfn: "0x0", role: "0x791" }),
  );
  assertEquals([map.sizeAt(5), map.sizeAt(6)], [Size.NONE, Size.PAGE_4K]);
});

Deno.test("slots, counters and unknown events are kept", () => {
  const summary = summaryOf(
    line("trace_begin", { version: 1 }),
    line("memslot", { id: 3, base_gfn: "0x100", npages: 256, flags: 0 }),
    line("something_new", { text: "<b>" }),
    line("stats", { pf_fixed: 7, pf_guest: 1 }, 5000),
  );
  assertEquals(summary.slots, [{ id: 3, baseGfn: 0x100, frames: 256 }]);
  assertEquals([...summary.counters], [["pf_fixed", 7], ["pf_guest", 1]]);
  assertEquals(summary.events.get("something_new"), 1);
  assertEquals([summary.lines, summary.endNs], [4, 5000]);
});

Deno.test("a line that is malformed is an error that names file, line and field", () => {
  const cases: [string, string][] = [
    ["", 'line 2: found "", expected a JSON object'],
    ["[1]", 'line 2: found "[1]", expected a JSON object'],
    ['{"time_ns":1', 'found "{\\"time_ns\\":1", expected a JSON object'],
    ["null", 'found "null"'],
    ["{}", "field time_ns: found none, expected an integer, not below 0"],
    ['{"time_ns":-1,"event":"x"}', "field time_ns: found -1"],
    ['{"time_ns":1e999,"event":"x"}', "field time_ns: found null"],
    ['{"time_ns":1}', "field event: found none, expected a name"],
    [
      line("kvm_page_fault", { fault_address: "5" }),
      'field fault_address: found "5", expected hex',
    ],
    [line("kvm_page_fault", { fault_address: "0x5" }), "field error_code: found none"],
    [line("kvm_mmu_set_spte", { gfn: "0x0", level: 4 }), "field level: found 4, expected a level"],
    [line("kvm_mmu_set_spte", { gfn: "0xfffffffffffff", level: 1 }), "expected a frame below 2^40"],
    [line("memslot", { id: 0, base_gfn: 7, npages: 1 }), "field base_gfn: found 7"],
    [line("trace_begin", { version: 2 }), "field version: found 2, expected at most 1"],
    [
      line("fast_page_fault", { cr2_or_gpa: "0x0", retry: 1 }),
      "field retry: found 1, expected true",
    ],
    ['{"__proto__":{"time_ns":1,"event":"x"}}', "field time_ns: found none"],
  ];
  for (const [text, message] of cases) {
    const error = assertThrows(() => summaryOf(line("a"), text), DenovisorError, message);
    assertEquals([error.code, error.details.line], ["file", 2], text);
  }
});
