/** What the profile of a run says. */

import { assert, assertEquals } from "@std/assert";
import { Vm, type VmOptions } from "../../src/mod.ts";
import type { VmProfile } from "../../src/vm/profile.ts";
import { guestPath } from "../../tools/guests.ts";
import { testWith, toolchain } from "../support/requirement.ts";
import { GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

/** How long a guest runs. */
const RUN_MS = 400;
/** sti; hlt, and again: nothing interrupts it. */
const SLEEP = Uint8Array.of(0xfb, 0xf4, 0xeb, 0xfc);

/** The profile of a guest that never ends by itself, and the seconds that it ran. */
async function profileOf(
  options: VmOptions,
): Promise<{ profile: VmProfile | undefined; wallSeconds: number }> {
  await using vm = await Vm.boot({ engine: "wasm", timeoutMs: GUEST_TIMEOUT_MS, ...options });
  await new Promise((go) => setTimeout(go, RUN_MS));
  await vm.stop();
  return vm.stats();
}

/** Asserts that most of the time went to one of them, and that all together are the run's time. */
async function assertMost(options: VmOptions, most: keyof VmProfile): Promise<void> {
  const { profile, wallSeconds } = await profileOf({ ...options, profile: true });
  const shown = `${JSON.stringify(profile)} in ${wallSeconds} s`;
  const all = Object.values(profile!).reduce((sum, seconds) => sum + seconds, 0);
  assert(profile![most] > all / 2, shown);
  assert(all > wallSeconds * 0.7 && all < wallSeconds * 1.3, shown);
}

testWith(toolchain, "the profile says whether code is translated or interpreted", async () => {
  const kernel = await guestPath("endless_loop");
  await assertMost({ kernel }, "translated");
  await assertMost({ kernel, jitMemory: 0 }, "interpreter");
});

Deno.test("the profile of a guest that sleeps is idle", async () => {
  await assertMost({ kernel: SLEEP, clock: "real" }, "idle");
});

Deno.test("nobody looks without the option profile", async () => {
  assertEquals((await profileOf({ kernel: SLEEP })).profile, undefined);
});
