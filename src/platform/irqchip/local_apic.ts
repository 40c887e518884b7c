/**
 * The local APIC of one vCPU (SDM 3A chapter 10), as an xAPIC behind its page and as an x2APIC
 * behind MSRs. Which interrupt the CPU would get is worked out when something changes, so that the
 * CPU may ask before each instruction.
 */

import { join32 } from "../../base/u64.ts";
import type { Clock } from "../../devices/device.ts";
import type { CpuSignals, LocalApicPort } from "../../engine/cpu_bus.ts";
import { Address } from "../layout.ts";
import { type ApicBus, widen } from "./apic_bus.ts";
import {
  ApicBase,
  ApicError,
  ApicMsr,
  Delivery,
  FIRST_VECTOR,
  Icr,
  Lvt,
  LVT_ENTRIES,
  LVT_WRITABLE,
  LvtBit,
  Register,
  Shorthand,
  Svr,
  VERSION,
  x2apicTakes,
} from "./lapic_registers.ts";
import { LapicTimer, TimerMode } from "./lapic_timer.ts";
import { VectorSet } from "./vector_set.ts";

/** What a local APIC works on. */
export interface LocalApicOptions {
  readonly id: number;
  readonly clock: Clock;
  readonly signals: CpuSignals;
  readonly bus: ApicBus;
  /** Bits 51:32 of IA32_APIC_BASE that are an address. */
  readonly baseHiMask: number;
  /** The 8259's vector: its output is the LINT0 pin. */
  readonly acknowledgePic: () => number;
  /** The timer's deadline has changed otherwise than by `poll`. */
  readonly onDeadline: () => void;
}

/** A register that does not exist. */
const ABSENT = -1;
/** Bytes of the page, and of a register in it, of which the first four are there (§10.4.1). */
const PAGE_BYTES = 4096;
const REGISTER_SHIFT = 4;

/** Registers and pins of one local APIC. */
export class LocalApic implements LocalApicPort {
  readonly id: number;
  baseLo: number;
  baseHi = 0;
  msrLo = 0;
  msrHi = 0;
  readonly #signals: CpuSignals;
  readonly #bus: ApicBus;
  readonly #baseHiMask: number;
  readonly #acknowledgePic: () => number;
  readonly #timer: LapicTimer;

  /** The page's address in xAPIC mode; beyond all addresses in the others. */
  #page: number = Address.LOCAL_APIC;
  #x2apic = false;
  #tpr = 0;
  #ldr = 0;
  #dfr = 0xffff_ffff;
  #svr: number = Svr.RESET;
  #icrLo = 0;
  #icrHi = 0;
  #esr = 0;
  /** Errors since the last write to the error status register. */
  #errors = 0;
  readonly #lvt = new Uint32Array(LVT_ENTRIES);
  readonly #irr = new VectorSet();
  readonly #isr = new VectorSet();
  readonly #tmr = new VectorSet();

  /** The 8259's request at the LINT0 pin. */
  #lint0 = false;
  /** What the CPU would get: the vector, -1 for none, or before that the 8259's. */
  #vector = -1;
  #external = false;

