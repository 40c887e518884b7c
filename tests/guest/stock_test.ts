/**
 * Stock guests from Debian packages. Where the host's KVM interprets ring-0 code a kernel ends at an
 * instruction that the interpreter lacks; the names of the tests say which host they are for.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { initramfs } from "../../src/cli/debian/initramfs.ts";
import { READY_LINE } from "../../src/cli/debian/init.ts";
import type { VmOptions } from "../../src/vm/options.ts";
import { Vm } from "../../src/vm/vm.ts";
import { interpretedKvm, nativeKvm } from "../support/kvm_host.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { testOnEngines } from "../support/engines.ts";
import { all, testWith } from "../support/requirement.ts";
import { assertLinuxStart, COMMAND_LINE, linuxElf } from "../support/linux.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds; a busy host that interprets kernels is slow. */
const TIMEOUT_MS = 300_000;

const cloudKernel = await stockFiles("linuxCloud", "busybox");
const seabios = await stockFiles("seabios");
const memtest = await stockFiles("memtest");

testOnEngines(
  seabios,
  "SeaBIOS prints its banner and finds no bootable device",
  async (engine) => {
    const bios = await stockFile("seabios");
    await using vm = await Vm.boot({ engine, bios, memory: "64M", timeoutMs: TIMEOUT_MS });
    await vm.console.expect(/SeaBIOS \(version [\w.-]+\)/, { timeoutMs: TIMEOUT_MS });
    await vm.console.expect("No bootable device", { timeoutMs: TIMEOUT_MS });
    assertEquals(await vm.wait(), { kind: "reset" });
  },
);

testWith(
  all(kvmEngine, cloudKernel),
  "Debian's kernel (ELF) takes our memory map, command line and ACPI tables as they are",
  async () => {
    await using vm = await Vm.boot({
      engine: "kvm",
      kernel: await linuxElf(),
      append: COMMAND_LINE,
      memory: "160M",
      timeoutMs: TIMEOUT_MS,
    });
    const { before } = await vm.console.expect("Using ACPI (MADT)", { timeoutMs: TIMEOUT_MS });
    assertLinuxStart(before, [
      "[mem 0x0000000000000000-0x000000000009fbff] usable",
      "[mem 0x000000000009fc00-0x00000000000fffff] reserved",
      "[mem 0x0000000000100000-0x0000000009ffffff] usable",
      "[mem 0x00000000feffc000-0x00000000feffffff] reserved",
    ]);
    for (const table of ["RSDP", "XSDT", "FACP", "DSDT", "FACS", "APIC"]) {
      assertMatch(before, new RegExp(`ACPI: ${table} 0x[0-9A-F]{16} [0-9A-F]{6}`));
    }
    const complaints = before.match(/.*ACPI.*(?:error|warning|bug|invalid|incorrect|fail).*/gi);
    assertEquals(complaints, null);
    // With MTRRs off, Linux would go without PAT as well.
    assertMatch(before, /x86\/PAT: Configuration \[0-7\]: WB {2}WC {2}UC- UC/);
  },
);

for (const form of ["bzImage", "ELF"] as const) {
  testWith(
    all(nativeKvm, cloudKernel),
    `Debian's kernel (${form}) boots to a shell on native KVM and powers off`,
    () => useShell("kvm", form, 2),
  );
}

testWith(
  cloudKernel,
  "Debian's kernel (ELF) boots to a shell on the wasm engine and powers off",
  () => useShell("wasm", "ELF", 1),
);

/** Boots to a shell, types, and powers off. */
async function useShell(
  engine: "kvm" | "wasm",
  form: "bzImage" | "ELF",
  cpus: number,
): Promise<void> {
  const busybox = await Deno.readFile(await stockFile("busybox"));
  await using vm = await Vm.boot({
    engine,
    kernel: form === "ELF" ? await linuxElf() : await stockFile("linuxCloud"),
    initrd: initramfs(busybox),
    append: engine === "kvm" ? COMMAND_LINE : "console=ttyS0 panic=-1",
    memory: "512M",
    cpus,
    timeoutMs: TIMEOUT_MS,
  });
  await vm.console.expect(`${READY_LINE}: Linux`, { timeoutMs: TIMEOUT_MS });
  await vm.console.sendLine("echo $((6 * 7)) is $(nproc)");
  await vm.console.expect(`42 is ${cpus}`, { timeoutMs: TIMEOUT_MS });
  await vm.console.sendLine("poweroff");
  assertEquals(await vm.wait(), { kind: "power-off" });
}

testWith(
  all(interpretedKvm, memtest),
  "memtest86+ ends in one line that names the instruction, where KVM interprets ring-0 code",
  async () => {
    await using vm = await bootMemtest({ assist: false });
    const outcome = await vm.wait();
    assert(outcome.kind === "failed", `found ${outcome.kind}`);
    // fwait; fninit: the x87 set-up with which memtest86+ begins
    assertMatch(outcome.reason, /cannot emulate .* at RIP 0x[0-9a-f]+ .*bytes are 9b db e3/);
  },
);

testWith(
  all(nativeKvm, memtest),
  "memtest86+ draws its screen on the serial console, on native KVM",
  async () => {
    await using vm = await bootMemtest();
    await vm.console.expect("Memtest86+", { timeoutMs: TIMEOUT_MS });
  },
);

async function bootMemtest(options: VmOptions = {}): Promise<Vm> {
  return await Vm.boot({
    engine: "kvm",
    kernel: await stockFile("memtest"),
    append: "console=ttyS0,115200",
    memory: "64M",
    timeoutMs: TIMEOUT_MS,
    ...options,
  });
}
