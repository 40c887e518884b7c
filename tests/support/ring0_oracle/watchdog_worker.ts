/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The watchdog's own thread: looks whether the case that runs is still the same. */

import { KvmControl, KvmKicker } from "../../../src/engine/kvm/control.ts";
import { type WatchdogJob, WatchdogWord } from "./watchdog.ts";

/** A case that is met again after so long has no end: thousands of others take as long. */
const LIMIT_MS = 100;

self.onmessage = ({ data: { control, words } }: MessageEvent<WatchdogJob>) => {
  using kicker = new KvmKicker(KvmControl.attach(control));
  let last = 0;
  for (;;) {
    const running = Atomics.load(words, WatchdogWord.RUNNING);
    if (Atomics.load(words, WatchdogWord.END) !== 0) break;
    if (running === last) {
      Atomics.store(words, WatchdogWord.KICKED, running);
      kicker.kick();
    }
    last = running;
    // Nobody notifies before the end: a look every so often.
    Atomics.wait(words, WatchdogWord.END, 0, LIMIT_MS);
  }
  self.close();
};
