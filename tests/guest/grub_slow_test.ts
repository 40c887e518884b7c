/**
 * GRUB's firmware image for QEMU as Debian's package has it. Its screen is a VGA's text memory, and
 * it counts down for ten seconds: `deno task test:guests`.
 */

import { assertStringIncludes } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { testWith } from "../support/requirement.ts";
import { stockFile, stockFiles } from "../support/stock.ts";
import { textScreen, untilOnScreen } from "../support/text_screen.ts";

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 1_200_000;

testWith(
  await stockFiles("grub"),
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
