/** How runs end, with real guests. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { Vm } from "../../src/vm/vm.ts";
import { buildGuest } from "../../tools/guests.ts";
import { testOnEngines } from "../support/engines.ts";
import { toolchain } from "../support/requirement.ts";
import { bootCode, bootGuest, ENDLESS_LOOP } from "../support/vm_guest.ts";

testOnEngines(toolchain, "a guest leaves through the debug exit with its value", async (engine) => {
  await using vm = await bootGuest("hello", { engine, debugExit: true });
  assertEquals(await vm.wait(), { kind: "debug-exit", value: 0x10 });
  assertEquals(vm.console.transcript, "hello from the guest\r\n");
});

for (const [way, kind] of [["acpi-off", "power-off"], ["acpi-reset", "reset"]] as const) {
  testOnEngines(toolchain, `a guest that does ${way} ends with ${kind}`, async (engine) => {
    await using vm = await bootGuest("power", { engine, append: way, debugExit: true });
    assertEquals(await vm.wait(), { kind });
  });
}

for (const way of ["cf9", "i8042", "port92"]) {
  testOnEngines(toolchain, `a guest that resets through ${way} ends with reset`, async (engine) => {
    await using vm = await bootGuest("power", { engine, append: way, debugExit: true });
    assertEquals(await vm.wait(), { kind: "reset" });
  });
}

testOnEngines(
  toolchain,
  "firmware starts at the reset vector, with its shadow below 1 MiB",
  async (engine) => {
    const bios = await buildGuest("reset");
    await using vm = await Vm.boot({
      engine,
      bios,
      memory: "16M",
      debugExit: true,
      timeoutMs: 10_000,
    });
    assertEquals([await vm.wait(), vm.console.transcript], [
      { kind: "debug-exit", value: 0x10 },
      "reset ok\r\n",
    ]);
  },
);

testOnEngines(toolchain, "a triple fault ends the run and says where", async (engine) => {
  await using vm = await bootGuest("triple_fault", { engine });
  const outcome = await vm.wait();
  assert(outcome.kind === "triple-fault", `found ${outcome.kind}`);
  // KVM on AMD processors resets a vCPU that shut down.
  assertMatch(outcome.reason, /^Triple fault on vCPU 0.*RIP (0x[0-9a-f]+|is not known)/);
  assertEquals(vm.console.transcript, "about to fault three times\r\n");
});

testOnEngines(toolchain, "a guest that halts with interrupts off ends the run", async (engine) => {
  await using vm = await bootGuest("halt", { engine });
  assertEquals(await vm.wait(), { kind: "halted" });
});

testOnEngines(toolchain, "a guest that runs too long ends with timeout", async (engine) => {
  await using vm = await bootCode(ENDLESS_LOOP, { engine, timeoutMs: 300 });
  assertEquals(await vm.wait(), { kind: "timeout" });
  assert(vm.stats().wallSeconds < 5, `it took ${vm.stats().wallSeconds} s`);
});

testOnEngines(toolchain, "a guest in an endless loop stops when it is told to", async (engine) => {
  await using vm = await bootGuest("endless_loop", { engine });
  await vm.console.expect("looping\r\n");
  const before = performance.now();
  assertEquals(await vm.stop(), { kind: "stopped" });
  const ms = performance.now() - before;
  assert(ms < 1000, `it took ${ms} ms`);
  Deno.stdout.writeSync(new TextEncoder().encode(`stopped after ${ms.toFixed(1)} ms `));
  assertEquals(await vm.stop(), { kind: "stopped" });
});

testOnEngines(
  toolchain,
  "disposing a Vm ends its guest, and expect fails at once",
  async (engine) => {
    const vm = await bootGuest("endless_loop", { engine });
    const waiting = assertRejects(() => vm.console.expect("login:"), DenovisorError);
    await vm.console.expect("looping\r\n");
    await vm[Symbol.asyncDispose]();
    assertEquals((await waiting).code, "guest-ended");
    assertEquals(await vm.wait(), { kind: "stopped" });
  },
);

testOnEngines(toolchain, "an image that cannot be booted is an error of boot", async (engine) => {
  const error = await assertRejects(() => bootCode([], { engine }), DenovisorError);
  assertEquals(error.code, "image");
});
