/**
 * The end-to-end proof of the KVM engine where the host's KVM interprets ring-0 code and lacks some
 * instructions: a quarter of an hour, and seconds where KVM runs guest kernels on the processor.
 * `deno task test:guests`.
 */

import { assert, assertEquals } from "@std/assert";
import { READY_LINE } from "../../src/cli/debian/init.ts";
import { initramfs } from "../../src/cli/debian/initramfs.ts";
import { Vm } from "../../src/vm/vm.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { host } from "../support/kvm_host.ts";
import { kvmSystemCalls } from "../support/kvm_syscall.ts";
import { linuxElf } from "../support/linux.ts";
import { all, testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds: other tests may run at the same time. */
const TIMEOUT_MS = 7_200_000;

/**
 * Leaves out what takes an interpreted kernel minutes each: lists of tracing's, certificates, and
 * the watchdog, which takes such a kernel for one that hangs.
 */
const COMMAND_LINE = "console=ttyS0 panic=-1 nowatchdog mitigations=off initcall_blacklist=" +
  "load_system_certificate_list,trace_eval_init,ftrace_check_for_weak_functions,tracer_init_tracefs";

const cloudKernel = await stockFiles("linuxCloud", "busybox");

async function bootDebian(): Promise<Vm> {
  return await Vm.boot({
    engine: "kvm",
    kernel: await linuxElf(),
    initrd: initramfs(await Deno.readFile(await stockFile("busybox"))),
    append: COMMAND_LINE,
    memory: "256M",
    timeoutMs: TIMEOUT_MS,
  });
}

testWith(
  all(kvmEngine, cloudKernel),
  "Debian's kernel comes to its init on KVM, with what this KVM lacks completed by the interpreter",
  async () => {
    await using vm = await bootDebian();
    await vm.console.expect("Run /init as init process", { timeoutMs: TIMEOUT_MS });
    await vm.stop();
    const { engineCounters } = vm.stats();
    if (host?.ring0 !== "interpreted") return;
    assert(engineCounters.assisted_instructions > 100_000, JSON.stringify(engineCounters));
  },
);

testWith(
  all(kvmSystemCalls, cloudKernel),
  "Debian's kernel boots to a shell on KVM, which runs what is typed",
  async () => {
    await using vm = await bootDebian();
    await vm.console.expect(`${READY_LINE}: Linux`, { timeoutMs: TIMEOUT_MS });
    await vm.console.sendLine("echo 10 4 | awk '{ print \"quotient\", $1 / $2 }'");
    await vm.console.expect("quotient 2.5", { timeoutMs: TIMEOUT_MS });
    await vm.console.sendLine("poweroff");
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);
