/** Completes instructions that the host's KVM does not know, on the vCPU's state. */

import { asDenovisorError } from "../../base/errors.ts";
import { CpuState, Event, NO_VECTOR } from "../../cpu/state.ts";
import { Assisted, type InstructionAssist } from "../assist.ts";
import type { KvmStateAccess } from "./kvm_state.ts";

/** #UD (SDM 3A §6.15). */
const UD = 6;
/** Names of instructions in the statistics at most. */
const MAX_NAMES = 8;

/** What is needed once an instruction has come. */
interface Made {
  readonly assist: InstructionAssist;
  readonly before: CpuState;
  readonly after: CpuState;
}

/** The assist of one engine; there is nothing of it but this object until it is needed. */
export class KvmAssist {
  readonly #make: () => InstructionAssist;
  readonly #state: KvmStateAccess;
  #reason = "";
  #made: Made | undefined;

  constructor(make: () => InstructionAssist, state: KvmStateAccess) {
    this.#make = make;
    this.#state = state;
  }

  /** Why the last instruction was not completed. */
  get reason(): string {
    return this.#reason;
  }

  /** Completes the instruction at which KVM has given up. The other vCPUs are to stand still. */
  complete(index: number, fd: number): Assisted {
    try {
      const { assist, before, after } = this.#made ??= {
        assist: this.#make(),
        before: new CpuState(),
        after: new CpuState(),
      };
      this.#state.read(fd, before);
      // Besides the exit KVM has queued this for the guest.
      if (before.event(Event.EXCEPTION) === UD) before.setEvent(Event.EXCEPTION, NO_VECTOR);
      const result = assist.complete(index, before, after);
      this.#reason = assist.reason;
      if (result === Assisted.DONE) this.#state.writeChanges(fd, before, after);
      return result;
    } catch (error) {
      this.#reason = asDenovisorError(error).message;
      return Assisted.REFUSED;
    }
  }

  /** How many instructions have been carried out, and the most frequent of them by name. */
  stats(): Record<string, number> {
    const counts = [...this.#made?.assist.counts ?? []].sort(([, a], [, b]) => b - a);
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    const named = counts.slice(0, MAX_NAMES).map(([name, count]) => [`assisted_${name}`, count]);
    return { assisted_instructions: all, ...Object.fromEntries(named) };
  }
}
