/** Guests with several vCPUs, and guests that live by timer interrupts. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { VmOutcome } from "../../src/vm/vm.ts";
import { testOnEngines } from "../support/engines.ts";
import { toolchain } from "../support/requirement.ts";
import { bootGuest } from "../support/vm_guest.ts";

const PASSED: VmOutcome = { kind: "debug-exit", value: 0x10 };

for (const cpus of [2, 4]) {
  testOnEngines(
    toolchain,
    `a guest starts ${cpus} processors, which work at the same time`,
    async (engine) => {
      await using vm = await bootGuest("smp", { engine, cpus, debugExit: true });
      assertEquals(await vm.wait(), PASSED, vm.console.transcript);
      const started = cpus - 1;
      assertStringIncludes(
        vm.console.transcript,
        `smp: ${started} started, counter ${started * 1000}, ${started} interrupts\r\n`,
      );
    },
  );
}

testOnEngines(
  toolchain,
  "a guest with several processors stops when it is told to",
  async (engine) => {
    await using vm = await bootGuest("endless_loop", { engine, cpus: 3 });
    await vm.console.expect("looping");
    assertEquals(await vm.stop(), { kind: "stopped" });
  },
);

testOnEngines(
  toolchain,
  "a guest is halted for good when the others were never started",
  async (engine) => {
    await using vm = await bootGuest("halt", { engine, cpus: 2 });
    assertEquals(await vm.wait(), { kind: "halted" });
  },
);

testOnEngines(toolchain, "every timer of the PC interrupts the guest", async (engine) => {
  await using vm = await bootGuest("timer", { engine, debugExit: true });
  assertEquals(await vm.wait(), PASSED, vm.console.transcript);
});
