/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The pager's thread: waits for faults on guest memory and serves them. It never touches that memory
 * itself: nobody would bring it in. It lives in shared words and system calls; messages only start
 * and end it.
 */

import { asDenovisorError, DenovisorError } from "../../../base/errors.ts";
import { KvmControl } from "../control.ts";
import { Errno, errnoName } from "../errno.ts";
import { Scratch } from "../scratch.ts";
import { Shim } from "../shim.ts";
import { PagerControl, PagerState } from "./control.ts";
import { Pager } from "./pager.ts";
import type { PagerFinished, PagerStart } from "./pager_thread.ts";
import { Userfaultfd } from "./userfaultfd.ts";

/** Bits of what poll says: a fault waits, someone has rung. */
const FAULTS = 1, BELL = 2;
/** poll(2): without a limit. */
const FOREVER = -1;
/** A trace that nothing is added to for so many milliseconds is written to its file. */
const FLUSH_MS = 50;

self.onmessage = (event: MessageEvent<PagerStart>) => {
  self.postMessage(serve(event.data));
  self.close();
};

function serve(start: PagerStart): PagerFinished {
  const control = new PagerControl(start.control);
  using shim = Shim.open();
  using uffd = new Userfaultfd(shim, start.uffd);
  try {
    control.thread = shim.symbols.kvm_shim_thread_id();
    control.state = PagerState.RUNNING;
    using pager = new Pager(shim, uffd, control, start.pager);
    serveFaults(shim, uffd, pager, control, start);
    control.state = PagerState.DONE;
    return { type: "finished" };
  } catch (error) {
    // The guest is stopped first: from then on it may find zeros where its memory should be.
    KvmControl.attach(start.kvm).fail(shim.symbols);
    for (const { address, sizeBytes } of start.ranges) uffd.unregister(address, sizeBytes);
    control.state = PagerState.FAILED;
    return { type: "error", error: asDenovisorError(error).toMessage() };
  }
}

function serveFaults(
  shim: Shim,
  uffd: Userfaultfd,
  pager: Pager,
  control: PagerControl,
  start: PagerStart,
): void {
  using scratch = new Scratch(shim);
  const dirty = new Uint32Array(start.dirty);
  let isFlushed = true;
  while (!control.stopped) {
    const ready = shim.symbols.kvm_shim_poll(uffd.fd, start.bell, isFlushed ? FOREVER : FLUSH_MS);
    if (ready === -Errno.EINTR) continue;
    if (ready < 0) throw broken("wait for", ready);
    if (ready === 0) {
      pager.flushTrace();
      isFlushed = true;
    }
    if ((ready & FAULTS) !== 0) {
      const count = uffd.read();
      if (count < 0) throw broken("read", count);
      for (let i = 0; i < count; i++) {
        if (uffd.isFault(i)) pager.serve(uffd.address(i), uffd.flags(i));
      }
      isFlushed = !pager.isTraced;
    }
    if ((ready & BELL) !== 0) {
      scratch.tryRead(start.bell); // which resets it
      const request = control.pending;
      if (request !== 0) {
        pager.takeDirtyLog(dirty);
        control.answer(request);
      }
    }
  }
  // The time since the last call, for those who ask later.
  if (start.pager.logDirty) pager.takeDirtyLog(dirty);
  pager.endTrace();
}

function broken(what: string, result: number): DenovisorError {
  const reason = `the kernel answered ${errnoName(-result)}`;
  return new DenovisorError("pager", `Cannot ${what} faults on guest memory: ${reason}`);
}
