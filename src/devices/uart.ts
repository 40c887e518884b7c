/**
 * The serial port of a PC: a 16550A (National Semiconductor PC16550D datasheet, 1995; sections are
 * its §8). Transmission takes no time. Reception is only as slow as the guest needs it: input waits
 * for a guest that listens (`#listening`), and a long input comes in bursts (`BURST_BYTES`).
 */

import { ByteDevice } from "./byte_device.ts";
import { BREAK, type ByteSink, type ByteSource, NO_BYTE } from "./byte_stream.ts";
import type { Clock, IrqLine } from "./device.ts";
import { FIFO_DEPTH, UartFifo } from "./uart_fifo.ts";

/** Ports of one UART. */
export const UART_PORTS = 8;

/** Registers by offset (Table I); DLAB in LCR turns 0 and 1 into the divisor latch. */
const Register = { DATA: 0, IER: 1, IIR_FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;
/** Interrupt enable (§8.6). */
const Ier = { RECEIVED: 1, TRANSMITTER: 2, LINE: 4, MODEM: 8, ALL: 0x0f } as const;
/** Interrupt identification (§8.5, Table IV), from the highest priority down. */
const Iir = { LINE: 6, RECEIVED: 4, TIMEOUT: 0xc, TRANSMITTER: 2, MODEM: 0, NONE: 1, FIFOS: 0xc0 };
/** FIFO control (§8.4). */
const Fcr = { ENABLE: 1, CLEAR_RECEIVER: 2 } as const;
/** Line control (§8.1). */
const Lcr = { BREAK: 0x40, DLAB: 0x80 } as const;
/** Line status (§8.3). */
const Lsr = { DATA_READY: 1, OVERRUN: 2, BREAK: 0x10, EMPTY: 0x60, FIFO_ERROR: 0x80 } as const;
/** Modem control (§8.7). */
const Mcr = { DTR: 1, RTS: 2, OUT1: 4, OUT2: 8, LOOPBACK: 0x10, ALL: 0x1f } as const;
/** Modem status (§8.8): the lines, and what changed since the last read. */
const Msr = { CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80, TERI: 4, DELTAS: 0x0b } as const;

/** The other end of the line is always there and ready. */
const PEER_LINES = Msr.CTS | Msr.DSR | Msr.DCD;
/** Receive trigger levels in bytes, by FCR bits 7:6 (§8.4). */
const TRIGGER_BYTES = [1, 4, 8, 14] as const;
/** 9600 baud of the 1.8432 MHz crystal: what PC firmware leaves behind. */
const DIVISOR_9600 = 12;
/**
 * Reads of the line status in a row after which the guest is taken to poll for input. A driver that
 * only waits for room to send reads it two or three times between its other accesses.
 */
const POLLS_TO_LISTEN = 16;
/**
 * Input comes in bursts of so many bytes, with pauses between them. Without pauses a driver that
 * reads as long as there is something would never leave its interrupt handler while much is typed,
 * and what cannot go on to a reader meanwhile is dropped (Linux keeps 64 KiB). This is still five
 * times as fast as 115,200 baud.
 */
const BURST_BYTES = 64;
const PAUSE_NS = 1e6;

/** What a UART is connected to. */
export interface UartOptions {
  readonly name: string;
  /** First of its eight ports. */
  readonly base: number;
  readonly clock: Clock;
  readonly irq: IrqLine;
  readonly input: ByteSource;
  readonly output: ByteSink;
}

/**
 * A 16550A. Its interrupt output is not gated by OUT2, as it is on the boards of the time, since
 * guests that were only ever tried in other hypervisors leave OUT2 off.
 */
export class Uart extends ByteDevice {
  readonly name: string;
  readonly #base: number;
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  readonly #input: ByteSource;
  readonly #output: ByteSink;

  /** What the guest can read. */
  #fifo = new UartFifo();
  /** What was in the FIFO when the guest reset it, and arrives again. */
  #wire = new UartFifo();
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scratch = 0;
  #divisor = DIVISOR_9600;
  /** The byte last read. */
  #received = 0;
  /** Overrun and break, until the line status is read. */
  #lineErrors = 0;
  #modemDeltas = 0;
  /** The transmitter became empty and nobody has been told yet. */
  #transmitterEvent = false;
  /** The FIFO has bytes of the guest's own, sent in loopback. */
  #looped = false;
  #polls = 0;
  /** Bytes left of the current burst; at 0 the next one begins at `#burstNs`. */
  #burstLeft = BURST_BYTES;
  #burstNs = 0;
  #level = false;

  constructor(options: UartOptions) {
    super();
    this.name = options.name;
    this.#base = options.base;
    this.#clock = options.clock;
    this.#irq = options.irq;
    this.#input = options.input;
    this.#output = options.output;
  }

  /** Takes input as far as there is room. The machine calls it when the source may have more. */
  pull(): void {
    if (this.#burstLeft === 0 && this.#clock.nowNs() >= this.#burstNs) {
      this.#burstLeft = BURST_BYTES;
    }
    if ((this.#mcr & Mcr.LOOPBACK) === 0 && this.#listening()) this.#receive();
    this.#update();
  }

  /** When `pull` is due next, on `Clock.nowNs`: the end of a pause, or Infinity. */
  nextDeadlineNs(): number {
    return this.#burstLeft === 0 ? this.#burstNs : Infinity;
  }

  protected override readByte(port: number): number {
    const register = (port - this.#base) & 7;
    if (register === Register.LSR) return this.#readLineStatus();
    if (this.#polls < POLLS_TO_LISTEN) this.#polls = 0;
    switch (register) {
      case Register.DATA:
        return this.#dlab() ? this.#divisor & 0xff : this.#readData();
      case Register.IER:
        return this.#dlab() ? this.#divisor >>> 8 : this.#ier;
      case Register.IIR_FCR:
        return this.#readInterruptId();
      case Register.LCR:
        return this.#lcr;
      case Register.MCR:
        return this.#mcr;
      case Register.MSR:
        return this.#readModemStatus();
      default:
        return this.#scratch;
    }
  }

  protected override writeByte(port: number, value: number): void {
    if (this.#polls < POLLS_TO_LISTEN) this.#polls = 0;
    switch ((port - this.#base) & 7) {
      case Register.DATA:
        if (this.#dlab()) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case Register.IER:
        if (this.#dlab()) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else this.#writeInterruptEnable(value);
        break;
      case Register.IIR_FCR:
        this.#writeFifoControl(value);
        break;
      case Register.LCR:
        this.#writeLineControl(value);
        break;
      case Register.MCR:
        this.#writeModemControl(value);
        break;
      case Register.SCR:
        this.#scratch = value;
        break;
      default: // The status registers are for reading only (§8.3, §8.8).
        break;
    }
  }

  #dlab(): boolean {
    return (this.#lcr & Lcr.DLAB) !== 0;
  }

  #depth(): number {
    return (this.#fcr & Fcr.ENABLE) !== 0 ? FIFO_DEPTH : 1;
  }

  /**
   * Whether the guest takes input: its receive interrupt is on, or it has polled for a while since
   * the receiver was last reset. Until then input stays at the source. Drivers reset the FIFO and read the
   * data register blindly while they start; on real hardware that is over before the next character
   * arrives, and so nothing typed ahead is lost here.
   */
  #listening(): boolean {
    return (this.#ier & Ier.RECEIVED) !== 0 || this.#polls >= POLLS_TO_LISTEN;
  }

  /** Fills the FIFO: first with what the guest has reset away, then from the source. */
  #receive(): void {
    const depth = this.#depth();
    while (this.#fifo.count < depth) {
      const entry = this.#wire.count > 0 ? this.#wire.take() : this.#takeInput();
      if (entry < 0) break;
      this.#fifo.put(entry);
    }
    this.#revealBreak();
  }

  #takeInput(): number {
    if (this.#burstLeft === 0) return NO_BYTE;
    const entry = this.#input.take();
    if (entry < 0) return NO_BYTE;
    this.#burstLeft--;
    if (this.#burstLeft === 0) this.#burstNs = this.#clock.nowNs() + PAUSE_NS;
    return entry;
  }

  /**
   * More input arrives once the FIFO is empty and the interrupt line has fallen: an edge-triggered
   * controller then sees every filling, and a driver that reads one byte an interrupt gets the next.
   */
  #readData(): number {
    if (this.#fifo.count > 0) this.#received = this.#fifo.take() & 0xff;
    this.#revealBreak();
    this.#update();
    if (this.#fifo.count === 0) {
      this.#looped = false;
      this.pull();
    }
    return this.#received;
  }

  #readLineStatus(): number {
    const ready = this.#fifo.count > 0;
    let status = Lsr.EMPTY | this.#lineErrors | (ready ? Lsr.DATA_READY : 0);
    if (this.#depth() > 1 && ((this.#lineErrors & Lsr.BREAK) !== 0 || this.#fifo.breaks > 0)) {
      status |= Lsr.FIFO_ERROR;
    }
    this.#lineErrors = 0;
    if (this.#polls < POLLS_TO_LISTEN) this.#polls++;
    if (ready) this.#update();
    else this.pull();
    return status;
  }

  #readInterruptId(): number {
    const id = this.#interruptId();
    if (id === Iir.TRANSMITTER) {
      this.#transmitterEvent = false;
      this.#update();
    }
    return id | (this.#depth() > 1 ? Iir.FIFOS : 0);
  }

  #readModemStatus(): number {
    const status = this.#modemLines() | this.#modemDeltas;
    this.#modemDeltas = 0;
    this.#update();
    return status;
  }

  #writeInterruptEnable(value: number): void {
    const turnedOn = value & ~this.#ier;
    this.#ier = value & Ier.ALL;
    // The transmitter is empty, so its interrupt comes as soon as it is let through (§8.6).
    if ((turnedOn & Ier.TRANSMITTER) !== 0) this.#transmitterEvent = true;
    this.pull();
  }

  #writeFifoControl(value: number): void {
    const toggled = ((value ^ this.#fcr) & Fcr.ENABLE) !== 0;
    // The other bits are only taken together with the enable bit (§8.4).
    this.#fcr = (value & Fcr.ENABLE) !== 0 ? value & 0xc9 : 0;
    const clears = Fcr.ENABLE | Fcr.CLEAR_RECEIVER;
    if (toggled || (value & clears) === clears) this.#resetReceiver();
    this.pull();
  }

  /** Empties the FIFO; input that the guest has not read goes back on the line. */
  #resetReceiver(): void {
    if (!this.#looped) {
      // The line holds bytes only as long as both together fit one FIFO.
      while (this.#wire.count > 0) this.#fifo.put(this.#wire.take());
      const unread = this.#fifo;
      this.#fifo = this.#wire;
      this.#wire = unread;
    }
    this.#fifo.clear();
    this.#looped = false;
    this.#polls = 0;
  }

  #writeLineControl(value: number): void {
    const breakBegins = (value & ~this.#lcr & Lcr.BREAK) !== 0;
    this.#lcr = value;
    if (breakBegins && (this.#mcr & Mcr.LOOPBACK) !== 0) this.#loop(BREAK);
    this.#update();
  }

  #writeModemControl(value: number): void {
    const before = this.#modemLines();
    this.#mcr = value & Mcr.ALL;
    const after = this.#modemLines();
    this.#modemDeltas |= ((before ^ after) >>> 4) & Msr.DELTAS;
    // The ring indicator counts when it ends (§8.8, bit 2).
    if ((before & ~after & Msr.RI) !== 0) this.#modemDeltas |= Msr.TERI;
    this.pull();
  }

  #transmit(value: number): void {
    // The interrupt goes away with the write and comes back once the byte is out: an edge per byte.
    this.#transmitterEvent = false;
    this.#update();
    if ((this.#mcr & Mcr.LOOPBACK) !== 0) this.#loop(value);
    else this.#output.put(value);
    this.#transmitterEvent = true;
    this.#update();
  }

  /** Receives the guest's own byte. One too many is lost: the last in the FIFO's case (§8.3). */
  #loop(entry: number): void {
    if (this.#fifo.count >= this.#depth()) {
      this.#lineErrors |= Lsr.OVERRUN;
      if (this.#depth() > 1) return;
      this.#fifo.clear();
    }
    this.#looped = true;
    this.#fifo.put(entry);
    this.#revealBreak();
  }

  /** A break shows in the line status once it is the oldest in the FIFO (§8.3, bit 4). */
  #revealBreak(): void {
    if (this.#fifo.unmarkOldest()) this.#lineErrors |= Lsr.BREAK;
  }

  /** In loopback the guest's outputs are its inputs (§8.7). */
  #modemLines(): number {
    const mcr = this.#mcr;
    if ((mcr & Mcr.LOOPBACK) === 0) return PEER_LINES;
    return ((mcr & Mcr.RTS) !== 0 ? Msr.CTS : 0) | ((mcr & Mcr.DTR) !== 0 ? Msr.DSR : 0) |
      ((mcr & Mcr.OUT1) !== 0 ? Msr.RI : 0) | ((mcr & Mcr.OUT2) !== 0 ? Msr.DCD : 0);
  }

  /**
   * What to tell the guest first (Table IV). Fewer bytes than the trigger level count as timed out
   * at once: the source had no more when the FIFO was filled.
   */
  #interruptId(): number {
    const enabled = this.#ier;
    if ((enabled & Ier.LINE) !== 0 && this.#lineErrors !== 0) return Iir.LINE;
    if ((enabled & Ier.RECEIVED) !== 0 && this.#fifo.count > 0) {
      const trigger = this.#depth() > 1 ? TRIGGER_BYTES[this.#fcr >>> 6] : 1;
      return this.#fifo.count >= trigger ? Iir.RECEIVED : Iir.TIMEOUT;
    }
    if ((enabled & Ier.TRANSMITTER) !== 0 && this.#transmitterEvent) return Iir.TRANSMITTER;
    if ((enabled & Ier.MODEM) !== 0 && this.#modemDeltas !== 0) return Iir.MODEM;
    return Iir.NONE;
  }

  #update(): void {
    const level = this.#interruptId() !== Iir.NONE;
    if (level === this.#level) return;
    this.#level = level;
    this.#irq.set(level);
  }
}
