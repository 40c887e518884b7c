/**
 * The clock half of an MC146818 (Motorola datasheet, 1984; page numbers vary, so sections are named):
 * time, alarm and the three interrupt sources. Nothing ticks: every register is worked out from the
 * machine's clock when it is read, and `nextDeadlineNs` says when an interrupt is due.
 */

import type { Clock, IrqLine } from "../devices/device.ts";
import { CalendarTime } from "./calendar.ts";

/** Registers ("Address Map"); 0x32 is where PCs keep the century (ACPI 6.4 §5.2.9, CENTURY). */
export const RtcRegister = {
  SECONDS: 0,
  SECONDS_ALARM: 1,
  MINUTES: 2,
  MINUTES_ALARM: 3,
  HOURS: 4,
  HOURS_ALARM: 5,
  WEEKDAY: 6,
  DAY: 7,
  MONTH: 8,
  YEAR: 9,
  A: 0xa,
  B: 0xb,
  C: 0xc,
  D: 0xd,
  CENTURY: 0x32,
} as const;

/** Register A: update in progress; the low four bits are the rate of the periodic interrupt. */
const UPDATE_IN_PROGRESS = 0x80;
/** The usual setting: 32.768 kHz time base, 1024 Hz. */
const REGISTER_A_RESET = 0x26;
/** Register B. */
const B = { SET: 0x80, PIE: 0x40, AIE: 0x20, UIE: 0x10, BINARY: 4, HOURS_24: 2 } as const;
/** Register C: the three sources stand where register B has their enable bits. */
const C = { IRQ: 0x80, PERIODIC: 0x40, ALARM: 0x20, UPDATE: 0x10, SOURCES: 0x70 } as const;
/** Register D: the battery is fine. */
const VALID = 0x80;
/** Afternoon, in the 12-hour mode ("Time, Calendar and Alarm Locations"). */
const PM = 0x80;
/** An alarm byte from here on matches anything ("Alarm Bytes"). */
const ANY = 0xc0;
/** An update takes 1984 µs and is announced 244 µs ahead ("Update Cycle"). */
const UPDATE_MS = 2.228;
/** An alarm comes round at least once a day, so that a longer sleep need not be searched. */
const DAY_SECONDS = 86_400;

/** Guests write the year 0 to 99 and perhaps a century; none means this one. */
const DEFAULT_CENTURY = 20;

/** The real-time clock. Register numbers other than those of `RtcRegister` are the caller's. */
export class Rtc {
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  /** Guest time less host time, in milliseconds. */
  #offsetMs = 0;
  /** Time registers as the guest left them while it holds the clock (SET), raw. */
  readonly #held = new Uint8Array(10);
  #heldCentury = 0;
  readonly #time = new CalendarTime();
  /** The second that `#time` shows. */
  #shown = NaN;
  #alarmSeconds = 0;
  #alarmMinutes = 0;
  #alarmHours = 0;
  #a = REGISTER_A_RESET;
  #b: number = B.HOURS_24;
  #c = 0;
  /** Seconds and periods up to which the flags of register C account for. */
  #lastSecond: number;
  #lastPeriod: number;
  #level = false;
  #deadlineNs = Infinity;

  constructor(clock: Clock, irq: IrqLine) {
    this.#clock = clock;
    this.#irq = irq;
    this.#lastSecond = this.#second();
    this.#lastPeriod = this.#period();
  }

  /** The value of an `RtcRegister`. */
  read(register: number): number {
    switch (register) {
      case RtcRegister.SECONDS_ALARM:
        return this.#alarmSeconds;
      case RtcRegister.MINUTES_ALARM:
        return this.#alarmMinutes;
      case RtcRegister.HOURS_ALARM:
        return this.#alarmHours;
      case RtcRegister.A:
        return this.#a | (this.#updating() ? UPDATE_IN_PROGRESS : 0);
      case RtcRegister.B:
        return this.#b;
      case RtcRegister.C:
        return this.#readFlags();
      case RtcRegister.D:
        return VALID;
      default:
        return this.#readTime(register);
    }
  }

