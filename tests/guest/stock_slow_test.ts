/**
 * Stock guests that take minutes where the host's KVM interprets ring-0 code:
 * `deno task test:guests`.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { initramfs } from "../../src/cli/debian/initramfs.ts";
import { READY_LINE } from "../../src/cli/debian/init.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { interpretedKvm } from "../support/kvm_host.ts";
import { assertLinuxStart, COMMAND_LINE, linuxElf } from "../support/linux.ts";
import { all, testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 1_200_000;

const cloudKernel = await stockFiles("linuxCloud", "busybox");

testWith(
  all(kvmEngine, cloudKernel),
  "Debian's kernel (bzImage) unpacks itself and finds RAM on both sides of the 32-bit hole",
  async () => {
    await using vm = await Vm.boot({
      engine: "kvm",
      kernel: await stockFile("linuxCloud"),
      append: COMMAND_LINE,
      memory: "3200M",
      timeoutMs: TIMEOUT_MS,
    });
    const { before } = await vm.console.expect("bootconsole", { timeoutMs: TIMEOUT_MS });
    assertLinuxStart(before, [
      "[mem 0x0000000000000000-0x000000000009fbff] usable",
      "[mem 0x000000000009fc00-0x00000000000fffff] reserved",
      "[mem 0x0000000000100000-0x00000000bfffffff] usable",
      "[mem 0x00000000feffc000-0x00000000feffffff] reserved",
      "[mem 0x0000000100000000-0x0000000107ffffff] usable",
    ]);
  },
);

testWith(
  all(interpretedKvm, cloudKernel),
  "Debian's kernel ends in one line that names the instruction, where KVM interprets ring-0 code",
  async () => {
    await using vm = await Vm.boot({
      engine: "kvm",
      kernel: await linuxElf(),
      append: COMMAND_LINE,
      memory: "160M",
      assist: false,
      timeoutMs: TIMEOUT_MS,
    });
    const outcome = await vm.wait();
    assert(outcome.kind === "failed", `found ${outcome.kind}`);
    // lock cmpxchg16b: the memory allocator's
    assertMatch(outcome.reason, /cannot emulate .* at RIP 0xffffffff[0-9a-f]+ .*f0 48 0f c7/);
    assertEquals(outcome.reason.includes("\n"), false);
  },
);

testWith(
  cloudKernel,
  "Debian's kernel (bzImage) boots on the wasm engine with four vCPUs and shadow tables",
  async () => {
    await using vm = await Vm.boot({
      engine: "wasm",
      mmu: "shadow",
      kernel: await stockFile("linuxCloud"),
      initrd: initramfs(await Deno.readFile(await stockFile("busybox"))),
      append: "console=ttyS0 panic=-1",
      memory: "512M",
      cpus: 4,
      timeoutMs: TIMEOUT_MS,
    });
    await vm.console.expect(`${READY_LINE}: Linux`, { timeoutMs: TIMEOUT_MS });
    await vm.console.sendLine("echo there are $(nproc)");
    await vm.console.expect("there are 4", { timeoutMs: TIMEOUT_MS });
    await vm.console.sendLine("poweroff");
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);
