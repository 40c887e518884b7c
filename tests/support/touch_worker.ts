/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** One of several threads that write their own bytes of every page, all at the same time. */

import { gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { GuestMemory, type GuestMemoryHandle } from "../../src/memory/guest_memory.ts";

/** What such a thread gets. */
interface Touch {
  readonly memory: GuestMemoryHandle;
  /** Counts the threads that are there; all begin when the last one is. */
  readonly start: Int32Array;
  readonly index: number;
  readonly count: number;
}

self.onmessage = ({ data: { memory: handle, start, index, count } }: MessageEvent<Touch>) => {
  const memory = GuestMemory.attach(handle);
  Atomics.add(start, 0, 1);
  Atomics.notify(start, 0);
  for (let there = Atomics.load(start, 0); there < count; there = Atomics.load(start, 0)) {
    Atomics.wait(start, 0, there);
  }
  for (let at = 0; at < memory.ramBytes; at += PAGE_SIZE) memory.writeU32(gpa(at + index * 4), at);
  let wrong = 0;
  for (let at = 0; at < memory.ramBytes; at += PAGE_SIZE) {
    if (memory.readU32(gpa(at + index * 4)) !== at) wrong++;
  }
  self.postMessage(wrong);
};
