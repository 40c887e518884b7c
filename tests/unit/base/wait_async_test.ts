import { assertEquals } from "@std/assert";
import { isAtLeast, waitAsync } from "../../../src/base/wait_async.ts";

Deno.test("a word that has changed already is not waited for", async () => {
  await waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
});

Deno.test("a word is waited for until someone notifies it", async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  let woken = false;
  const waiting = waitAsync(words, 0, 0).then(() => woken = true);
  const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
  await pause();
  assertEquals(woken, false);
  Atomics.notify(words, 0);
  while (!woken) await pause();
  await waiting;
});

Deno.test("versions compare by number", () => {
  const least = [2, 7, 6];
  for (const version of ["2.7.6", "2.7.11", "2.8.0", "3.0.0", "2.10.0-rc.1"]) {
    assertEquals(isAtLeast(version, least), true, version);
  }
  for (const version of ["2.5.0", "2.7.5", "2.6.10", "1.46.3"]) {
    assertEquals(isAtLeast(version, least), false, version);
  }
});
