/**
 * Running on an engine that calls the machine's bus: in slices that end when a device is due, at the
 * very instruction where the clock counts instructions, and often enough to see signals.
 */

import { Activity } from "../engine/activity.ts";
import { type BusEngine, ExitCode } from "../engine/engine.ts";
import type { Irqchip } from "../platform/irqchip/irqchip.ts";
import { Runner, type RunnerParts } from "./runner.ts";
import { raised, Signal } from "./signals.ts";
import { Counter } from "./stats.ts";
import type { MachineOutcome } from "./outcome.ts";

/** From here on a clock's nanoseconds are not exact any more: 104 days. */
const MAX_GUEST_NS = Number.MAX_SAFE_INTEGER;

/** Runs one guest on a `BusEngine`. */
export class SliceRunner extends Runner {
  readonly #engine: BusEngine;
  readonly #irqchip: Irqchip;
  /** What the thread is at: `Activity`. */
  readonly #activity: Int32Array;
  /** The deadline that the slice was measured by. */
  #deadlineNs = -Infinity;
  /** `retired` when the guest last waited. */
  #waitedAt = -1;

  constructor(
    engine: BusEngine,
    parts: RunnerParts,
    irqchip: Irqchip,
    activity: Int32Array,
  ) {
    super(engine, parts);
    this.#engine = engine;
    this.#irqchip = irqchip;
    this.#activity = activity;
  }

  override step(): void {
    const { clock, counters } = this;
    const engine = this.#engine;
    this.#deadlineNs = this.#nextDeadlineNs();
    const code = engine.run(clock.budget(this.#deadlineNs));
    this.#activity[0] = Activity.DEVICES;
    this.#deadlineNs = -Infinity; // no slice to limit
    counters[code]++;
    if (code === ExitCode.HALT) this.#wait();
    if (raised(this.signals, Signal.INPUT)) clock.input();
    this.take(code);
    const nowNs = clock.nowNs();
    counters[Counter.INSTRUCTIONS] = engine.retired;
    counters[Counter.GUEST_NS] = nowNs;
    if (nowNs >= this.#nextDeadlineNs()) this.poll();
    if (nowNs > MAX_GUEST_NS) {
      this.end({ kind: "failed", reason: "104 days of guest time are over" });
    }
  }

  override end(outcome: MachineOutcome): void {
    super.end(outcome);
    this.#engine.kick();
  }

  /** A vCPU is about to access a device. Called in the middle of an instruction. */
  access(): void {
    // Time has gone nearer to the deadline than the slice's instructions say.
    if (this.clock.access()) this.#shorten(this.#nextDeadlineNs());
  }

  /** A deadline may have moved. Called in the middle of an instruction: the slice may be too long now. */
  hurry(): void {
    const deadlineNs = this.#nextDeadlineNs();
    if (deadlineNs < this.#deadlineNs) this.#shorten(deadlineNs);
  }

  #shorten(deadlineNs: number): void {
    this.#deadlineNs = deadlineNs;
    // The instruction under way is the first of them.
    this.#engine.limit(this.clock.budget(deadlineNs) - 1);
  }

  protected override poll(): void {
    this.pc.poll();
    this.#irqchip.poll();
  }

  /** No vCPU can run until a device brings an interrupt. */
  #wait(): void {
    const deadlineNs = this.#nextDeadlineNs();
    const { retired } = this.#engine;
    // To look at each wait would cost more than the wait; who came here without an instruction
    // since the last one was not woken by that.
    const suspicious = deadlineNs === Infinity || retired === this.#waitedAt;
    this.#waitedAt = retired;
    if (suspicious && this.endIfHalted()) return;
    this.#activity[0] = Activity.IDLE;
    this.clock.idle(deadlineNs, this.signals);
    this.#activity[0] = Activity.DEVICES;
  }

  #nextDeadlineNs(): number {
    return Math.min(this.pc.nextDeadlineNs(), this.#irqchip.nextDeadlineNs());
  }
}
