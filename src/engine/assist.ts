/**
 * Help for an engine whose host gives up on an instruction: something else that knows it completes
 * it on the vCPU's state, and the host goes on behind it.
 */

import type { CpuState } from "../cpu/state.ts";

/** What came of an instruction. */
export const Assisted = {
  /** It has been carried out, or its exception has been delivered. */
  DONE: 0,
  /** It cannot be completed here, either; `reason` says why. */
  REFUSED: 1,
  /** Triple fault, which `reason` describes. */
  SHUTDOWN: 2,
} as const;
export type Assisted = typeof Assisted[keyof typeof Assisted];

/** Completes instructions. */
export interface InstructionAssist {
  /**
   * Carries out the instruction at RIP of vCPU `vcpu`, and maybe some that follow it, on `before` and
   * on guest memory. All other vCPUs stand still meanwhile: so accesses are atomic, whatever their
   * width.
   * @param before The vCPU's state. It comes back spelled as `after` is, so that the two differ only
   * in what has been changed.
   * @param after Where the state behind what was carried out goes; void unless DONE.
   */
  complete(vcpu: number, before: CpuState, after: CpuState): Assisted;
  /** REFUSED: a clause; SHUTDOWN: a line. */
  readonly reason: string;
  /** How many instructions have been carried out, by the manual's names in lower case. */
  readonly counts: ReadonlyMap<string, number>;
}
