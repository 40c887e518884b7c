import { assert, assertEquals, assertThrows } from "@std/assert";
import { TraceJson } from "../../../src/mmu/trace_json.ts";
import { MmuTrace, TRACEPOINTS } from "../../../src/mmu/trace.ts";
import { HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";
import { Flag, ShadowRig } from "../../support/shadow_rig.ts";

const MIB = 1024 ** 2;

/** A rig whose trace is written into `text`; its clock goes on by 10 ns each time it is asked. */
function traced(capacity = 4096): { rig: Rig; json: TraceJson; lines: () => unknown[] } {
  const rig = new Rig({ tables: "npt" }, new HostModel(2));
  rig.slot(0, 4 * MIB);
  rig.slot(8 * MIB, 4 * MIB, { readOnly: true, logDirty: true });
  let text = "";
  let ns = 1e9;
  const write = (bytes: Uint8Array) => void (text += new TextDecoder().decode(bytes));
  const json = new TraceJson(rig.mmu, write, () => ns += 10, capacity);
  return { rig, json, lines: () => text.trimEnd().split("\n").map((line) => JSON.parse(line)) };
}

Deno.test("a trace has one JSON object a line, with KVM's names and the time", () => {
  const { rig, json, lines } = traced();
  rig.access(0x20_1000, "w");
  rig.access(0x80_fee0_1000, "r");
  json.flush();
  const [begin, slot0, slot1, fault, requested, ...rest] = lines() as Record<string, unknown>[];
  assertEquals(begin, { time_ns: 0, event: "trace_begin", version: 1 });
  assertEquals(slot0, {
    time_ns: 0,
    event: "memslot",
    id: 0,
    base_gfn: "0x0",
    npages: 1024,
    flags: 0,
  });
  assertEquals([slot1.id, slot1.base_gfn, slot1.flags], [1, "0x800", 3]);
  assertEquals(fault, {
    time_ns: 10,
    event: "kvm_page_fault",
    fault_address: "0x201000",
    error_code: "0x6",
  });
  assertEquals(requested, {
    time_ns: 20,
    event: "kvm_mmu_spte_requested",
    gfn: "0x201",
    pfn: "0x200201",
    level: 2,
  });
  const spte = rest.find(({ event }) => event === "kvm_mmu_set_spte")!;
  assertEquals([spte.gfn, spte.level, spte.r, spte.x, spte.u], ["0x200", 2, true, true, 1]);
  const mmio = rest.filter(({ event }) => event === "kvm_mmu_spte_requested");
  assertEquals([mmio[0].gfn, mmio[0].pfn], ["0x80fee01", "0x8000000000000000"]);
});

Deno.test("lines are written many at a time", () => {
  const rig = new Rig({ tables: "npt" });
  rig.slot(0, 4 * MIB);
  const sizes: number[] = [];
  const json = new TraceJson(rig.mmu, (bytes) => void sizes.push(bytes.length), () => 0, 4096);
  for (let page = 0; page < 1000; page++) rig.access(page * 4096, "r");
  json.flush();
  assert(sizes.length < 20, `${sizes.length} writes`);
  assert(sizes.length > 1, "but not all at once");
});

Deno.test("every tracepoint's line has exactly its fields, in KVM's order", () => {
  const { rig, json, lines } = traced();
  TRACEPOINTS.forEach((_, point) => rig.mmu.core.trace!.emit(point, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  json.flush();
  assertEquals(
    lines().slice(3).map((line) => Object.keys(line as object)),
    TRACEPOINTS.map(({ fields }) => ["time_ns", "event", ...fields.map(([name]) => name)]),
  );
});

Deno.test("64-bit fields are written in full", () => {
  const { rig, json, lines } = traced();
  rig.mmu.core.trace!.emit(16, -1, 0x8000_0000 | 0, 0);
  rig.mmu.core.trace!.emit(13, 2 ** 40 - 1, 0x8000_0001 | 0, 0x10, 0, 1, 1, 0, -1);
  json.flush();
  const [fault, spte] = lines().slice(3) as Record<string, unknown>[];
  assertEquals(fault.fault_address, "0x80000000ffffffff");
  assertEquals([spte.gfn, spte.spte, spte.u], ["0xffffffffff", "0x1080000001", -1]);
});

Deno.test("no event is lost when the ring fills up, and the counters come last", () => {
  const { rig, json, lines } = traced(4);
  for (let n = 0; n < 100; n++) rig.access(n * 8192, "r");
  json.end();
  const faults = lines().filter((line) => (line as { event: string }).event === "kvm_page_fault");
  const last = lines().at(-1) as Record<string, unknown>;
  assertEquals([last.event, last.pf_fixed], ["stats", faults.length]);
  assertEquals(rig.mmu.core.trace, undefined);
});

Deno.test("a long trace is written piece by piece, in whole lines", () => {
  const rig = new Rig({}, new HostModel(1));
  rig.slot(0, 16 * MIB);
  const pieces: string[] = [];
  const write = (bytes: Uint8Array) => void pieces.push(new TextDecoder().decode(bytes));
  const json = new TraceJson(rig.mmu, write, undefined, 16);
  for (let n = 0; n < 4096; n++) rig.access(n * 4096, "w");
  assertEquals(pieces.length > 5, true);
  json.end();
  for (const piece of pieces) {
    assertEquals([piece[0], piece.at(-1), piece.length < 70_000], ["{", "\n", true]);
  }
});

Deno.test("a write that fails is reported by flush, not in the middle of a fault", () => {
  const rig = new Rig({}, new HostModel(1));
  rig.slot(0, 4 * MIB);
  const full = () => {
    throw new Error("no space left");
  };
  const json = new TraceJson(rig.mmu, full, undefined, 2);
  for (let n = 0; n < 1000; n++) rig.access(n * 4096, "w");
  assertEquals(rig.stat("pf_fixed"), 1000);
  assertThrows(() => json.flush(), Error, "no space left");
  assertThrows(() => json.end(), Error, "no space left");
});

Deno.test("a shadowed guest's walks are in the trace, between the fault and its mapping", () => {
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  rig.map(root, 0x4000_0000, 100, Flag.P | Flag.W | Flag.U);
  rig.cr3(root);
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  rig.access(0x4000_0000, "w");
  const events = trace.drain().filter(({ event }) => event !== "kvm_mmu_get_page");
  const names = events.map(({ event }) => event);
  const mapped = names.indexOf("kvm_mmu_spte_requested");
  assertEquals(names.slice(0, mapped), [
    "kvm_page_fault",
    "kvm_mmu_pagetable_walk",
    "kvm_mmu_paging_element",
    "kvm_mmu_paging_element",
    "kvm_mmu_paging_element",
    "kvm_mmu_paging_element",
    "kvm_mmu_set_accessed_bit",
    "kvm_mmu_set_dirty_bit",
  ]);
  assertEquals([events[1].addr, events[2].level, events[5].level], ["0x40000000", 4, 1]);
  rig.access(0x8000_0000, "r");
  const [error] = trace.drain().filter(({ event }) => event === "kvm_mmu_walker_error");
  assertEquals(error.pferr, "0x4");
  rig.mmu.trace = undefined;
  rig.access(0x8000_1000, "r");
  assertEquals(trace.drain(), []);
});
