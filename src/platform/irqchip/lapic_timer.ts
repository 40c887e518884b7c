/**
 * The local APIC's timer (SDM 3A §10.5.4). Its clock ticks once a nanosecond, before the divider;
 * nothing ticks here: there is a time at which the count ends, and the count follows from it.
 */

import { hi32, lo32, TWO_32 } from "../../base/u64.ts";
import type { Clock } from "../../devices/device.ts";

/** Timer mode, bits 18:17 of its LVT entry (§10.5.1). Mode 3 is reserved and counts nothing. */
export const TimerMode = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2, SHIFT: 17 } as const;
/**
 * A periodic timer asks to be polled no more often than this: a guest that wants its interrupts
 * closer together gets what it can take, and goes on running in between.
 */
const MIN_PERIOD_NS = 20_000;

/** Count, divider and deadline of one timer. */
export class LapicTimer {
  readonly #clock: Clock;
  readonly #onExpiry: () => void;
  readonly #onDeadline: () => void;
  #mode: number = TimerMode.ONE_SHOT;
  #masked = true;
  #initial = 0;
  #divide = 0;
  /** When the count or the deadline is reached; Infinity when the timer stands still. */
  #expiryNs = Infinity;
  #wakeNs = Infinity;
  /** IA32_TSC_DEADLINE; 0 when it is not armed. */
  #deadlineLo = 0;
  #deadlineHi = 0;
  /** The guest's time-stamp counter less the clock. */
  #offsetLo = 0;
  #offsetHi = 0;

  /**
   * @param onExpiry the count has ended: a matter for the LVT entry.
   * @param onDeadline `nextDeadlineNs` has changed otherwise than by `poll`.
   */
  constructor(clock: Clock, onExpiry: () => void, onDeadline: () => void) {
    this.#clock = clock;
    this.#onExpiry = onExpiry;
    this.#onDeadline = onDeadline;
  }

  /** When `poll` is due; Infinity when an expiry would not be noticed. */
  nextDeadlineNs(): number {
    return this.#wakeNs;
  }

  /** Ends the counts that are over at `nowNs`. Periods that were missed are one. */
  poll(nowNs: number): void {
    const late = nowNs - this.#expiryNs;
    if (late < 0) return;
    if (this.#mode === TimerMode.PERIODIC) {
      const period = this.#periodNs();
      this.#expiryNs += late - late % period + period;
      this.#wakeNs = this.#masked ? Infinity : Math.max(this.#expiryNs, nowNs + MIN_PERIOD_NS);
    } else {
      this.#disarm();
      this.#wakeNs = Infinity;
    }
    this.#onExpiry();
  }

  /** As `poll`, for now. */
  settle(): void {
    this.poll(this.#clock.nowNs());
  }

  /** Takes what the LVT entry says. `settle` first, while the old entry still holds. */
  configure(mode: number, masked: boolean): void {
    // "Transitioning between TSC-deadline mode and other timer modes also disarms the timer."
    const counts = mode <= TimerMode.PERIODIC;
    const counted = this.#mode <= TimerMode.PERIODIC;
    if (mode !== this.#mode && !(counts && counted)) {
      this.#disarm();
      this.#initial = 0;
    }
    this.#mode = mode;
    this.#masked = masked;
    this.#changed();
  }

  get initialCount(): number {
    return this.#initial;
  }

  /** Starts the count; 0 stops it. In TSC-deadline mode it is ignored (§10.5.4.1). */
  set initialCount(count: number) {
    if (this.#mode > TimerMode.PERIODIC) return;
    const now = this.#clock.nowNs();
    this.poll(now);
    this.#initial = count;
    this.#expiryNs = count === 0 ? Infinity : now + this.#periodNs();
    this.#changed();
  }

  get currentCount(): number {
    if (this.#mode > TimerMode.PERIODIC || this.#expiryNs === Infinity) return 0;
    const now = this.#clock.nowNs();
    this.poll(now);
    return this.#expiryNs === Infinity ? 0 : Math.ceil((this.#expiryNs - now) / this.#divisor());
  }

  /** The divide configuration register: bits 3, 1 and 0. */
  get divide(): number {
    return this.#divide;
  }

  set divide(value: number) {
    const count = this.currentCount;
    this.#divide = value & 0xb;
    if (count === 0) return;
    this.#expiryNs = this.#clock.nowNs() + count * this.#divisor();
    this.#changed();
  }

  /** IA32_TSC_DEADLINE; `settle` first. */
  get deadlineLo(): number {
    return this.#deadlineLo;
  }
  get deadlineHi(): number {
    return this.#deadlineHi;
  }

  /** WRMSR of IA32_TSC_DEADLINE: 0 disarms; other modes ignore it (§10.5.4.1). */
  writeDeadline(lo: number, hi: number): void {
    if (this.#mode !== TimerMode.TSC_DEADLINE) return;
    this.#deadlineLo = lo >>> 0;
    this.#deadlineHi = hi >>> 0;
    this.#aim();
  }

  /** The guest has set its time-stamp counter. */
  setTscOffset(lo: number, hi: number): void {
    this.settle();
    this.#offsetLo = lo >>> 0;
    this.#offsetHi = hi >>> 0;
    if (this.#mode === TimerMode.TSC_DEADLINE) this.#aim();
  }

  /** To the state after power-up, but for the guest's time-stamp counter. */
  reset(): void {
    this.#mode = TimerMode.ONE_SHOT;
    this.#masked = true;
    this.#initial = 0;
    this.#divide = 0;
    this.#disarm();
    this.#changed();
  }

  #disarm(): void {
    this.#expiryNs = Infinity;
    this.#deadlineLo = 0;
    this.#deadlineHi = 0;
  }

  /** Works out when the time-stamp counter reaches the deadline; at once if it has. */
  #aim(): void {
    if ((this.#deadlineLo | this.#deadlineHi) === 0) {
      this.#expiryNs = Infinity;
    } else {
      const now = this.#clock.nowNs();
      this.#expiryNs = now + this.#untilDeadline(now);
      this.poll(now);
    }
    this.#changed();
  }

  /** Ticks of the counter until the deadline; 0 when it is past. */
  #untilDeadline(now: number): number {
    const low = lo32(now) + this.#offsetLo;
    const tscLo = low >>> 0;
    const tscHi = (hi32(now) + this.#offsetHi + (low >= TWO_32 ? 1 : 0)) >>> 0;
    return Math.max(0, (this.#deadlineHi - tscHi) * TWO_32 + (this.#deadlineLo - tscLo));
  }

  #periodNs(): number {
    return this.#initial * this.#divisor();
  }

  /** 0 is 2, 1 is 4, ... 6 is 128, and 7 is 1 (figure 10-10). */
  #divisor(): number {
    const code = (this.#divide & 3) | (this.#divide & 8) >>> 1;
    return 1 << ((code + 1) & 7);
  }

  #changed(): void {
    const wakeNs = this.#masked ? Infinity : this.#expiryNs;
    if (wakeNs === this.#wakeNs) return;
    this.#wakeNs = wakeNs;
    this.#onDeadline();
  }
}
