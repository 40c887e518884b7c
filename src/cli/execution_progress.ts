/** How far a guest is that has not said anything yet: a line that rewrites itself on a terminal. */

import type { Vm } from "../vm/vm.ts";
import type { VmStats } from "../vm/stats.ts";
import type { Voice } from "./voice.ts";

/** The line is rewritten so often. */
const INTERVAL_MS = 250;

/** The line, from the start of a guest to its first output. */
export class ExecutionProgress implements Disposable {
  readonly #voice: Voice;
  readonly #timer: number;
  #ended = false;

  private constructor(vm: Vm, voice: Voice) {
    this.#voice = voice;
    let before = vm.stats();
    this.#timer = setInterval(() => {
      const now = vm.stats();
      voice.rewrite(progressLine(before, now));
      before = now;
    }, INTERVAL_MS);
  }

  /** A line on stderr, when that is a terminal and the engine counts instructions. */
  static of(vm: Vm, voice: Voice): ExecutionProgress | undefined {
    const wanted = vm.engine.name === "wasm" && Deno.stderr.isTerminal();
    return wanted ? new ExecutionProgress(vm, voice) : undefined;
  }

  /** The guest has said something: the line goes. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    this.#voice.rewrite("");
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

/** Instructions a second between two looks, and the guest's time at the second. */
export function progressLine(before: VmStats, now: VmStats): string {
  const seconds = now.wallSeconds - before.wallSeconds;
  const rate = seconds > 0 ? (now.instructions - before.instructions) / seconds / 1e6 : 0;
  return `No output yet: ${rate.toFixed(1)} million instructions a second, ` +
    `guest time ${now.guestSeconds.toFixed(2)} s`;
}
