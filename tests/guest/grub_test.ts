/** GRUB's firmware image for QEMU, from Debian's package, with a menu on the serial console. */

import { assertEquals } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { withGrubConfig } from "../support/grub_image.ts";
import { testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";

/** A bound against hanging, in milliseconds; it takes some ten seconds. */
const TIMEOUT_MS = 300_000;
const prompt = { timeoutMs: TIMEOUT_MS };

/** Waits in GRUB are loops that look at the time, as the virtual clock has it: there is none here. */
const CONFIG = `serial --unit=0
terminal_input serial
terminal_output serial
set timeout=-1
menuentry "Leave it" { true }
menuentry "Say a word" { echo "GRUB says a word" }
`;
const CTRL_N = "\x0e"; // the next entry
/** To the ACPI control register: SLP_EN, and S5's sleep type, which is 0. */
const POWER_OFF = "outw 0x604 0x2000";

testWith(
  await stockFiles("grub"),
  "GRUB draws its menu on the serial console, and takes a choice and commands, on the wasm engine",
  async () => {
    await using vm = await Vm.boot({
      engine: "wasm",
      bios: withGrubConfig(await Deno.readFile(await stockFile("grub")), CONFIG),
      memory: "64M",
      timeoutMs: TIMEOUT_MS,
    });
    await vm.console.expect(/GNU GRUB {2}version \d/, prompt);
    await vm.console.expect("*Leave it", prompt);
    await vm.console.expect(" Say a word", prompt);
    await vm.console.send(CTRL_N);
    await vm.console.expect("*Say a word", prompt);
    await vm.console.send("\r");
    await vm.console.expect("GRUB says a word", prompt);
    await vm.console.expect("*Leave it", prompt); // the menu again
    await vm.console.send("c");
    await vm.console.expect("grub> ", prompt);
    await vm.console.sendLine("set answer=42; echo it is $answer");
    await vm.console.expect("it is 42", prompt);
    await vm.console.expect("grub> ", prompt);
    await vm.console.sendLine(POWER_OFF);
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);