  /** Writes a byte to an `RtcRegister`. */
  write(register: number, value: number): void {
    switch (register) {
      case RtcRegister.SECONDS_ALARM:
        this.#alarmSeconds = value;
        break;
      case RtcRegister.MINUTES_ALARM:
        this.#alarmMinutes = value;
        break;
      case RtcRegister.HOURS_ALARM:
        this.#alarmHours = value;
        break;
      case RtcRegister.A:
        this.#a = value & 0x7f;
        this.#lastPeriod = this.#period();
        this.#update();
        break;
      case RtcRegister.B:
        this.#writeControl(value);
        break;
      case RtcRegister.C:
      case RtcRegister.D: // For reading only ("Register C", "Register D").
        break;
      default:
        this.#writeTime(register, value);
        break;
    }
  }

  /** Brings flags and interrupt up to the clock. */
  poll(): void {
    this.#advance();
    this.#update();
  }

  /** When the next enabled interrupt is due, on `Clock.nowNs`; Infinity for never. */
  nextDeadlineNs(): number {
    return this.#deadlineNs;
  }

  #readFlags(): number {
    this.#advance();
    const flags = this.#c;
    this.#c = 0;
    this.#update();
    return flags | ((flags & this.#b & C.SOURCES) !== 0 ? C.IRQ : 0);
  }

  #writeControl(value: number): void {
    const wasSet = (this.#b & B.SET) !== 0;
    const set = (value & B.SET) !== 0;
    this.#advance();
    if (set && !wasSet) this.#hold();
    // The chip clears UIE when the clock is held ("Register B", SET).
    this.#b = set ? value & ~B.UIE : value;
    if (wasSet && !set) this.#release();
    this.#update();
  }

  /** Guest time in milliseconds since 1970. */
  #guestMs(): number {
    return this.#clock.wallMs() + this.#offsetMs;
  }

  #second(): number {
    return Math.floor(this.#guestMs() / 1000);
  }

  #updating(): boolean {
    if ((this.#b & B.SET) !== 0) return false;
    const now = this.#guestMs();
    return now - Math.floor(now / 1000) * 1000 >= 1000 - UPDATE_MS;
  }

  /** Milliseconds of the periodic interrupt; 0 for none ("Periodic Interrupt Selection"). */
  #periodMs(): number {
    const rate = this.#a & 0xf;
    if (rate === 0) return 0;
    // Rates 1 and 2 repeat 8 and 9; the others halve from 32,768 Hz on.
    return 1000 / (32_768 >>> ((rate <= 2 ? rate + 7 : rate) - 1));
  }

  #period(): number {
    const periodMs = this.#periodMs();
    return periodMs === 0 ? 0 : Math.floor(this.#guestMs() / periodMs);
  }

