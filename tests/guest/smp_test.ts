/** Guests with several vCPUs, and guests that live by timer interrupts. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { VmOutcome } from "../../src/vm/vm.ts";
import { testWith } from "../support/requirement.ts";
import { bootGuest, kvmGuests } from "../support/vm_guest.ts";

const PASSED: VmOutcome = { kind: "debug-exit", value: 0x10 };

for (const cpus of [2, 4]) {
  testWith(
    kvmGuests,
    `a guest starts ${cpus} processors, which work at the same time`,
    async () => {
      await using vm = await bootGuest("smp", { cpus, debugExit: true });
      assertEquals(await vm.wait(), PASSED, vm.console.transcript);
      const started = cpus - 1;
      assertStringIncludes(
        vm.console.transcript,
        `smp: ${started} started, counter ${started * 1000}, ${started} interrupts\r\n`,
      );
    },
  );
}

testWith(kvmGuests, "a guest with several processors stops when it is told to", async () => {
  await using vm = await bootGuest("endless_loop", { cpus: 3 });
  await vm.console.expect("looping");
  assertEquals(await vm.stop(), { kind: "stopped" });
});

testWith(kvmGuests, "a guest is halted for good when the others were never started", async () => {
  await using vm = await bootGuest("halt", { cpus: 2 });
  assertEquals(await vm.wait(), { kind: "halted" });
});

testWith(kvmGuests, "every timer of the PC interrupts the guest", async () => {
  await using vm = await bootGuest("timer", { debugExit: true });
  assertEquals(await vm.wait(), PASSED, vm.console.transcript);
});
