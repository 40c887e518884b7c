/** Waiting on shared memory without blocking the thread. */

/** Deno wakes its event loop for `Atomics.waitAsync` since 2.7.6 (denoland/deno#14786). */
const WAKES = isAtLeast(Deno.version.deno, [2, 7, 6]);
/** Between two turns of an event loop that is not woken, in milliseconds. */
const TURN_MS = 1;

/**
 * Resolves when someone notifies `words[index]`, or at once when it is not `value`. Like
 * `Atomics.waitAsync` this does not keep the event loop running.
 */
export async function waitAsync(words: Int32Array, index: number, value: number): Promise<void> {
  const result = Atomics.waitAsync(words, index, value);
  if (!result.async) return;
  if (WAKES) {
    await result.value;
    return;
  }
  const turning = setInterval(() => {}, TURN_MS);
  Deno.unrefTimer(turning);
  await result.value.finally(() => clearInterval(turning));
}

/** Whether `version`, "2.7.11" or "2.8.0-rc.1", is `least` or later. */
export function isAtLeast(version: string, least: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number);
  const differs = least.findIndex((part, i) => parts[i] !== part);
  return differs < 0 || parts[differs] > least[differs];
}