  /** Sets the flags of what has happened since the last time. */
  #advance(): void {
    const period = this.#period();
    if (period !== this.#lastPeriod) this.#c |= C.PERIODIC;
    this.#lastPeriod = period;
    if ((this.#b & B.SET) !== 0) return;
    const second = this.#second();
    if (second === this.#lastSecond) return;
    this.#c |= C.UPDATE;
    const from = Math.max(this.#lastSecond + 1, second - DAY_SECONDS + 1);
    for (let at = from; at <= second && (this.#c & C.ALARM) === 0; at++) {
      if (this.#alarmAt(at)) this.#c |= C.ALARM;
    }
    this.#lastSecond = second;
  }

  #alarmAt(second: number): boolean {
    const ofDay = ((second % DAY_SECONDS) + DAY_SECONDS) % DAY_SECONDS;
    return matches(this.#alarmSeconds, this.#encode(ofDay % 60)) &&
      matches(this.#alarmMinutes, this.#encode(Math.floor(ofDay / 60) % 60)) &&
      matches(this.#alarmHours, this.#encodeHour(Math.floor(ofDay / 3600)));
  }

  /** Drives the line and works out the next deadline. */
  #update(): void {
    this.#deadlineNs = this.#nextEventNs();
    const level = (this.#c & this.#b & C.SOURCES) !== 0;
    if (level === this.#level) return;
    this.#level = level;
    this.#irq.set(level);
  }

  /** When a source that is enabled, and not up already, will be due. */
  #nextEventNs(): number {
    const waiting = this.#b & C.SOURCES & ~this.#c;
    if (waiting === 0) return Infinity;
    const now = this.#guestMs();
    let ms = Infinity;
    if ((waiting & (C.ALARM | C.UPDATE)) !== 0 && (this.#b & B.SET) === 0) {
      ms = (Math.floor(now / 1000) + 1) * 1000 - now;
    }
    const periodMs = this.#periodMs();
    if ((waiting & C.PERIODIC) !== 0 && periodMs > 0) {
      ms = Math.min(ms, (Math.floor(now / periodMs) + 1) * periodMs - now);
    }
    return this.#clock.nowNs() + Math.ceil(ms * 1e6);
  }

  #readTime(register: number): number {
    if ((this.#b & B.SET) !== 0) {
      return register === RtcRegister.CENTURY ? this.#heldCentury : this.#held[register];
    }
    const second = this.#second();
    if (second !== this.#shown) {
      this.#time.setSeconds(second);
      this.#shown = second;
    }
    return this.#encodeRegister(register);
  }

  #writeTime(register: number, value: number): void {
    const running = (this.#b & B.SET) === 0;
    if (running) this.#hold();
    if (register === RtcRegister.CENTURY) this.#heldCentury = value;
    else this.#held[register] = value;
    if (running) this.#release();
  }

  /** Copies the running time into the held registers. */
  #hold(): void {
    this.#time.setSeconds(this.#second());
    this.#shown = NaN;
    for (let register = 0; register < this.#held.length; register++) {
      this.#held[register] = this.#encodeRegister(register);
    }
    this.#heldCentury = this.#encodeRegister(RtcRegister.CENTURY);
  }

  /** Goes on from the held registers. The host's clock stays as it is: only the offset moves. */
  #release(): void {
    const time = this.#time;
    const held = this.#held;
    const century = this.#decode(this.#heldCentury);
    time.year = (century === 0 ? DEFAULT_CENTURY : century) * 100 +
      this.#decode(held[RtcRegister.YEAR]);
    time.month = this.#decode(held[RtcRegister.MONTH]);
    time.day = this.#decode(held[RtcRegister.DAY]);
    time.hour = this.#decodeHour(held[RtcRegister.HOURS]);
    time.minute = this.#decode(held[RtcRegister.MINUTES]);
    time.second = this.#decode(held[RtcRegister.SECONDS]);
    // The fraction of the second goes on, so that the offset is whole seconds.
    this.#offsetMs += (time.toSeconds() - this.#second()) * 1000;
    this.#shown = NaN;
    this.#lastSecond = this.#second();
    this.#lastPeriod = this.#period();
    this.#update();
  }

  #encodeRegister(register: number): number {
    const time = this.#time;
    switch (register) {
      case RtcRegister.SECONDS:
        return this.#encode(time.second);
      case RtcRegister.SECONDS_ALARM:
        return this.#alarmSeconds;
      case RtcRegister.MINUTES:
        return this.#encode(time.minute);
      case RtcRegister.MINUTES_ALARM:
        return this.#alarmMinutes;
      case RtcRegister.HOURS:
        return this.#encodeHour(time.hour);
      case RtcRegister.HOURS_ALARM:
        return this.#alarmHours;
      case RtcRegister.WEEKDAY:
        return this.#encode(time.weekday);
      case RtcRegister.DAY:
        return this.#encode(time.day);
      case RtcRegister.MONTH:
        return this.#encode(time.month);
      case RtcRegister.YEAR:
        return this.#encode(time.year % 100);
      default:
        return this.#encode(Math.floor(time.year / 100) % 100);
    }
  }

  /** A number 0 to 99 as the data mode has it: binary or two decimal digits. */
  #encode(value: number): number {
    if ((this.#b & B.BINARY) !== 0) return value;
    return (Math.floor(value / 10) << 4) | value % 10;
  }

  #decode(value: number): number {
    return (this.#b & B.BINARY) !== 0 ? value : (value >>> 4) * 10 + (value & 0xf);
  }

  /** 12-hour mode counts 12, 1 to 11 twice. */
  #encodeHour(hour: number): number {
    if ((this.#b & B.HOURS_24) !== 0) return this.#encode(hour);
    return this.#encode((hour + 11) % 12 + 1) | (hour >= 12 ? PM : 0);
  }

  #decodeHour(value: number): number {
    if ((this.#b & B.HOURS_24) !== 0) return this.#decode(value);
    return this.#decode(value & ~PM) % 12 + ((value & PM) !== 0 ? 12 : 0);
  }
}

function matches(alarm: number, value: number): boolean {
  return alarm >= ANY || alarm === value;
}
