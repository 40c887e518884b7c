/**
 * One 8259A (Intel data sheet 231468): eight requests, the masks and priorities that choose among
 * them, and the command words that set those. The pair of a PC is in pic_pair.ts.
 *
 * An edge is remembered until the CPU takes it, even when its line falls before: a device here may
 * pulse its line between two instructions, which a real one cannot.
 */

/** ICW1 and what tells it from OCW2 and OCW3: bits 4:3 of what is written at A0 = 0. */
const Command = { INITIALISE: 0x10, OCW3: 0x08 } as const;
const ICW1 = { IC4: 0x01, SINGLE: 0x02 } as const;
const ICW4 = { AUTO_EOI: 0x02, SPECIAL_NESTED: 0x10 } as const;
/** OCW2: rotate, specific and end of interrupt; bits 2:0 are a level. */
const OCW2 = { EOI: 0x20, SPECIFIC: 0x40, ROTATE: 0x80 } as const;
const OCW3 = { SELECT: 0x02, SERVICE: 0x01, POLL: 0x04, MASK_ENABLE: 0x40, MASK: 0x20 } as const;
/** An answer to the poll command: there was a request, and bits 2:0 say which. */
const POLL_REQUEST = 0x80;
/** What an acknowledgement gives when no request is left ("IR7 default"). */
const SPURIOUS = 7;

/** The word that the next write at A0 = 1 is. */
type Expected = "OCW1" | "ICW2" | "ICW3" | "ICW4";

/** One chip. Levels are 0 to 7 as the pins have them. */
export class Pic {
  /** What the INT pin says; `onOutput` is told of changes. */
  output = false;
  readonly #onOutput: () => void;
  /** The inputs that a slave drives, in the master: 0 in a slave. */
  readonly #cascaded: number;
  /** Inputs that can be switched to level (PIIX and ICH: ELCR). */
  readonly #levelCapable: number;
  #lines = 0;
  #irr = 0;
  #isr = 0;
  #imr = 0;
  /** Bit set: the input is level-triggered. */
  #levels = 0;
  #base = 0;
  /** The level of the lowest priority; the one after it has the highest. */
  #lowest = 7;
  #expected: Expected = "OCW1";
  #hasIcw4 = false;
  #single = false;
  #autoEoi = false;
  #rotateOnAutoEoi = false;
  #specialNested = false;
  #specialMask = false;
  #readService = false;
  #polled = false;

  constructor(options: { levelCapable: number; cascaded: number; onOutput: () => void }) {
    this.#levelCapable = options.levelCapable;
    this.#cascaded = options.cascaded;
    this.#onOutput = options.onOutput;
  }

