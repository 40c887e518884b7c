/** Our guests, and our option ROM, under QEMU: they must be right before they judge denovisor. */

import { assertEquals, assertMatch } from "@std/assert";
import { linuxbootRom } from "../../src/platform/linuxboot/linuxboot.ts";
import { type GuestName, guestPath } from "../../tools/guests.ts";
import { qemuGuests, runQemu } from "../support/qemu.ts";
import { all, testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** Exit statuses of the debug exit. */
const PASSED = 33;
const PASSED_WITHOUT_DEVICE = 35;
/** QEMU's own, after a power-off, and after a reset with -no-reboot. */
const OFF = 0;

interface Run {
  readonly guest: GuestName;
  readonly status: number;
  /** Matches the output with control characters in caret notation. */
  readonly output: RegExp;
  readonly args?: readonly string[];
  readonly typed?: { readonly prompt: string; readonly input: string };
}

const RUNS: readonly Run[] = [
  { guest: "hello", status: PASSED, output: /^hello from the guest\r\n$/ },
  {
    guest: "demo",
    status: OFF,
    args: ["-append", "auto", "-smp", "2"],
    output:
      /^denovisor built-in guest: 64-bit.*Usable memory: \d{6} KiB.*ACPI tables: 2\r.* MHz \(.*Port write: \d+ ns\r\nPowering off through ACPI\r\n$/s,
  },
  {
    guest: "demo",
    status: OFF,
    typed: { prompt: "powers off\r\n> ", input: "helo\x7flo\rquit\r" },
    output: /> helo\^H \^Hlo\r\nYou typed: hello\r\n> quit\r\nPowering off through ACPI\r\n$/,
  },
  {
    guest: "demo",
    status: OFF,
    typed: { prompt: "powers off\r\n> ", input: "forgotten\x15\x04" },
    output: /> forgotten(\^H \^H){9}\r\nPowering off through ACPI\r\n$/,
  },
  {
    guest: "echo",
    status: PASSED,
    typed: { prompt: "ready\r\n", input: "a\r\n\x00\x7f\x1b[A\x04" },
    output: /^ready\r\na\r\n\^@\^\?\^\[\[A$/,
  },
  { guest: "power", status: OFF, args: ["-append", "acpi-off"], output: /^acpi-off\r\n$/ },
  {
    guest: "power",
    status: OFF,
    args: ["-append", "acpi-reset", "-machine", "q35"],
    output: /^acpi-reset\r\n$/,
  },
  { guest: "power", status: OFF, args: ["-append", "cf9"], output: /^cf9\r\n$/ },
  { guest: "power", status: OFF, args: ["-append", "i8042"], output: /^i8042\r\n$/ },
  { guest: "power", status: OFF, args: ["-append", "port92"], output: /^port92\r\n$/ },
  { guest: "power", status: 65, args: ["-append", "magic"], output: /names no way/ },
  { guest: "exception", status: 255, output: /exception 0x00000006, error code 0x00000000/ },
  {
    guest: "exception",
    status: 255,
    args: ["-append", "pf"],
    output: /exception 0x0000000e, error code 0x00000000.*cr2 0x0000123456789000/,
  },
  { guest: "triple_fault", status: OFF, output: /^about to fault three times\r\n$/ },
  { guest: "entry32", status: PASSED, args: ["-append", "a b"], output: / a b\r\n.*usable/s },
  { guest: "entry32_pvh", status: PASSED, args: ["-append", "a b"], output: / a b\r\n.*usable/s },
  {
    guest: "entry32_linux",
    status: PASSED,
    args: ["-append", "a b"],
    output: /^entered in real.*entered in 32-bit.*: a b\r\n.*Initrd: none\r\n$/s,
  },
  {
    guest: "entry64",
    status: PASSED,
    args: ["-append", "a b"],
    output: /entered in 32-bit.*entered in 64-bit.*: a b\r\n.*Initrd: none\r\n$/s,
  },
  {
    guest: "ports",
    status: PASSED_WITHOUT_DEVICE,
    output: /^ports: the PC answers\r\nports: no test device\r\n$/,
  },
  // With that much memory there is RAM where the test device should be, which is as good for loads
  // and stores.
  {
    guest: "mmio",
    status: PASSED_WITHOUT_DEVICE,
    args: ["-m", "3500M"],
    output: /^mmio: ok; accesses were not counted\r\n$/,
  },
  { guest: "mmio", status: 65, output: /^mmio: check 0x00000020 fails\r\n$/ },
  { guest: "mmio_top", status: PASSED_WITHOUT_DEVICE, output: /^(mmio_top: 0x\S+ nobody\r\n){3}$/ },
  {
    guest: "smp",
    status: PASSED,
    args: ["-smp", "4"],
    output: /^smp: 4 .*(processor [123] runs\r\n){3}smp: 3 started, counter 3000, 3 inter/s,
  },
  { guest: "smp", status: 65, output: /check 0x00000020 fails/ },
  { guest: "timer", status: PASSED, output: /8259A\r\n.*I\/O APIC\r\n.*one shot\r\n.*timer: ok/s },
];

for (const { guest, status, output, args = [], typed } of RUNS) {
  const how = [...args, typed === undefined ? "" : JSON.stringify(typed.input)].join(" ").trim();
  testWith(qemuGuests, `QEMU runs ${guest}${how === "" ? "" : ` (${how})`}`, async () => {
    const run = await runQemu(["-kernel", await guestPath(guest), ...args], { typed });
    assertMatch(visible(run.output), output);
    assertEquals(run.status, status, run.output);
  });
}

/** Control characters, but for line ends, as ^A to ^_ and ^?. */
function visible(text: string): string {
  return Array.from(text, (char) => {
    const code = char.charCodeAt(0);
    if (code === 0x7f) return "^?";
    return code >= 0x20 || char === "\r" || char === "\n"
      ? char
      : `^${String.fromCharCode(code + 64)}`;
  }).join("");
}

testWith(qemuGuests, "QEMU runs reset as its firmware", async () => {
  const run = await runQemu(["-bios", await guestPath("reset")]);
  assertEquals(run, { status: PASSED, output: "reset ok\r\n" });
});

testWith(qemuGuests, "QEMU runs entry16 as a boot sector", async () => {
  const drive = `file=${await guestPath("entry16")},format=raw,if=floppy,readonly=on`;
  const run = await runQemu(["-drive", drive]);
  assertEquals(run, { status: PASSED, output: "entry16 ok\r\n" });
});

testWith(qemuGuests, "our option ROM boots a kernel from QEMU's fw_cfg", async () => {
  await using folder = await romFolder();
  const initrd = `${folder.path}/initrd`;
  await Deno.writeFile(initrd, new Uint8Array(100_000).fill(3));
  const kernel = await guestPath("entry64");
  const run = await runQemu(
    ["-L", folder.path, "-kernel", kernel, "-append", "by our ROM", "-initrd", initrd],
  );
  assertMatch(
    run.output,
    /^entered in real.*in 32-bit.*in 64-bit.*: by our ROM\r\n.*sum 0x000493e0\r\n$/s,
  );
  assertEquals(run.status, PASSED, run.output);
});

testWith(
  all(qemuGuests, await stockFiles("ipxe")),
  "our option ROM boots iPXE from QEMU's fw_cfg",
  async () => {
    await using folder = await romFolder();
    const run = await runQemu(
      ["-L", folder.path, "-kernel", await stockFile("ipxe"), "-machine", "graphics=off"],
      { until: /iPXE initialising devices\.\.\.ok/ },
    );
    assertMatch(run.output, /initialising devices\.\.\.ok/);
  },
);

/** A folder in which QEMU looks first for the ROM that it gives the firmware with -kernel. */
async function romFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir();
  await Deno.writeFile(`${path}/linuxboot_dma.bin`, linuxbootRom());
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
