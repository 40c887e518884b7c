/**
 * The 8254 of a PC (Intel data sheet 231164) and port 0x61: counter 0 drives IRQ 0, counter 1 once
 * refreshed memory, counter 2 is gated and watched by software through port 0x61.
 */

import { ByteDevice } from "../../devices/byte_device.ts";
import type { Clock, IrqLine } from "../../devices/device.ts";
import { Port } from "../layout.ts";
import { PitChannel } from "./pit_channel.ts";

/** Frequency of CLK in hertz: a twelfth of the 14.318 MHz of PC boards. */
export const PIT_HZ = 1_193_182;
/** Ports of the 8254. */
export const PIT_PORTS = 4;
/** Pulses between two changes of port 0x61's refresh bit: about 15 µs. */
const REFRESH_PULSES = 18;
const NS_PER_SECOND = 1e9;
/**
 * Interrupts come no closer together than this: a guest that asks for more gets what it can take,
 * and goes on running in between.
 */
const MIN_PERIOD_NS = 20_000;

/** Control word: bits 7:6 the counter, bits 5:4 the access. */
const CONTROL_PORT = Port.PIT + 3;
const READ_BACK = 3;
const LATCH = 0;
/** Read-back command: what not to latch, and the counters from bit 1 on. */
const ReadBack = { NO_COUNT: 0x20, NO_STATUS: 0x10 } as const;
/** Port 0x61. Bits 3:0 are software's. */
const ControlB = { GATE: 0x01, WRITABLE: 0x0f, REFRESH: 0x10, OUTPUT: 0x20 } as const;

/** The timer. */
export class Pit extends ByteDevice {
  readonly name = "8254";
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  readonly #onDeadline: () => void;
  readonly #channels = [new PitChannel(true), new PitChannel(true), new PitChannel(false)];
  #controlB = 0;
  #deadlineNs = Infinity;
  #notBeforeNs = 0;

  /** `onDeadline` is told when `nextDeadlineNs` has changed otherwise than by `poll`. */
  constructor(options: { clock: Clock; irq: IrqLine; onDeadline: () => void }) {
    super();
    this.#clock = options.clock;
    this.#irq = options.irq;
    this.#onDeadline = options.onDeadline;
  }

  /** Raises the interrupt if it is due. Interrupts that were missed are one. */
  poll(): void {
    const nowNs = this.#clock.nowNs();
    const now = pulsesAt(nowNs);
    const timer = this.#channels[0];
    if (timer.takeRise(now)) {
      this.#irq.set(false);
      this.#irq.set(true);
      this.#notBeforeNs = timer.periodic ? nowNs + MIN_PERIOD_NS : 0;
    }
    this.#irq.set(timer.output(now));
    this.#deadlineNs = Math.max(nsOfPulse(timer.nextRise(now)), this.#notBeforeNs);
  }

  /** When `poll` is due next. */
  nextDeadlineNs(): number {
    return this.#deadlineNs;
  }

  protected override readByte(port: number): number {
    const now = pulsesAt(this.#clock.nowNs());
    if (port === Port.SYSTEM_CONTROL_B) {
      return this.#controlB |
        (Math.floor(now / REFRESH_PULSES) % 2 !== 0 ? ControlB.REFRESH : 0) |
        (this.#channels[2].output(now) ? ControlB.OUTPUT : 0);
    }
    // The control word cannot be read: nothing drives the bus.
    return port === CONTROL_PORT ? 0xff : this.#channels[port - Port.PIT].read(now);
  }

  protected override writeByte(port: number, value: number): void {
    const now = pulsesAt(this.#clock.nowNs());
    if (port === Port.SYSTEM_CONTROL_B) {
      this.#controlB = value & ControlB.WRITABLE;
      this.#channels[2].setGate(now, (value & ControlB.GATE) !== 0);
      return;
    }
    if (port === CONTROL_PORT) this.#writeControl(now, value);
    else this.#channels[port - Port.PIT].write(now, value);
    this.poll();
    this.#onDeadline();
  }

  #writeControl(now: number, word: number): void {
    const counter = word >>> 6;
    if (counter === READ_BACK) {
      for (let i = 0; i < this.#channels.length; i++) {
        if ((word & (2 << i)) === 0) continue;
        if ((word & ReadBack.NO_COUNT) === 0) this.#channels[i].latchCount(now);
        if ((word & ReadBack.NO_STATUS) === 0) this.#channels[i].latchStatus(now);
      }
    } else if (((word >>> 4) & 3) === LATCH) {
      this.#channels[counter].latchCount(now);
    } else {
      this.#channels[counter].writeControl(now, word);
    }
  }
}

/** CLK pulses since the guest started; exact, as the seconds are counted apart. */
function pulsesAt(ns: number): number {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  return seconds * PIT_HZ + Math.floor((ns - seconds * NS_PER_SECOND) * PIT_HZ / NS_PER_SECOND);
}

/** The first nanosecond of a pulse. */
function nsOfPulse(pulse: number): number {
  if (pulse === Infinity) return Infinity;
  const seconds = Math.floor(pulse / PIT_HZ);
  return seconds * NS_PER_SECOND + Math.ceil((pulse - seconds * PIT_HZ) * NS_PER_SECOND / PIT_HZ);
}