  /** Drives an input, 0 to 7. */
  setLine(level: number, high: boolean): void {
    const bit = 1 << level;
    if ((this.#lines & bit) !== 0 === high) return;
    this.#lines ^= bit;
    if (high) this.#irr |= bit;
    else if ((this.#followers() & bit) !== 0) this.#irr &= ~bit;
    this.#update();
  }

  /** Both INTA pulses: the level that goes into service. The vector is `base` + level. */
  acknowledge(): number {
    const level = this.#highest();
    if (level < 0) return SPURIOUS;
    const bit = 1 << level;
    this.#irr &= ~bit | this.#lines & this.#followers();
    if (!this.#autoEoi) this.#isr |= bit;
    else if (this.#rotateOnAutoEoi) this.#lowest = level;
    this.#update();
    return level;
  }

  /** Bits 7:3 of the vectors (ICW2). */
  get base(): number {
    return this.#base;
  }

  /** `a0` is the lowest address line. */
  read(a0: number): number {
    if (this.#polled) {
      this.#polled = false;
      return this.#highest() < 0 ? 0 : POLL_REQUEST | this.acknowledge();
    }
    if (a0 !== 0) return this.#imr;
    return this.#readService ? this.#isr : this.#irr;
  }

  write(a0: number, value: number): void {
    if (a0 !== 0) this.#writeData(value);
    else if ((value & Command.INITIALISE) !== 0) this.#initialise(value);
    else if ((value & Command.OCW3) !== 0) this.#writeOcw3(value);
    else this.#writeOcw2(value);
    this.#update();
  }

  /** The edge/level control register (82371AB §4.2.6): bit set for level-triggered. */
  get edgeLevel(): number {
    return this.#levels;
  }

  set edgeLevel(value: number) {
    this.#levels = value & this.#levelCapable;
    this.#irr = this.#irr & ~this.#levels | this.#lines & this.#levels;
    this.#update();
  }

  /** Inputs whose request is their line: level-triggered ones, and a slave, which may withdraw. */
  #followers(): number {
    return this.#levels | this.#cascaded;
  }

  #initialise(icw1: number): void {
    // "The edge sense circuit is reset": an input must rise again. A level still stands.
    this.#irr = this.#lines & this.#followers();
    this.#isr = 0;
    this.#imr = 0;
    this.#lowest = 7;
    this.#specialMask = false;
    this.#readService = false;
    this.#polled = false;
    this.#hasIcw4 = (icw1 & ICW1.IC4) !== 0;
    this.#single = (icw1 & ICW1.SINGLE) !== 0;
    // "If IC4 = 0, then all functions selected in ICW4 are set to zero."
    this.#writeIcw4(0);
    this.#rotateOnAutoEoi = false;
    this.#expected = "ICW2";
  }

  #writeData(value: number): void {
    switch (this.#expected) {
      case "ICW2":
        this.#base = value & 0xf8;
        this.#expected = this.#single ? this.#afterIcw3() : "ICW3";
        break;
      case "ICW3": // Which input the slave is on: the board's wires say so already.
        this.#expected = this.#afterIcw3();
        break;
      case "ICW4":
        this.#writeIcw4(value);
        this.#expected = "OCW1";
        break;
      case "OCW1":
        this.#imr = value;
        break;
    }
  }

  #afterIcw3(): Expected {
    return this.#hasIcw4 ? "ICW4" : "OCW1";
  }

  #writeIcw4(icw4: number): void {
    this.#autoEoi = (icw4 & ICW4.AUTO_EOI) !== 0;
    this.#specialNested = (icw4 & ICW4.SPECIAL_NESTED) !== 0;
  }

  #writeOcw2(ocw2: number): void {
    const rotate = (ocw2 & OCW2.ROTATE) !== 0;
    if ((ocw2 & OCW2.EOI) !== 0) {
      const level = (ocw2 & OCW2.SPECIFIC) !== 0 ? ocw2 & 7 : this.#inService();
      if (level < 0) return;
      this.#isr &= ~(1 << level);
      if (rotate) this.#lowest = level;
    } else if ((ocw2 & OCW2.SPECIFIC) === 0) {
      this.#rotateOnAutoEoi = rotate;
    } else if (rotate) {
      this.#lowest = ocw2 & 7; // Set priority; without rotation it is the no-operation.
    }
  }

  #writeOcw3(ocw3: number): void {
    this.#polled = (ocw3 & OCW3.POLL) !== 0;
    if ((ocw3 & OCW3.SELECT) !== 0) this.#readService = (ocw3 & OCW3.SERVICE) !== 0;
    if ((ocw3 & OCW3.MASK_ENABLE) !== 0) this.#specialMask = (ocw3 & OCW3.MASK) !== 0;
  }

  /** In the special mask mode a masked level in service holds nothing up. */
  #heldInService(): number {
    return this.#specialMask ? this.#isr & ~this.#imr : this.#isr;
  }

  /** The level that a non-specific end of interrupt means; -1 for none. */
  #inService(): number {
    const rank = firstFrom(this.#heldInService(), this.#lowest + 1);
    return rank === 8 ? -1 : (rank + this.#lowest + 1) & 7;
  }

  /** The request that goes to the CPU next; -1 for none. */
  #highest(): number {
    const rank = firstFrom(this.#irr & ~this.#imr, this.#lowest + 1);
    if (rank === 8) return -1;
    // Fully nested: what is in service holds up its own level and those below. In the special fully
    // nested mode a slave in service does not hold up itself.
    let held = this.#heldInService();
    if (this.#specialNested) held &= ~this.#cascaded;
    return rank < firstFrom(held, this.#lowest + 1) ? (rank + this.#lowest + 1) & 7 : -1;
  }

  #update(): void {
    const output = this.#highest() >= 0;
    if (output === this.output) return;
    this.output = output;
    this.#onOutput();
  }
}

/** How many places after `first` the first set bit of `bits` is, going round; 8 for none. */
function firstFrom(bits: number, first: number): number {
  const turned = ((bits | bits << 8) >>> (first & 7)) & 0xff;
  return turned === 0 ? 8 : 31 - Math.clz32(turned & -turned);
}
