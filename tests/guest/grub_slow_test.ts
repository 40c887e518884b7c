/**
 * GRUB as firmware, from Debian's package of its image for QEMU: `deno task test:guests`.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { withGrubConfig } from "../support/grub_image.ts";
import { testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";
import { textScreen, untilOnScreen } from "../support/text_screen.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 1_200_000;
const prompt = { timeoutMs: TIMEOUT_MS };

const grub = await stockFiles("grub");

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
  grub,
  "GRUB's firmware image as it comes draws its menu, counts down and tries its entries",
  async () => {
    await using vm = await Vm.boot({
      engine: "wasm",
      bios: await stockFile("grub"),
      memory: "64M",
      clock: "real", // GRUB counts seconds in a loop
      timeoutMs: TIMEOUT_MS,
    });
    await untilOnScreen(vm, /GNU GRUB {2}version \d/, TIMEOUT_MS);
    await untilOnScreen(vm, /will be executed automatically in \d+s/, TIMEOUT_MS);
    assertStringIncludes(textScreen(vm).join("\n"), "*Search & load /boot/multiboot.img");
    await untilOnScreen(vm, /error: file `\/boot\/multiboot.img' not found\./, TIMEOUT_MS);
  },
);

testWith(
  grub,
  "GRUB's firmware image with a menu on the serial console takes a choice and commands",
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
    await vm.console.expect("*Say a word", prompt);
    await vm.console.send("c");
    await vm.console.expect("grub> ", prompt);
    await vm.console.sendLine("set answer=42; echo it is $answer");
    await vm.console.expect("it is 42", prompt);
    await vm.console.expect("grub> ", prompt);
    await vm.console.sendLine(POWER_OFF);
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);
