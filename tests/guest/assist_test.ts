/** Instructions that the host's KVM does not know are completed by the interpreter, on a real guest. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runOn } from "../support/guest_machine.ts";
import { RegisterMmio } from "../support/guest_devices.ts";
import { testOnEngines } from "../support/engines.ts";
import { host } from "../support/kvm_host.ts";
import { testWith, toolchain } from "../support/requirement.ts";
import { bootGuest, kvmGuests } from "../support/vm_guest.ts";

testOnEngines(
  toolchain,
  "ring-0 CMPXCHG16B, x87, SSE, INT3, their faults, and SSE on device memory have the same results",
  async (engine) => {
    const device = new RegisterMmio();
    const { outcome, output } = await runOn(engine, "assist", (pc) => device.attach(pc), {
      assist: true,
    });
    assertEquals([outcome, output], [{ kind: "debug-exit", value: 0x10 }, "assist: ok\r\n"]);
  },
);

testWith(
  kvmGuests,
  "assisted instructions are counted, all of them and the most frequent by name",
  async () => {
    await using vm = await bootGuest("assist", { engine: "kvm", debugExit: true });
    assertEquals(await vm.wait(), { kind: "debug-exit", value: 0x11 });
    const { engineCounters } = vm.stats();
    const named = Object.entries(engineCounters).filter(([name]) => /^assisted_(?!ins)/.test(name));
    const sum = named.reduce((all, [, count]) => all + count, 0);
    assert(sum <= engineCounters.assisted_instructions, JSON.stringify(engineCounters));
    if (host?.ring0 !== "interpreted") return;
    assert(engineCounters.assisted_instructions >= engineCounters.internal_error_exits);
    assert(engineCounters.internal_error_exits > 0);
    assert(engineCounters.assisted_cmpxchg16b >= 3, JSON.stringify(engineCounters));
  },
);

testWith(
  kvmGuests,
  "without the assist the first such instruction ends the run in a line that has its bytes",
  async () => {
    await using vm = await bootGuest("assist", { engine: "kvm", debugExit: true, assist: false });
    const outcome = await vm.wait();
    const { engineCounters } = vm.stats();
    assertEquals("assisted_instructions" in engineCounters, false);
    // A KVM on the processor knows all that the guest does where no device keeps what is stored.
    if (host?.ring0 !== "interpreted") {
      assertEquals(outcome, { kind: "debug-exit", value: 0x11 });
      return;
    }
    assert(outcome.kind === "failed", outcome.kind);
    assertMatch(outcome.reason, /^KVM cannot emulate the instruction on vCPU 0 at RIP 0x10/);
    assertStringIncludes(outcome.reason, "48 0f c7 0c 25"); // cmpxchg16b [operand]
    assertEquals(outcome.reason.includes("\n"), false);
  },
);
