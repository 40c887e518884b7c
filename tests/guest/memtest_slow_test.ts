/**
 * memtest86+ on the wasm engine, as Debian's package has it. A test of all the memory takes minutes:
 * `deno task test:guests`.
 */

import { assertEquals } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 3_000_000;

/**
 * Its screen on COM1, no measurement of the memory's speed, no wait for a choice of settings, no
 * search for USB keyboards.
 */
const OPTIONS = "console=ttyS0,115200 nobench nopause keyboard=legacy";
/** The test that begins when those we wait for have ended; test 1 is too short to be drawn. */
const LAST = 4;
const LIMIT = { timeoutMs: TIMEOUT_MS };

/** Boots it, and goes by its screen until it says what its memory and processors are. */
async function begin(cpus: number, smp: string): Promise<Vm> {
  await using unlessBegun = new AsyncDisposableStack();
  const vm = unlessBegun.use(
    await Vm.boot({
      engine: "wasm",
      kernel: await stockFile("memtest"),
      append: OPTIONS,
      memory: "64M",
      cpus,
      clock: "real", // the screen is drawn by the second
      timeoutMs: TIMEOUT_MS,
    }),
  );
  await vm.console.expect(/#0 +\[Address test, walking ones, no cache\]/, LIMIT);
  await vm.console.expect(`CPU: ${cpus} Cores ${cpus} Threads`, LIMIT);
  await vm.console.expect(smp, LIMIT);
  await vm.console.expect("[60MB of 63.6MB]", LIMIT);
  unlessBegun.move();
  return vm;
}

/** All that it has said of errors so far is that there is none. */
function assertNoErrors(vm: Vm): void {
  const counts = vm.console.transcript.matchAll(/Errors: +(\d+)/g);
  assertEquals(new Set(counts.map(([, count]) => count)), new Set(["0"]));
}

for (const [cpus, smp] of [[1, "SMP: Disabled"], [2, "SMP: 2T (PAR)"]] as const) {
  testWith(
    await stockFiles("memtest"),
    `memtest86+ runs its tests 0 to 3 over 64 MiB without an error with ${cpus} vCPUs`,
    async () => {
      await using vm = await begin(cpus, smp);
      await vm.console.expect(new RegExp(`#${LAST} +\\[`), LIMIT);
      await vm.console.expect("Errors:", LIMIT);
      assertNoErrors(vm);
    },
  );
}

testWith(
  await stockFiles("memtest"),
  "memtest86+ completes a pass over 64 MiB without an error",
  async () => {
    await using vm = await begin(1, "SMP: Disabled");
    await vm.console.expect(/#10 +\[Bit fade test, 2 patterns\]/, LIMIT);
    await vm.console.expect(/Pass: +1 +Errors: +0 /, LIMIT);
    assertNoErrors(vm);
  },
);
