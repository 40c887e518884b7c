/** Guests that make new code for ever, with little memory for translations. */

import { assert, assertEquals } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { guestPath } from "../../tools/guests.ts";
import { testWith, toolchain } from "../support/requirement.ts";
import { GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

const JIT_BYTES = 1024 ** 2;
/** The largest that one batch of translations of this guest may be. */
const BATCH_BYTES = 64 * 1024;
/** The guest prints a dot for so many functions. */
const PER_DOT = 1024;

for (
  const [memory, dots, what, translated] of [
    ["64M", 4, "new pages", 0.9],
    // What is overwritten again and again must run longer before it is translated once more.
    ["4M", 3, "the same few pages", 0.5],
  ] as const
) {
  testWith(
    toolchain,
    `a guest that writes code to ${what} for ever has its translations within --jit-memory`,
    async () => {
      await using vm = await Vm.boot({
        engine: "wasm",
        kernel: await guestPath("generator"),
        memory,
        jitMemory: JIT_BYTES,
        debugExit: true,
        timeoutMs: GUEST_TIMEOUT_MS,
      });
      await vm.console.expect(".".repeat(dots), { timeoutMs: GUEST_TIMEOUT_MS });
      assertEquals(await vm.stop(), { kind: "stopped" });
      const { jit_regions, jit_dropped, jit_bytes } = vm.stats().engineCounters;
      assert(jit_regions > PER_DOT * dots * translated, `${jit_regions} regions`);
      assert(jit_dropped > jit_regions / 2, `${jit_dropped} of ${jit_regions} given up`);
      assert(jit_bytes < JIT_BYTES + BATCH_BYTES, `${jit_bytes} bytes`);
    },
  );
}
