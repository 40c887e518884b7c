import { assertEquals } from "@std/assert";
import { describeOutcome } from "../../../src/machine/outcome.ts";

Deno.test("every outcome is described in one line", () => {
  const reason = "Triple fault on vCPU 0 at RIP 0x10";
  const lines = [
    describeOutcome({ kind: "power-off" }),
    describeOutcome({ kind: "reset" }),
    describeOutcome({ kind: "debug-exit", value: 16 }),
    describeOutcome({ kind: "halted" }),
    describeOutcome({ kind: "triple-fault", reason }),
    describeOutcome({ kind: "failed", reason: "KVM cannot run vCPU 0: EFAULT" }),
    describeOutcome({ kind: "stopped" }),
    describeOutcome({ kind: "timeout" }),
  ];
  assertEquals(lines, [
    "Guest powered off",
    "Guest reset itself",
    "Guest left through the debug-exit port with value 16",
    "Guest halted with interrupts off",
    reason,
    "Guest run failed: KVM cannot run vCPU 0: EFAULT",
    "Guest stopped",
    "Guest ran out of its time",
  ]);
});
