/**
 * The fixed power-management hardware: PM1 event and control registers and the PM timer (ACPI 6.4
 * §4.8.3). The machine is always in ACPI mode. Sleep state S5 ends the run; there are no others.
 */

import type { AccessSize, Clock, IrqLine, PortDevice, PowerSink } from "../devices/device.ts";
import { Port } from "./layout.ts";

/** Ports from PM1_EVENT on; the two between control block and timer hold nothing. */
export const PM_PORTS = 12;
/** Timer frequency in hertz (§4.8.3.3). */
export const PM_TIMER_HZ = 3_579_545;
/** SLP_TYP of S5: the DSDT's \_S5 says so, and programs for other PCs write it without looking. */
export const SLEEP_TYPE_S5 = 0;

/** PM1 status bits that rise here (§4.8.3.1.1). */
const Event = { TIMER: 0x0001, POWER_BUTTON: 0x0100 } as const;
/**
 * PM1 enable bits that can be set: those of the events, of the global lock and of the RTC alarm
 * (§4.8.3.1.2). A guest that enables one reads it back, and takes the hardware for broken without.
 */
const ENABLE_MASK = 0x0521;
/** PM1 control (§4.8.3.2.1). */
const Control = { SCI_EN: 0x0001, SLP_TYP: 0x1c00, SLP_TYP_SHIFT: 10, SLP_EN: 0x2000 } as const;
/** What the guest may set and read back: BM_RLD, and the sleep type. */
const CONTROL_MASK = 0x0002 | Control.SLP_TYP;
/** The timer's status rises when its top bit changes (§4.8.3.3): every 2^31 ticks. */
const HALF_CYCLE_TICKS = 2 ** 31;
const NS_PER_SECOND = 1e9;

/** What the registers work on. */
export interface PmOptions {
  readonly clock: Clock;
  /** The system control interrupt: level-triggered, active high. */
  readonly sci: IrqLine;
  readonly power: PowerSink;
}

/** PM1 event block, PM1 control block and PM timer at their ports. */
export class PowerManagement implements PortDevice {
  readonly name = "ACPI PM";
  readonly #clock: Clock;
  readonly #sci: IrqLine;
  readonly #power: PowerSink;
  #status = 0;
  #enable = 0;
  #control: number = Control.SCI_EN;
  /** Half cycles of the timer that the status accounts for. */
  #halfCycles = 0;
  #level = false;

  constructor(options: PmOptions) {
    this.#clock = options.clock;
    this.#sci = options.sci;
    this.#power = options.power;
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= Port.PM_TIMER) return cut(this.#ticks() % 2 ** 32, port - Port.PM_TIMER, size);
    if (port >= Port.PM1_CONTROL) return cut(this.#control, port - Port.PM1_CONTROL, size);
    this.#advance();
    this.#update();
    return cut(this.#status | (this.#enable << 16), port - Port.PM1_EVENT, size);
  }

  writePort(port: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.#writeByte(port + i, (value >>> (8 * i)) & 0xff);
    this.#update();
  }

  /** The user presses the power button: the guest's handler decides what follows. */
  pressPowerButton(): void {
    this.#status |= Event.POWER_BUTTON;
    this.#update();
  }

  /** Brings the timer's status and the interrupt up to the clock. */
  poll(): void {
    this.#advance();
    this.#update();
  }

  /** When the timer's interrupt is due, on `Clock.nowNs`; Infinity when it is off or already up. */
  nextDeadlineNs(): number {
    if ((this.#enable & ~this.#status & Event.TIMER) === 0) return Infinity;
    const ticks = (this.#halfCycles + 1) * HALF_CYCLE_TICKS;
    return Math.ceil(ticks / PM_TIMER_HZ * NS_PER_SECOND);
  }

  #writeByte(port: number, value: number): void {
    switch (port) {
      // Writing 1 clears a status bit (§4.8.3.1.1).
      case Port.PM1_EVENT:
        this.#advance();
        this.#status &= ~value;
        break;
      case Port.PM1_EVENT + 1:
        this.#status &= ~(value << 8);
        break;
      case Port.PM1_EVENT + 2:
        this.#advance();
        this.#enable = ((this.#enable & 0xff00) | value) & ENABLE_MASK;
        break;
      case Port.PM1_EVENT + 3:
        this.#enable = ((this.#enable & 0x00ff) | (value << 8)) & ENABLE_MASK;
        break;
      case Port.PM1_CONTROL:
        this.#writeControl((this.#control & 0xff00) | value);
        break;
      case Port.PM1_CONTROL + 1:
        this.#writeControl((this.#control & 0x00ff) | (value << 8));
        break;
      default: // The timer is for reading only (§4.8.3.3).
        break;
    }
  }

  #writeControl(value: number): void {
    this.#control = (value & CONTROL_MASK) | Control.SCI_EN;
    const type = (value & Control.SLP_TYP) >>> Control.SLP_TYP_SHIFT;
    if ((value & Control.SLP_EN) !== 0 && type === SLEEP_TYPE_S5) {
      this.#power({ kind: "power-off" });
    }
  }

  /** Ticks since the guest started; exact, and below 2^53 for as long as the clock is. */
  #ticks(): number {
    const ns = this.#clock.nowNs();
    const seconds = Math.floor(ns / NS_PER_SECOND);
    const rest = ns - seconds * NS_PER_SECOND;
    return seconds * PM_TIMER_HZ + Math.floor(rest * PM_TIMER_HZ / NS_PER_SECOND);
  }

  #advance(): void {
    const halfCycles = Math.floor(this.#ticks() / HALF_CYCLE_TICKS);
    if (halfCycles === this.#halfCycles) return;
    this.#halfCycles = halfCycles;
    this.#status |= Event.TIMER;
  }

  #update(): void {
    const level = (this.#status & this.#enable) !== 0;
    if (level === this.#level) return;
    this.#level = level;
    this.#sci.set(level);
  }
}

/** `size` bytes of a 32-bit register from byte `offset` on; zero beyond its end. */
function cut(register: number, offset: number, size: AccessSize): number {
  const value = register >>> (8 * offset);
  return size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value;
}
