import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { Vm } from "../../src/vm/vm.ts";
import { cli, said, temporaryFolder } from "../support/cli.ts";
import { flatGuest, leave, load, store, sweep } from "../support/paging_guest.ts";
import { testWith } from "../support/requirement.ts";
import { pagedGuests } from "../support/userfaultfd.ts";
import { GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

const MIB = 1024 ** 2;

type Event = Readonly<Record<string, unknown>>;

function events(text: string): Event[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

function ofKind(all: readonly Event[], name: string): Event[] {
  return all.filter(({ event }) => event === name);
}

testWith(pagedGuests, "the trace has every fault of the guest, in order, with time", async () => {
  await using folder = await temporaryFolder();
  const trace = `${folder.path}/trace.jsonl`;
  await using vm = await Vm.boot({
    kernel: flatGuest(sweep(16 * MIB, 17 * MIB), load(20 * MIB), leave(1)),
    memory: { size: "64M", paging: "mmu", dirtyLog: true, trace },
    engine: "kvm",
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  assertEquals(await vm.wait(), { kind: "debug-exit", value: 1 });
  const all = events(await Deno.readTextFile(trace));
  assertEquals(all[0], { time_ns: 0, event: "trace_begin", version: 1 });
  assertEquals(ofKind(all, "memslot").map(({ npages, flags }) => [npages, flags]), [[16384, 1]]);
  // The sweep's 256 pages, one by one.
  const written = ofKind(all, "kvm_page_fault").map((event) => Number(event.fault_address))
    .filter((address) => address >= 16 * MIB && address < 17 * MIB);
  assertEquals(written, Array.from({ length: 256 }, (_, page) => 16 * MIB + page * 4096));
  const mapped = ofKind(all, "kvm_mmu_set_spte");
  assertEquals(new Set(mapped.map(({ level }) => level)), new Set([1]));
  const times = all.map((event) => event.time_ns as number);
  assertEquals(times, times.toSorted((a, b) => a - b));
  const last = all[all.length - 1];
  assertEquals([last.event, last.pf_fixed], ["stats", vm.stats().mmuCounters.pf_fixed]);
});

testWith(pagedGuests, "boot --trace mmu=FILE makes what mmu report shows", async () => {
  await using folder = await temporaryFolder();
  const kernel = `${folder.path}/kernel`;
  await Deno.writeFile(kernel, flatGuest(load(32 * MIB), store(40 * MIB, 1), leave(1)));
  const args = ["boot", "--kernel", kernel, "--memory", "64M", "--debug-exit"];
  const run = await cli([...args, "--trace", "mmu=trace"], { cwd: folder.path });
  assertEquals(run.status, 3, run.stderr);
  const shown = await cli(["mmu", "report", "trace"], { cwd: folder.path });
  assertEquals([shown.status, shown.stderr], [0, ""]);
  const page = await Deno.readTextFile(`${folder.path}/trace.html`);
  assertMatch(page, /Write, not mapped/);
  assertMatch(page, /in pages of 2 MiB/);
  const onStderr = await cli([...args, "--trace", "mmu"], { cwd: folder.path });
  assertEquals(onStderr.status, 3);
  const lines = said(onStderr).filter((line) => line.startsWith("{"));
  assertEquals(ofKind(events(lines.join("\n")), "stats").length, 1);
});

testWith(
  pagedGuests,
  "a trace that cannot be written ends the run and names the file",
  async () => {
    for (
      const [path, reason] of [["/no/such/folder/trace", "No such file"], ["/dev/full", "space"]]
    ) {
      const error = await assertRejects(async () => {
        await using vm = await Vm.boot({
          kernel: flatGuest(sweep(16 * MIB, 48 * MIB), leave(1)),
          memory: { size: "64M", paging: "mmu", dirtyLog: true, trace: path },
          engine: "kvm",
          debugExit: true,
          timeoutMs: GUEST_TIMEOUT_MS,
        });
        await vm.wait();
      }, DenovisorError);
      assertEquals(error.code, "file");
      assertMatch(error.message, new RegExp(`^Cannot write the trace ${path}: .*${reason}`));
    }
  },
);
