/**
 * The end-to-end proof of the KVM engine where the host's KVM interprets ring-0 code and lacks some
 * instructions: about a quarter of an hour on a quiet machine, and seconds where KVM runs guest
 * kernels on the processor. `deno task test:guests`.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { READY_LINE } from "../../src/cli/debian/init.ts";
import { initramfs } from "../../src/cli/debian/initramfs.ts";
import { Vm } from "../../src/vm/vm.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { host } from "../support/kvm_host.ts";
import { linuxElf } from "../support/linux.ts";
import { all, testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds: other tests may run at the same time. */
const TIMEOUT_MS = 7_200_000;

testWith(
  all(kvmEngine, await stockFiles("linuxCloud", "busybox")),
  "Debian's kernel boots to a shell on KVM, with what this KVM lacks completed by the interpreter",
  async () => {
    await using vm = await Vm.boot({
      engine: "kvm",
      kernel: await linuxElf(),
      initrd: initramfs(await Deno.readFile(await stockFile("busybox"))),
      append: "console=ttyS0 panic=-1",
      memory: "256M",
      timeoutMs: TIMEOUT_MS,
    });
    await vm.console.expect(`${READY_LINE}: Linux`, { timeoutMs: TIMEOUT_MS });
    // The shell, awk and their kernel: x87, SSE, signals, pipes.
    await vm.console.sendLine("echo 10 4 | awk '{ print \"quotient\", $1 / $2 }'");
    await vm.console.expect("quotient 2.5", { timeoutMs: TIMEOUT_MS });
    await vm.console.sendLine("poweroff");
    assertEquals(await vm.wait(), { kind: "power-off" });
    const { engineCounters } = vm.stats();
    assertMatch(vm.console.transcript, /Power down/);
    if (host?.ring0 !== "interpreted") return;
    assert(engineCounters.assisted_cmpxchg16b > 1000, JSON.stringify(engineCounters));
  },
);
