/**
 * Debian's other kernels on the wasm engine, as they come: general, real-time and 32-bit ones. They
 * take minutes: `deno task test:guests`.
 */

import { assertEquals } from "@std/assert";
import { unpackKernel } from "../../src/boot/mod.ts";
import { READY_LINE } from "../../src/cli/debian/init.ts";
import { initramfs } from "../../src/cli/debian/initramfs.ts";
import { Vm } from "../../src/vm/vm.ts";
import { installedLinux, installLinux } from "../support/installed_linux.ts";
import { linuxElf } from "../support/linux.ts";
import { testWith } from "../support/requirement.ts";
import { stockFile, stockFiles, type StockName } from "../support/stock.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 2_400_000;

testWith(
  await installedLinux(),
  "Debian's general kernel (ELF) reaches the (initramfs) prompt of the initrd made at its installation",
  async () => {
    const { kernel, initrd } = await installLinux();
    await using vm = await Vm.boot({
      engine: "wasm",
      kernel: await unpackKernel({ name: kernel, bytes: await Deno.readFile(kernel) }),
      initrd,
      append: "console=ttyS0", // with panic=, the initrd's scripts open no shell
      memory: "1G",
      timeoutMs: TIMEOUT_MS,
    });
    // No root device is named: the scripts wait for none, and give up.
    const prompt = { timeoutMs: TIMEOUT_MS };
    await vm.console.expect(
      "No root device specified. Boot arguments must include a root=",
      prompt,
    );
    await vm.console.expect("(initramfs) ", prompt);
    await vm.console.sendLine("echo $((6 * 7)) is $(uname -r)");
    await vm.console.expect(/42 is \d+\.\d+\.\d+-\d+-amd64\r\n/, prompt);
    await vm.console.expect("(initramfs) ", prompt);
    await vm.console.sendLine("poweroff -f");
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);

testWith(
  await stockFiles("linuxRt", "busybox"),
  "Debian's real-time kernel (ELF) boots to a shell and powers off",
  async () => {
    await useShell(await linuxElf("linuxRt"), "busybox", /-rt-amd64 .*PREEMPT_RT .*x86_64/);
  },
);

for (const [name, flavour] of [["linux686", "686"], ["linux686Pae", "686-pae"]] as const) {
  testWith(
    await stockFiles(name, "busybox386"),
    `Debian's 32-bit kernel ${flavour} (bzImage) boots to a shell and powers off`,
    async () => {
      const version = new RegExp(`-${flavour} .* i686`);
      await useShell(await stockFile(name), "busybox386", version);
    },
  );
}

/** Boots to a shell whose `uname -a` matches `version`, and powers off. */
async function useShell(
  kernel: string | Uint8Array,
  busybox: StockName,
  version: RegExp,
): Promise<void> {
  await using vm = await Vm.boot({
    engine: "wasm",
    kernel,
    initrd: initramfs(await Deno.readFile(await stockFile(busybox))),
    append: "console=ttyS0 panic=-1",
    memory: "512M",
    timeoutMs: TIMEOUT_MS,
  });
  await vm.console.expect(`${READY_LINE}: Linux`, { timeoutMs: TIMEOUT_MS });
  await vm.console.sendLine("uname -a");
  await vm.console.expect(version, { timeoutMs: TIMEOUT_MS });
  await vm.console.sendLine("poweroff");
  assertEquals(await vm.wait(), { kind: "power-off" });
}
