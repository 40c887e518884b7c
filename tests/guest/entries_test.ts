/** Every way into a kernel, checked by the guest itself; what it prints is checked here. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Vm, type VmOutcome } from "../../src/vm/vm.ts";
import { type GuestName, guestPath } from "../../tools/guests.ts";
import { testOnEngines } from "../support/engines.ts";
import { all, always, toolchain } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";
import { bootGuest, GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

const PASSED: VmOutcome = { kind: "debug-exit", value: 0x10 };

/** The map of a guest with 32 MiB. */
const MAP = [
  "[mem 0x0000000000000000-0x000000000009fbff] usable",
  "[mem 0x000000000009fc00-0x00000000000fffff] reserved",
  "[mem 0x0000000000100000-0x0000000001ffffff] usable",
  "[mem 0x00000000feffc000-0x00000000feffffff] reserved",
];

/** Two initrds with 1000 bytes of 7 and 13 of 200: sums 0x1b58 and 0xa28. */
const INITRDS = [new Uint8Array(1000).fill(7), new Uint8Array(13).fill(200)];

interface Way {
  readonly guest: GuestName;
  /** The line that says that the entry was right. */
  readonly entered: string;
  /** The command line as the guest sees "one two". */
  readonly commandLine: RegExp;
  /** What it says of `INITRDS`. */
  readonly initrds: RegExp;
}

const MODULES =
  /Module: \[0x[0-9a-f]{5}000-0x[0-9a-f]{5}3e7\] sum 0x00001b58.*\r\nModule: \[0x[0-9a-f]{5}000-0x[0-9a-f]{5}00c\] sum 0x00000a28/;
const INITRD = /Initrd: \[0x[0-9a-f]{5}000-0x[0-9a-f]{5}3f4\] sum 0x00002580\r\n$/;

const WAYS: readonly Way[] = [
  {
    guest: "entry32",
    entered: "entry32: entered as Multiboot says",
    commandLine: /Command line: \S+ one two\r\n/,
    initrds: MODULES,
  },
  {
    guest: "entry32_pvh",
    entered: "entry32_pvh: entered as PVH says",
    commandLine: /Command line: one two\r\n/,
    initrds: MODULES,
  },
  {
    guest: "entry32_linux",
    entered: "entered in 32-bit mode as the boot protocol says",
    commandLine: /Command line: one two\r\n/,
    initrds: INITRD,
  },
  {
    guest: "entry64",
    entered: "entered in 64-bit mode as the boot protocol says",
    commandLine: /Command line: one two\r\n/,
    initrds: INITRD,
  },
  {
    guest: "entry64_elf",
    entered: "entered in 64-bit mode as the boot protocol says",
    commandLine: /Command line: one two\r\n/,
    initrds: INITRD,
  },
];

for (const { guest, entered, commandLine, initrds } of WAYS) {
  testOnEngines(toolchain, `${guest} finds its entry as the protocol says`, async (engine) => {
    await using vm = await bootGuest(guest, {
      engine,
      append: "one two",
      initrd: INITRDS,
      memory: "32M",
      debugExit: true,
    });
    const outcome = await vm.wait();
    const { transcript } = vm.console;
    assertEquals(outcome, PASSED, transcript);
    assertEquals(transcript.split("\r\n")[0], entered);
    assertMatch(transcript, commandLine);
    assertMatch(transcript, initrds);
    assertEquals(transcript.match(/\[mem .*/g), MAP);
  });
}

testOnEngines(toolchain, "entry16 finds its entry as a BIOS would make it", async (engine) => {
  await using vm = await bootGuest("entry16", { engine, debugExit: true });
  assertEquals([await vm.wait(), vm.console.transcript], [PASSED, "entry16 ok\r\n"]);
});

testOnEngines(
  all(toolchain, await stockFiles("seabios")),
  "firmware boots a kernel with its initrds from fw_cfg, in real mode",
  async (engine) => {
    await using vm = await Vm.boot({
      engine,
      bios: await stockFile("seabios"),
      kernel: await guestPath("entry64"),
      initrd: INITRDS,
      append: "one two",
      memory: "32M",
      debugExit: true,
      timeoutMs: GUEST_TIMEOUT_MS,
    });
    const outcome = await vm.wait();
    const { transcript } = vm.console;
    assertEquals(outcome, PASSED, transcript);
    for (const mode of ["real", "32-bit", "64-bit"]) {
      assertStringIncludes(transcript, `entered in ${mode} mode as the boot protocol says\r\n`);
    }
    assertStringIncludes(transcript, "Command line: one two\r\n");
    assertMatch(transcript, INITRD);
  },
);

testOnEngines(toolchain, "echo sends back every byte but the last", async (engine) => {
  await using vm = await bootGuest("echo", { engine, debugExit: true });
  await vm.console.expect("ready\r\n");
  const bytes = Array.from({ length: 2000 }, (_, i) => (i * 7 + 5) % 256);
  const sent = Uint8Array.from(bytes.filter((byte) => byte !== 4));
  vm.console.send(sent);
  vm.console.send(Uint8Array.of(4));
  assertEquals(await vm.wait(), PASSED);
  const received = new Uint8Array(await new Response(vm.console.readable).arrayBuffer());
  assertEquals(received.subarray("ready\r\n".length), sent);
});

testOnEngines(always, "the built-in guest describes its machine and powers off", async (engine) => {
  await using vm = await Vm.boot({
    engine,
    append: "auto",
    memory: "48M",
    cpus: 3,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  assertEquals(await vm.wait(), { kind: "power-off" }, vm.console.transcript);
  const lines = vm.console.transcript.split("\r\n");
  assertEquals(lines.slice(0, 3), [
    "denovisor built-in guest: 64-bit mode, 4-level paging",
    "Command line: built-in guest auto",
    "Boot loader: denovisor",
  ]);
  assertStringIncludes(vm.console.transcript, "Usable memory: 48767 KiB\r\n");
  assertStringIncludes(vm.console.transcript, "Processors in the ACPI tables: 3\r\n");
  assertMatch(vm.console.transcript, /Time-stamp counter: \d+\.\d{3} MHz \(.+\)\r\n/);
  assertEquals(lines.slice(-2), ["Powering off through ACPI", ""]);
});

testOnEngines(
  always,
  "the built-in guest echoes lines until it is told to quit",
  async (engine) => {
    await using vm = await Vm.boot({ engine, memory: "16M", timeoutMs: GUEST_TIMEOUT_MS });
    await vm.console.expect("> ");
    vm.console.send("helo\x7flo\r");
    await vm.console.expect("You typed: hello\r\n> ");
    vm.console.send("quit\r");
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);
