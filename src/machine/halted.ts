/** Whether a guest that waits can ever go on. */

import { type CpuState, Event, MpState, State } from "../cpu/state.ts";
import type { Vcpu } from "../engine/engine.ts";

/** RFLAGS.IF (SDM 1 §3.4.3). */
const RFLAGS_IF = 1n << 9n;
/** Event.NMI, bit 0: one is pending. */
const NMI_PENDING = 1;

/**
 * True when every vCPU is halted with interrupts off, or waits for another one to start it.
 * `state` is overwritten.
 */
export function haltedForGood(vcpus: readonly Vcpu[], state: CpuState): boolean {
  for (const vcpu of vcpus) {
    vcpu.readState(state);
    const mpState = state.event(Event.MP_STATE);
    if (mpState === MpState.RUNNABLE) return false;
    if (mpState !== MpState.HALTED) continue;
    if ((state.get(State.RFLAGS) & RFLAGS_IF) !== 0n) return false;
    if ((state.event(Event.NMI) & NMI_PENDING) !== 0) return false;
  }
  return true;
}