  constructor(options: LocalApicOptions) {
    this.id = options.id;
    this.#signals = options.signals;
    this.#bus = options.bus;
    this.#baseHiMask = options.baseHiMask;
    this.#acknowledgePic = options.acknowledgePic;
    this.#timer = new LapicTimer(
      options.clock,
      () => this.#interruptLocally(Lvt.TIMER),
      options.onDeadline,
    );
    this.baseLo = Address.LOCAL_APIC + ApicBase.ENABLED + (this.id === 0 ? ApicBase.BSP : 0);
    this.#reset();
  }

  // The CPU's side.

  hasInterrupt(): boolean {
    return this.#vector >= 0 || this.#external;
  }

  /** An 8259's interrupt is not in service here: ExtINT goes past the IRR and the ISR (§10.5.1). */
  acknowledge(): number {
    if (this.#external) return this.#acknowledgePic();
    const vector = this.#vector;
    if (vector < 0) return -1;
    this.#irr.delete(vector);
    this.#isr.add(vector);
    this.#update();
    return vector;
  }

  get taskPriority(): number {
    return this.#tpr >>> 4;
  }

  set taskPriority(priority: number) {
    this.#tpr = (priority & 0xf) << 4;
    this.#update();
  }

  restoreBase(lo: number, hi: number): void {
    const wasEnabled = this.#enabled;
    this.baseLo = lo >>> 0;
    this.baseHi = hi >>> 0;
    this.#x2apic = (lo & ApicBase.X2APIC) !== 0 && this.#enabled;
    this.#page = this.#enabled && !this.#x2apic ? join32(lo & ~(PAGE_BYTES - 1), hi) : Infinity;
    // A disabled APIC may lose its state (§10.4.3); this one does.
    if (wasEnabled && !this.#enabled) this.#reset();
    else this.#update();
  }

  readMsr(msr: number): boolean {
    switch (msr) {
      case ApicMsr.BASE:
        return this.#give(this.baseLo, this.baseHi);
      case ApicMsr.TSC_DEADLINE:
        this.#timer.settle();
        return this.#give(this.#timer.deadlineLo, this.#timer.deadlineHi);
      default: {
        const register = this.#x2apicRegister(msr);
        if (register === Register.ICR) return this.#give(this.#icrLo, this.#icrHi);
        const value = register === ABSENT ? ABSENT : this.#read(register);
        return value !== ABSENT && this.#give(value, 0);
      }
    }
  }

  writeMsr(msr: number, lo: number, hi: number): boolean {
    switch (msr) {
      case ApicMsr.BASE:
        return this.#writeBase(lo, hi);
      case ApicMsr.TSC_DEADLINE:
        this.#timer.writeDeadline(lo, hi);
        return true;
      default: {
        const register = this.#x2apicRegister(msr);
        if (register === ABSENT || !x2apicTakes(register, lo)) return false;
        if (register === Register.ICR) this.#icrHi = hi >>> 0;
        else if (hi !== 0) return false;
        this.#write(register, lo >>> 0);
        return true;
      }
    }
  }

  setTscOffset(lo: number, hi: number): void {
    this.#timer.setTscOffset(lo, hi);
  }

  /** What a vCPU does when it takes the INIT that was signalled to it. */
  init(): void {
    this.#reset();
  }

  // The page.

  /** Whether the access lies within the page. */
  holds(address: number, size: number): boolean {
    return address >= this.#page && address + size <= this.#page + PAGE_BYTES;
  }

  /** The register at `address`, which is within the page. */
  readPage(address: number): number {
    const value = this.#read((address - this.#page) >>> REGISTER_SHIFT);
    if (value !== ABSENT) return value;
    this.#error(ApicError.REGISTER);
    return 0;
  }

  /** Writes the register at `address`, which is aligned and within the page. */
  writePage(address: number, value: number): void {
    const register = (address - this.#page) >>> REGISTER_SHIFT;
    if (this.#read(register) === ABSENT) this.#error(ApicError.REGISTER);
    else this.#write(register, value);
  }

  // What comes in.

  /** Whether fixed interrupts are accepted: the APIC is enabled, by software too (§10.4.7.2). */
  get takesInterrupts(): boolean {
    return (this.#svr & Svr.ENABLED) !== 0 && this.#enabled;
  }

  /** Arbitration priority, which is lowest where an interrupt disturbs least (§10.6.2.4). */
  get arbitrationPriority(): number {
    return Math.max(this.#tpr, classOf(this.#irr.highest), classOf(this.#isr.highest));
  }

  /** Whether a logical destination means this APIC (§10.6.2.2, §10.12.10.2). */
  isLogical(destination: number): boolean {
    if (this.#x2apic) {
      return destination >>> 16 === this.id >>> 4 && (destination & (1 << (this.id & 15))) !== 0;
    }
    if (destination > 0xff) return false;
    const own = this.#ldr >>> 24;
    if (this.#dfr >>> 28 === 0xf) return (destination & own) !== 0;
    return destination >>> 4 === own >>> 4 && (destination & own & 0xf) !== 0;
  }

  /**
   * A message arrives. True: an interrupt was accepted. SMIs have nowhere to go, and ExtINT comes
   * from the 8259 by its own wire.
   */
  receive(mode: number, vector: number, level: boolean): boolean {
    if (!this.#enabled) return false;
    switch (mode) {
      case Delivery.FIXED:
      case Delivery.LOWEST_PRIORITY:
        return this.#accept(vector, level);
      case Delivery.NMI:
        this.#signals.nmi(this.id);
        return true;
      case Delivery.INIT:
        this.#signals.init(this.id);
        return true;
      case Delivery.STARTUP:
        this.#signals.startup(this.id, vector);
        return true;
      default:
        return false;
    }
  }

  /** Drives the LINT0 pin. */
  setLint0(high: boolean): void {
    if (high === this.#lint0) return;
    this.#lint0 = high;
    this.#update();
    if (high) this.#interruptLocally(Lvt.LINT0);
  }

  /** Pulses the LINT1 pin. */
  pulseLint1(): void {
    this.#interruptLocally(Lvt.LINT1);
  }

  nextDeadlineNs(): number {
    return this.#timer.nextDeadlineNs();
  }

  /** Raises the timer's interrupt if it is due at `nowNs`. */
  poll(nowNs: number): void {
    this.#timer.poll(nowNs);
  }

  get #enabled(): boolean {
    return (this.baseLo & ApicBase.ENABLED) !== 0;
  }

  #give(lo: number, hi: number): boolean {
    this.msrLo = lo;
    this.msrHi = hi;
    return true;
  }

  #x2apicRegister(msr: number): number {
    if (!this.#x2apic || msr < ApicMsr.X2APIC || msr >= ApicMsr.X2APIC_END) return ABSENT;
    return msr - ApicMsr.X2APIC;
  }

  /** The transitions of §10.12.5: figure 10-26 has no others. */
  #writeBase(lo: number, hi: number): boolean {
    if ((lo & ApicBase.RESERVED) !== 0 || (hi & ~this.#baseHiMask) !== 0) return false;
    const enabled = (lo & ApicBase.ENABLED) !== 0;
    const x2apic = (lo & ApicBase.X2APIC) !== 0;
    if (x2apic && !(enabled && this.#enabled)) return false;
    if (this.#x2apic && enabled && !x2apic) return false;
    this.restoreBase(lo, hi);
    return true;
  }

  #reset(): void {
    this.#tpr = 0;
    this.#ldr = 0;
    this.#dfr = 0xffff_ffff;
    this.#svr = Svr.RESET;
    this.#icrLo = 0;
    this.#icrHi = 0;
    this.#esr = 0;
    this.#errors = 0;
    this.#lvt.fill(LvtBit.RESET);
    // Firmware leaves the 8259 connected to the first CPU (virtual wire mode, MP specification
    // §3.6.2.2). Guests that start without firmware find it so too.
    if (this.id === 0) this.#lvt[Lvt.LINT0] = LvtBit.EXTINT;
    this.#irr.clear();
    this.#isr.clear();
    this.#tmr.clear();
    this.#timer.reset();
    this.#update();
  }

  #read(register: number): number {
    switch (register & ~7) {
      case Register.ISR:
        return this.#isr.word(register & 7);
      case Register.TMR:
        return this.#tmr.word(register & 7);
      case Register.IRR:
        return this.#irr.word(register & 7);
      default:
        return this.#x2apic ? this.#readX2apic(register) : this.#readXapic(register);
    }
  }

  /** Registers that are different in x2APIC mode (table 10-6). */
  #readX2apic(register: number): number {
    switch (register) {
      case Register.ID:
        return this.id;
      case Register.LDR:
        return (this.id >>> 4 << 16 | 1 << (this.id & 15)) >>> 0;
      default:
        return this.#readCommon(register);
    }
  }

  #readXapic(register: number): number {
    switch (register) {
      case Register.ID: // For reading only, as from Nehalem on (table 10-1, note).
        return this.id * 2 ** 24;
      case Register.LDR:
        return this.#ldr;
      case Register.DFR:
        return this.#dfr;
      case Register.APR:
        return this.arbitrationPriority;
      case Register.EOI: // For writing only.
      case Register.REMOTE_READ: // Of the Pentium.
        return 0;
      case Register.ICR_HIGH:
        return this.#icrHi;
      default:
        return this.#readCommon(register);
    }
  }

  #readCommon(register: number): number {
    switch (register) {
      case Register.VERSION:
        return VERSION;
      case Register.TPR:
        return this.#tpr;
      case Register.PPR:
        return this.#processorPriority();
      case Register.SVR:
        return this.#svr;
      case Register.ESR:
        return this.#esr;
      case Register.ICR:
        return this.#icrLo;
      case Register.INITIAL_COUNT:
        return this.#timer.initialCount;
      case Register.CURRENT_COUNT:
        return this.#timer.currentCount;
      case Register.DIVIDE:
        return this.#timer.divide;
      default: {
        const entry = register - Register.LVT;
        return entry >= 0 && entry < LVT_ENTRIES ? this.#lvt[entry] : ABSENT;
      }
    }
  }

  /** Writes a register that is there; one for reading only stays as it is. */
  #write(register: number, value: number): void {
    switch (register) {
      case Register.TPR:
        this.#tpr = value & 0xff;
        this.#update();
        break;
      case Register.EOI:
        this.#endOfInterrupt();
        break;
      case Register.LDR:
        this.#ldr = (value & 0xff00_0000) >>> 0;
        break;
      case Register.DFR: // Bits 27:0 are ones.
        this.#dfr = (value | 0x0fff_ffff) >>> 0;
        break;
      case Register.SVR:
        this.#writeSvr(value);
        break;
      case Register.ESR: // Gives the errors since the last write (§10.5.3).
        this.#esr = this.#errors;
        this.#errors = 0;
        break;
      case Register.ICR:
        this.#icrLo = value & Icr.WRITABLE;
        this.#sendIpi();
        break;
      case Register.ICR_HIGH:
        this.#icrHi = (value & 0xff00_0000) >>> 0;
        break;
      case Register.INITIAL_COUNT:
        this.#timer.initialCount = value;
        break;
      case Register.DIVIDE:
        this.#timer.divide = value;
        break;
      case Register.SELF_IPI: // A fixed, edge-triggered interrupt (§10.12.11).
        this.#send(Shorthand.SELF, 0, false, Delivery.FIXED, value & 0xff);
        break;
      default: {
        const entry = register - Register.LVT;
        if (entry >= 0 && entry < LVT_ENTRIES) this.#writeLvt(entry, value);
        break;
      }
    }
  }

  #writeSvr(value: number): void {
    this.#svr = value & Svr.WRITABLE;
    if ((value & Svr.ENABLED) !== 0) return;
    // "The mask bits for all the LVT entries are set" (§10.4.7.2).
    for (let entry = 0; entry < LVT_ENTRIES; entry++) this.#writeLvt(entry, this.#lvt[entry]);
  }

  #writeLvt(entry: number, value: number): void {
    // "Attempts to reset these bits will be ignored" while software has the APIC disabled.
    const forced = (this.#svr & Svr.ENABLED) !== 0 ? 0 : LvtBit.MASKED;
    if (entry === Lvt.TIMER) this.#timer.settle();
    this.#lvt[entry] = value & LVT_WRITABLE[entry] | forced;
    if (entry === Lvt.LINT0) this.#update();
    if (entry !== Lvt.TIMER) return;
    const written = this.#lvt[entry];
    this.#timer.configure((written >>> TimerMode.SHIFT) & 3, (written & LvtBit.MASKED) !== 0);
  }

  #sendIpi(): void {
    const icr = this.#icrLo;
    const mode = (icr >>> 8) & 7;
    // The level de-assert of INIT only reset arbitration IDs on early processors (§10.6.1).
    if (mode === Delivery.INIT && (icr & Icr.LEVEL) !== 0 && (icr & Icr.ASSERT) === 0) return;
    const destination = this.#x2apic ? this.#icrHi : widen(this.#icrHi >>> 24);
    const shorthand = icr >>> Icr.SHORTHAND_SHIFT;
    this.#send(shorthand, destination, (icr & Icr.LOGICAL) !== 0, mode, icr & 0xff);
  }

  #send(
    shorthand: number,
    destination: number,
    logical: boolean,
    mode: number,
    vector: number,
  ): void {
    const isVectored = mode === Delivery.FIXED || mode === Delivery.LOWEST_PRIORITY;
    if (isVectored && vector < FIRST_VECTOR) this.#error(ApicError.SEND_ILLEGAL);
    this.#bus.sendIpi(this.id, shorthand, destination, logical, mode, vector);
  }

  #interruptLocally(entry: number): void {
    const lvt = this.#lvt[entry];
    if ((lvt & LvtBit.MASKED) !== 0) return;
    // The timer and error entries have no delivery mode: their bits are zero, which is fixed.
    this.receive((lvt >>> 8) & 7, lvt & 0xff, false);
  }

  #accept(vector: number, level: boolean): boolean {
    if (!this.takesInterrupts) return false;
    if (vector < FIRST_VECTOR) {
      this.#error(ApicError.RECEIVE_ILLEGAL);
      return false;
    }
    this.#irr.add(vector);
    if (level) this.#tmr.add(vector);
    else this.#tmr.delete(vector);
    this.#update();
    return true;
  }

  #error(error: number): void {
    // "Rearms the APIC's error interrupt" is what a write to the register does: once per kind.
    if ((this.#errors & error) !== 0) return;
    this.#errors |= error;
    // An illegal vector in the error entry is noted here, as this is the interrupt it would raise.
    this.#interruptLocally(Lvt.ERROR);
  }

  #endOfInterrupt(): void {
    const vector = this.#isr.highest;
    if (vector < 0) return;
    this.#isr.delete(vector);
    this.#update();
    if (this.#tmr.has(vector)) this.#bus.onEoi(vector);
  }

  /** §10.8.3.1. */
  #processorPriority(): number {
    const inService = classOf(this.#isr.highest);
    return (this.#tpr & 0xf0) >= inService ? this.#tpr : inService;
  }

  /** Works out what the CPU would get, and tells it of what is new. */
  #update(): void {
    const requested = this.#irr.highest;
    const isUrgent = classOf(requested) > classOf(this.#processorPriority());
    const vector = isUrgent ? requested : -1;
    const lint0 = this.#lvt[Lvt.LINT0];
    const isConnected = !this.#enabled || (lint0 & (LvtBit.MASKED | 0x700)) === LvtBit.EXTINT;
    const external = this.#lint0 && isConnected;
    const isNew = vector >= 0 && vector !== this.#vector || external && !this.#external;
    this.#vector = vector;
    this.#external = external;
    if (isNew) this.#signals.interrupt(this.id);
  }
}

/** Priority class of a vector (§10.8.3), in place; 0 when there is none. */
function classOf(vector: number): number {
  return vector < 0 ? 0 : vector & 0xf0;
}
