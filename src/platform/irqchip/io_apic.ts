/**
 * The I/O APIC (Intel 82093AA data sheet 290566): 24 inputs, each of which sends a message of its
 * own choice.
 *
 * A line here says whether its device asks for an interrupt, not which voltage says so. The polarity
 * of an entry is therefore kept but means nothing: guests that get it wrong work as they do on KVM.
 */

import type { ApicBus } from "./apic_bus.ts";
import { Delivery } from "./lapic_registers.ts";

/** Inputs. */
export const IOAPIC_PINS = 24;
/** Version 0x11, without an EOI register, and the number of the last input (§3.2.2). */
const VERSION = 0x11 | (IOAPIC_PINS - 1) << 16;
/** Registers behind the window (§3.2); two for each input. */
const Index = { ID: 0, VERSION: 1, ARBITRATION: 2, REDIRECTION: 0x10 } as const;
/** Bits 27:24 of the identification registers. */
const ID_MASK = 0x0f00_0000;
/** Low half of an entry of the redirection table (§3.2.4). */
const Entry = {
  VECTOR: 0xff,
  LOGICAL: 0x0800,
  REMOTE_IRR: 0x4000,
  LEVEL: 0x8000,
  MASKED: 0x1_0000,
  /** All but delivery status, which is idle, and remote IRR. */
  WRITABLE: 0x1_afff,
} as const;

/** Offsets in the page: IOREGSEL and IOWIN (§3.1). */
const SELECT = 0x00;
const WINDOW = 0x10;

/** Registers and inputs. */
export class IoApic {
  readonly #bus: ApicBus;
  #selected = 0;
  #id = 0;
  /** Levels of the inputs, a bit each. */
  #lines = 0;
  readonly #low = new Uint32Array(IOAPIC_PINS).fill(Entry.MASKED);
  readonly #high = new Uint32Array(IOAPIC_PINS);

  constructor(bus: ApicBus) {
    this.#bus = bus;
  }

  /** The register at `offset` in the page; 0 where there is none. */
  read(offset: number): number {
    if (offset === SELECT) return this.#selected;
    return offset === WINDOW ? this.#readSelected() : 0;
  }

  write(offset: number, value: number): void {
    if (offset === SELECT) this.#selected = value & 0xff;
    else if (offset === WINDOW) this.#writeSelected(value);
  }

  /** Drives an input, 0 to 23. */
  setPin(pin: number, high: boolean): void {
    const bit = 1 << pin;
    if (((this.#lines & bit) !== 0) === high) return;
    this.#lines ^= bit;
    if (!high) return;
    if ((this.#low[pin] & Entry.LEVEL) !== 0) this.#sendLevel(pin);
    // "Edge-sensitive interrupts signaled on a masked interrupt pin are ignored" (§3.2.4, bit 16).
    else if ((this.#low[pin] & Entry.MASKED) === 0) this.#send(pin, false);
  }

  /** A local APIC has ended a level-triggered interrupt: one that is still asked for comes again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      const low = this.#low[pin];
      if ((low & Entry.REMOTE_IRR) === 0 || (low & Entry.VECTOR) !== vector) continue;
      this.#low[pin] = low & ~Entry.REMOTE_IRR;
      this.#sendLevel(pin);
    }
  }

  #readSelected(): number {
    switch (this.#selected) {
      case Index.ID:
      case Index.ARBITRATION: // Loaded with the ID; there is no bus to arbitrate for.
        return this.#id;
      case Index.VERSION:
        return VERSION;
      default: {
        const pin = this.#selectedPin();
        if (pin < 0) return 0;
        return (this.#selected & 1) !== 0 ? this.#high[pin] : this.#low[pin];
      }
    }
  }

  #writeSelected(value: number): void {
    if (this.#selected === Index.ID) this.#id = value & ID_MASK;
    const pin = this.#selectedPin();
    if (pin < 0) return;
    if ((this.#selected & 1) !== 0) this.#high[pin] = value & 0xff00_0000;
    else this.#writeEntry(pin, value);
  }

  #selectedPin(): number {
    const pin = (this.#selected - Index.REDIRECTION) >> 1;
    return pin < IOAPIC_PINS ? pin : -1;
  }

  #writeEntry(pin: number, value: number): void {
    // An edge has no remote IRR: operating systems turn an input to edge and back to clear it on
    // I/O APICs without an EOI register.
    const isLevel = (value & Entry.LEVEL) !== 0;
    const remoteIrr = isLevel ? this.#low[pin] & Entry.REMOTE_IRR : 0;
    this.#low[pin] = value & Entry.WRITABLE | remoteIrr;
    if (isLevel) this.#sendLevel(pin);
  }

  /** Sends what a level-triggered input asks for, unless that is still being served. */
  #sendLevel(pin: number): void {
    const low = this.#low[pin];
    const isAsked = (this.#lines & (1 << pin)) !== 0;
    if (!isAsked || (low & (Entry.MASKED | Entry.REMOTE_IRR)) !== 0) return;
    const mode = (low >>> 8) & 7;
    const hasEoi = mode === Delivery.FIXED || mode === Delivery.LOWEST_PRIORITY;
    if (this.#send(pin, hasEoi) && hasEoi) this.#low[pin] |= Entry.REMOTE_IRR;
  }

  #send(pin: number, level: boolean): boolean {
    const low = this.#low[pin];
    const destination = this.#high[pin] >>> 24;
    const isLogical = (low & Entry.LOGICAL) !== 0;
    return this.#bus.send(destination, isLogical, (low >>> 8) & 7, low & Entry.VECTOR, level);
  }
}
