/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** Kicks an engine from another thread, again and again, each time once the last kick has been seen. */

import { KvmControl, KvmKicker } from "../../src/engine/kvm/control.ts";

/** A kick that has not been seen for so long is lost, in milliseconds. */
const LOST_MS = 10_000;

export interface KickJob {
  readonly control: SharedArrayBuffer;
  readonly kicks: number;
  /** Word 0: kicks that the engine has seen; 1: kicks sent, or -1 when one was lost. */
  readonly words: Int32Array<SharedArrayBuffer>;
}

self.onmessage = ({ data: { control, kicks, words } }: MessageEvent<KickJob>) => {
  using kicker = new KvmKicker(KvmControl.attach(control));
  for (let sent = 0; sent < kicks; sent++) {
    Atomics.store(words, 1, sent + 1);
    kicker.kick();
    if (Atomics.wait(words, 0, sent, LOST_MS) === "timed-out") {
      Atomics.store(words, 1, -1);
      break;
    }
  }
  self.postMessage("done");
  self.close();
};
