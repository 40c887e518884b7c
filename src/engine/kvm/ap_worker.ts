/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The thread of one vCPU other than 0: runs it, and hands every exit to the engine's thread. It
 * lives in shared words (control.ts) and system calls; messages only start and end it.
 */

import { asDenovisorError } from "../../base/errors.ts";
import type { ApFinished, ApStart } from "./ap_threads.ts";
import { ApCommand, type ApSlot, ApState, IMMEDIATE_EXIT, KvmControl } from "./control.ts";
import { Errno } from "./errno.ts";
import { Ioctl } from "./ioctls.ts";
import { Shim } from "./shim.ts";

const KVM_RUN = Ioctl.RUN;
const EINTR = -Errno.EINTR;
/** The vCPU came out of its wait for INIT or a start-up interrupt (SDM 3A §8.4.3): run it again. */
const EAGAIN = -Errno.EAGAIN;

self.onmessage = (event: MessageEvent<ApStart>) => {
  self.postMessage(serve(event.data));
  self.close();
};

function serve({ control: buffer, index }: ApStart): ApFinished {
  try {
    using shim = Shim.open();
    const control = KvmControl.attach(buffer);
    const slot = control.slot(index);
    slot.thread = shim.symbols.kvm_shim_thread_id();
    slot.waitWhileCommand(ApCommand.WAIT);
    // From here on the engine waits for this thread before it closes anything.
    slot.state = ApState.RUNNING;
    if (slot.command !== ApCommand.STOP) runVcpu(shim, control, slot);
    slot.state = ApState.DONE;
    return { type: "finished" };
  } catch (error) {
    return { type: "error", error: asDenovisorError(error).toMessage() };
  }
}

function runVcpu({ symbols }: Shim, control: KvmControl, slot: ApSlot): void {
  const immediateExit = byteAt(symbols.kvm_shim_region_address(
    slot.region,
    BigInt(IMMEDIATE_EXIT),
    1n,
  ));
  const fd = slot.fd;
  for (let command = slot.command; command !== ApCommand.STOP; command = slot.command) {
    if (command === ApCommand.PARK) {
      slot.state = ApState.PARKED;
      slot.waitWhileCommand(ApCommand.PARK);
      slot.state = ApState.RUNNING;
      continue;
    }
    const result = symbols.kvm_shim_ioctl(fd, KVM_RUN, 0);
    if (result === EINTR) Atomics.store(immediateExit, 0, 0); // before the command is read again
    if (result === EINTR || result === EAGAIN) continue;
    slot.result = result;
    slot.state = ApState.PENDING;
    control.interruptEngine(symbols);
    while (slot.state === ApState.PENDING) slot.waitWhileState(ApState.PENDING);
  }
}

function byteAt(address: bigint): Uint8Array {
  const pointer = Deno.UnsafePointer.create(address);
  if (address < 0n || pointer === null) throw new Error("Cannot find kvm_run: the region is gone");
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 1));
}
