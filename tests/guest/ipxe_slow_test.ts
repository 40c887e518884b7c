/**
 * iPXE's ipxe.lkrn, a bzImage that starts in real mode only: SeaBIOS, our option ROM and fw_cfg boot
 * it, and SeaBIOS' services are its console on the serial port. It unpacks itself bit by bit, which
 * takes minutes where the host's KVM interprets ring-0 code: `deno task test:guests`.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { VmOptions } from "../../src/vm/options.ts";
import { Vm } from "../../src/vm/vm.ts";
import { interpretedKvm, nativeKvm } from "../support/kvm_host.ts";
import { all, testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 1_200_000;
const limit = { timeoutMs: TIMEOUT_MS };

const files = await stockFiles("seabios", "ipxe");

async function bootIpxe(options: VmOptions): Promise<Vm> {
  const vm = await Vm.boot({
    bios: await stockFile("seabios"),
    kernel: await stockFile("ipxe"),
    memory: "64M",
    // It measures the time between interrupts, for random numbers.
    ...(options.engine === "wasm" ? { clock: "real" } : {}),
    timeoutMs: TIMEOUT_MS,
    ...options,
  });
  await vm.console.expect("iPXE initialising devices...", limit);
  return vm;
}

for (const [engine, needs] of [["kvm", all(nativeKvm, files)], ["wasm", files]] as const) {
  testWith(needs, `iPXE starts, finds no network and hands back (${engine})`, async () => {
    await using vm = await bootIpxe({ engine });
    await vm.console.expect("ok\r\n", limit);
    await vm.console.expect("Open Source Network Boot Firmware", limit);
    await vm.console.expect("No more network devices", limit);
    await vm.console.expect("No bootable device", limit);
    assertEquals(await vm.wait(), { kind: "reset" });
  });

  testWith(needs, `iPXE's command line takes commands from the console (${engine})`, async () => {
    await using vm = await bootIpxe({ engine });
    await vm.console.expect("Press Ctrl-B", limit);
    await vm.console.send("\x02");
    await vm.console.expect("iPXE> ", limit);
    // SeaBIOS fetches what was typed at a timer tick, and has room for 15 characters.
    await vm.console.sendLine("set a 42");
    await vm.console.expect("iPXE> ", limit);
    await vm.console.sendLine("echo is ${a}");
    await vm.console.expect("is 42", limit);
    await vm.console.expect("iPXE> ", limit);
    await vm.console.sendLine("reboot");
    assertEquals(await vm.wait(), { kind: "reset" });
  });
}

testWith(
  all(interpretedKvm, files),
  "iPXE starts, and ends in one line that names the instruction, where KVM interprets ring-0 code",
  async () => {
    await using vm = await bootIpxe({ engine: "kvm", assist: false });
    const outcome = await vm.wait();
    assert(outcome.kind === "failed", `found ${outcome.kind}`);
    // iret in 32-bit mode: the return from the first timer interrupt
    assertMatch(outcome.reason, /cannot emulate .* \(32-bit, CPL 0\): its bytes are cf /);
  },
);
