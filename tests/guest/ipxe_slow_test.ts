/**
 * iPXE's ipxe.lkrn, a bzImage that starts in real mode only: SeaBIOS, our option ROM and fw_cfg boot
 * it. It unpacks itself bit by bit, which takes minutes where the host's KVM interprets ring-0 code:
 * `deno task test:guests`.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { interpretedKvm, nativeKvm } from "../support/kvm_host.ts";
import { all, testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 1_200_000;

const files = await stockFiles("seabios", "ipxe");

async function bootIpxe(): Promise<Vm> {
  const vm = await Vm.boot({
    engine: "kvm",
    bios: await stockFile("seabios"),
    kernel: await stockFile("ipxe"),
    memory: "64M",
    timeoutMs: TIMEOUT_MS,
  });
  await vm.console.expect("iPXE initialising devices...", { timeoutMs: TIMEOUT_MS });
  return vm;
}

testWith(all(nativeKvm, files), "iPXE starts, finds no network and hands back", async () => {
  await using vm = await bootIpxe();
  await vm.console.expect("Open Source Network Boot Firmware", { timeoutMs: TIMEOUT_MS });
  await vm.console.expect("No bootable device", { timeoutMs: TIMEOUT_MS });
  assertEquals(await vm.wait(), { kind: "reset" });
});

testWith(
  all(interpretedKvm, files),
  "iPXE starts, and ends in one line that names the instruction, where KVM interprets ring-0 code",
  async () => {
    await using vm = await bootIpxe();
    const outcome = await vm.wait();
    assert(outcome.kind === "failed", `found ${outcome.kind}`);
    // iret in 32-bit mode: the return from the first timer interrupt
    assertMatch(outcome.reason, /cannot emulate .* \(32-bit, CPL 0\): its bytes are cf /);
  },
);
