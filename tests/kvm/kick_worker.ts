/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * Kicks an engine from another thread in bursts, so that kicks come while the engine takes one; after
 * each burst it waits until the last has been seen.
 */

import { KvmControl, KvmKicker } from "../../src/engine/kvm/control.ts";
import { type KickJob, KickState } from "./kick_job.ts";

/** A kick that has not been seen for so long is lost, in milliseconds. */
const LOST_MS = 10_000;

self.onmessage = ({ data: { control, bursts, words } }: MessageEvent<KickJob>) => {
  using kicker = new KvmKicker(KvmControl.attach(control));
  let state: number = KickState.FINISHED;
  for (let burst = 0; burst < bursts && state === KickState.FINISHED; burst++) {
    for (let kick = 0; kick <= burst % 4; kick++) {
      Atomics.add(words, 1, 1);
      kicker.kick();
      pause(burst % 50);
    }
    if (!seen(words)) state = KickState.LOST;
  }
  Atomics.store(words, 2, state);
  kicker.kick();
  self.postMessage("done");
  self.close();
};

function seen(words: Int32Array<SharedArrayBuffer>): boolean {
  const sent = Atomics.load(words, 1);
  for (let last = Atomics.load(words, 0); last !== sent; last = Atomics.load(words, 0)) {
    if (Atomics.wait(words, 0, last, LOST_MS) === "timed-out") return false;
  }
  return true;
}

/** About `turns` times 10 ns. */
function pause(turns: number): void {
  const word = new Int32Array(1);
  for (let turn = 0; turn < turns; turn++) Atomics.add(word, 0, 1);
}
