/** The screen of a guest that writes to a VGA's text memory, which is RAM in our PC. */

import { gpa } from "../../src/base/u64.ts";
import type { Vm } from "../../src/vm/vm.ts";

/** Color text memory of a VGA: a character and its colors for each of 25 lines of 80. */
const TEXT_MEMORY = gpa(0xb_8000);
const LINES = 25;
const COLUMNS = 80;
const CELL_BYTES = 2;
/** How often the screen is looked at, in milliseconds. */
const LOOK_MS = 100;

/** What is on the screen, a string a line. */
export function textScreen(vm: Vm): string[] {
  const cells = new Uint8Array(LINES * COLUMNS * CELL_BYTES);
  vm.memory.read(TEXT_MEMORY, cells);
  return Array.from({ length: LINES }, (_, line) => {
    const characters = Array.from({ length: COLUMNS }, (_, column) => {
      return String.fromCharCode(cells[(line * COLUMNS + column) * CELL_BYTES]);
    });
    return characters.join("").trimEnd();
  });
}

/**
 * Waits until a line of the screen matches `pattern`.
 * @throws Error with the screen when the guest ends or `timeoutMs` pass without it.
 */
export async function untilOnScreen(vm: Vm, pattern: RegExp, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  let ended = false;
  vm.wait().then(() => ended = true, () => ended = true);
  while (!textScreen(vm).some((line) => pattern.test(line))) {
    if (ended || performance.now() > deadlineMs) {
      throw new Error(`Cannot find ${pattern} on the screen:\n${textScreen(vm).join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
