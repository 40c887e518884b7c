/**
 * Interrupt messages between local APICs, I/O APIC and devices (SDM 3A §10.6, §10.11): who is meant,
 * and for lowest-priority delivery which of them it is.
 */

import { Delivery, Shorthand } from "./lapic_registers.ts";
import type { LocalApic } from "./local_apic.ts";

/** Destination of everyone, for senders with 8 and with 32 bits (§10.6.2.1, §10.12.10). */
const BROADCAST = 0xff;
const WIDE_BROADCAST = 0xffff_ffff;

/** What connects the APICs of one machine. */
export class ApicBus {
  /** By APIC ID, filled in as the APICs are made. */
  readonly apics: LocalApic[] = [];
  /** Where an end of a level-triggered interrupt is broadcast to. */
  onEoi: (vector: number) => void = () => {};
  /** The APIC that took the last lowest-priority interrupt: among equals the next one is taken. */
  #lastTaken = 0;

  /**
   * A message of an I/O APIC or a device, which have 8 bits of destination. True: an APIC has
   * accepted it.
   */
  send(
    destination: number,
    logical: boolean,
    mode: number,
    vector: number,
    level: boolean,
  ): boolean {
    return this.#deliver(-1, Shorthand.NONE, widen(destination), logical, mode, vector, level);
  }

  /** An interprocessor interrupt of APIC `from`, to 32 bits of destination. */
  sendIpi(
    from: number,
    shorthand: number,
    destination: number,
    logical: boolean,
    mode: number,
    vector: number,
  ): void {
    this.#deliver(from, shorthand, destination, logical, mode, vector, false);
  }

  #deliver(
    from: number,
    shorthand: number,
    destination: number,
    logical: boolean,
    mode: number,
    vector: number,
    level: boolean,
  ): boolean {
    const apics = this.apics;
    if (mode === Delivery.LOWEST_PRIORITY) {
      const taker = this.#lowestPriority(from, shorthand, destination, logical);
      return taker !== undefined && taker.receive(Delivery.FIXED, vector, level);
    }
    if (shorthand === Shorthand.NONE && !logical && destination !== WIDE_BROADCAST) {
      return destination < apics.length && apics[destination].receive(mode, vector, level);
    }
    let accepted = false;
    for (let i = 0; i < apics.length; i++) {
      if (!isMeant(apics[i], from, shorthand, destination, logical)) continue;
      if (apics[i].receive(mode, vector, level)) accepted = true;
    }
    return accepted;
  }

  /** Of those that are meant and take interrupts, the one that does the least urgent work. */
  #lowestPriority(
    from: number,
    shorthand: number,
    destination: number,
    logical: boolean,
  ): LocalApic | undefined {
    const apics = this.apics;
    let best: LocalApic | undefined;
    for (let i = 1; i <= apics.length; i++) {
      const apic = apics[(this.#lastTaken + i) % apics.length];
      if (!apic.takesInterrupts) continue;
      if (!isMeant(apic, from, shorthand, destination, logical)) continue;
      if (best === undefined || apic.arbitrationPriority < best.arbitrationPriority) best = apic;
    }
    if (best !== undefined) this.#lastTaken = best.id;
    return best;
  }
}

function isMeant(
  apic: LocalApic,
  from: number,
  shorthand: number,
  destination: number,
  logical: boolean,
): boolean {
  switch (shorthand) {
    case Shorthand.SELF:
      return apic.id === from;
    case Shorthand.ALL:
      return true;
    case Shorthand.OTHERS:
      return apic.id !== from;
    default:
      if (destination === WIDE_BROADCAST) return true;
      return logical ? apic.isLogical(destination) : apic.id === destination;
  }
}

/** The 32 bits that an 8-bit destination of an xAPIC stands for. */
export function widen(destination: number): number {
  return destination === BROADCAST ? WIDE_BROADCAST : destination;
}
