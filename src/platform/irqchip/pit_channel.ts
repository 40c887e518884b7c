/**
 * One counter of an 8254 (Intel data sheet 231164). Nothing ticks: a count is the time since it was
 * loaded. Times are numbers of CLK pulses since the guest started; every method brings the counter
 * up to the time it is given, which never goes back.
 *
 * The counting element is loaded on the CLK pulse after a write or a trigger, in modes 2 and 3 at
 * the end of the running cycle. So at most one load is due at a time, and what lies between two
 * times is worked out in a few steps however far they are apart.
 */

/** Access of a byte at a time (control word bits 5:4). */
const Access = { LOW: 1, HIGH: 2, BOTH: 3 } as const;
/** Status byte (read-back command). */
const Status = { OUTPUT: 0x80, NULL_COUNT: 0x40, CONTROL: 0x3f } as const;
/** After how many pulses a counter wraps, which is also what a count of 0 means. */
const BINARY_MODULUS = 0x1_0000;
const BCD_MODULUS = 10_000;
/** Nothing latched. */
const NONE = -1;

/** A counter, its registers and latches. */
export class PitChannel {
  /** Control word bits 5:0: access, mode, BCD. */
  #control: number = Access.BOTH << 4;
  #mode = 0;
  #modulus = BINARY_MODULUS;
  #gate: boolean;
  /** The count register, 1 to 65536; 0 until it is written. */
  #written = 0;
  /** What was written is not in the counting element yet. */
  #nullCount = true;
  /** The low byte of a count whose high byte is to come; NONE when it is not. */
  #lowByte = NONE;
  /** The high byte is read next. */
  #readsHigh = false;
  #latchedCount = NONE;
  #latchedStatus = NONE;

  /** The counting element's start value; 0 until it is loaded after a control word. */
  #loaded = 0;
  /** When the counting element was loaded; while it stands still, how long it counted instead. */
  #origin = 0;
  #counting = false;
  /** When the count register goes into the counting element; Infinity when nothing is due. */
  #loadAt = Infinity;
  /** That load begins a low half of a square wave. */
  #loadsLow = false;
  /** The time up to which this is worked out. */
  #now = 0;
  #rose = false;

  /** A counter with its GATE pin tied or driven to `gate`. */
  constructor(gate: boolean) {
    this.#gate = gate;
  }

  /** Whether OUT has risen since the last time this was asked. */
  takeRise(now: number): boolean {
    this.#advance(now);
    const rose = this.#rose;
    this.#rose = false;
    return rose;
  }

  /** The OUT pin. */
  output(now: number): boolean {
    this.#advance(now);
    return this.#output();
  }

  /** When OUT rises next, or an earlier time at which to ask again; Infinity for never. */
  nextRise(now: number): number {
    this.#advance(now);
    return Math.min(this.#riseAfter(this.#now), this.#loadAt);
  }

  /** Whether OUT goes on rising without being written to (modes 2 and 3). */
  get periodic(): boolean {
    return this.#mode === 2 || this.#mode === 3;
  }

  /** Drives the GATE pin. */
  setGate(now: number, gate: boolean): void {
    this.#advance(now);
    if (gate === this.#gate) return;
    const wasHigh = this.#output();
    switch (this.#mode) {
      case 0:
      case 4: // The level lets it count.
        if (gate) this.#resume();
        else this.#pause();
        break;
      case 2:
      case 3: // Low stops it with OUT high; a rise starts it afresh.
        if (gate) this.#trigger();
        else this.#stop();
        break;
      default: // Modes 1 and 5: a rise triggers, the level does not matter.
        if (gate) this.#trigger();
        break;
    }
    this.#gate = gate;
    if (!wasHigh && this.#output()) this.#rose = true;
  }

  /** A control word for this counter, but not the latch command. */
  writeControl(now: number, word: number): void {
    this.#advance(now);
    const wasHigh = this.#output();
    this.#control = word & Status.CONTROL;
    const mode = (word >>> 1) & 7;
    this.#mode = mode > 5 ? mode - 4 : mode; // X10 and X11 are modes 2 and 3.
    this.#modulus = (word & 1) !== 0 ? BCD_MODULUS : BINARY_MODULUS;
    this.#written = 0;
    this.#loaded = 0;
    this.#counting = false;
    this.#origin = 0;
    this.#loadAt = Infinity;
    this.#nullCount = true;
    this.#lowByte = NONE;
    this.#readsHigh = false;
    this.#latchedCount = NONE;
    this.#latchedStatus = NONE;
    if (!wasHigh && this.#output()) this.#rose = true;
  }

  /** A byte of the count. */
  write(now: number, byte: number): void {
    this.#advance(now);
    const access = this.#control >>> 4;
    if (access === Access.BOTH && this.#lowByte === NONE) {
      this.#lowByte = byte;
      // The first byte stops mode 0 with OUT low.
      if (this.#mode === 0) this.#unload();
      return;
    }
    const low = access === Access.LOW ? byte : access === Access.BOTH ? this.#lowByte : 0;
    this.#lowByte = NONE;
    this.#setCount(access === Access.LOW ? low : byte << 8 | low);
  }

  /** A byte of the latched status, of the latched count, or of the running count. */
  read(now: number): number {
    this.#advance(now);
    if (this.#latchedStatus !== NONE) {
      const status = this.#latchedStatus;
      this.#latchedStatus = NONE;
      return status;
    }
    const count = this.#latchedCount === NONE ? this.#shown() : this.#latchedCount;
    const access = this.#control >>> 4;
    if (access === Access.BOTH && !this.#readsHigh) {
      this.#readsHigh = true;
      return count & 0xff;
    }
    this.#readsHigh = false;
    this.#latchedCount = NONE;
    return access === Access.LOW ? count & 0xff : count >>> 8;
  }

  /** Keeps the count until it is read; a second latch before that is ignored. */
  latchCount(now: number): void {
    this.#advance(now);
    if (this.#latchedCount === NONE) this.#latchedCount = this.#shown();
  }

  /** Keeps the status until it is read, likewise. */
  latchStatus(now: number): void {
    this.#advance(now);
    if (this.#latchedStatus !== NONE) return;
    this.#latchedStatus = this.#control | (this.#output() ? Status.OUTPUT : 0) |
      (this.#nullCount ? Status.NULL_COUNT : 0);
  }

  #setCount(value: number): void {
    const count = (this.#control & 1) !== 0 ? fromBcd(value) : value;
    this.#written = count === 0 ? this.#modulus : count;
    this.#nullCount = true;
    switch (this.#mode) {
      case 0:
        this.#unload();
        this.#loadAt = this.#now + 1;
        break;
      case 4:
        this.#loadAt = this.#now + 1;
        break;
      case 2:
      case 3:
        if (!this.#gate) break; // The trigger will load it.
        if (!this.#counting) this.#trigger();
        else if (this.#loadAt === Infinity) this.#loadAtBoundary();
        break;
      default: // Modes 1 and 5: the trigger loads it.
        break;
    }
  }

  /** A trigger loads the count on the next pulse, if there is one. */
  #trigger(): void {
    if (this.#written === 0) return;
    this.#loadAt = this.#now + 1;
    this.#loadsLow = false;
  }

  /** A new count goes in at the end of a cycle (mode 2) or of half a square wave (mode 3). */
  #loadAtBoundary(): void {
    const start = this.#now - (this.#now - this.#origin) % this.#loaded;
    const half = start + highHalf(this.#loaded);
    this.#loadsLow = this.#mode === 3 && this.#now < half;
    this.#loadAt = this.#loadsLow ? half : start + this.#loaded;
  }

  #pause(): void {
    if (!this.#counting) return;
    this.#origin = this.#now - this.#origin;
    this.#counting = false;
    // The gate does not make mode 4's strobe longer: the same count, one turn later.
    if (this.#mode === 4 && this.#origin === this.#loaded) this.#origin += this.#modulus;
  }

  #resume(): void {
    if (this.#loaded === 0) return;
    this.#origin = this.#now - this.#origin;
    this.#counting = true;
  }

  #stop(): void {
    this.#pause();
    this.#loadAt = Infinity;
  }

  #unload(): void {
    this.#pause();
    this.#loaded = 0;
    this.#loadAt = Infinity;
  }

  #advance(now: number): void {
    if (this.#loadAt <= now) {
      // Triggered again on the very pulse on which it would end, mode 1 stays low.
      const last = this.#mode === 1 ? this.#loadAt - 1 : this.#loadAt;
      if (this.#riseAfter(this.#now) <= last) this.#rose = true;
      this.#load();
    }
    if (this.#riseAfter(this.#now) <= now) this.#rose = true;
    this.#now = now;
  }

  #load(): void {
    this.#now = this.#loadAt;
    this.#loadAt = Infinity;
    this.#loaded = this.#written;
    this.#nullCount = false;
    const elapsed = this.#loadsLow ? highHalf(this.#loaded) : 0;
    this.#loadsLow = false;
    // The gate holds modes 0 and 4, but it does not keep the count out.
    this.#counting = this.#gate || this.#mode === 1 || this.#mode === 5;
    this.#origin = this.#counting ? this.#now - elapsed : elapsed;
  }

  /** Pulses since the load that were counted. */
  #elapsed(): number {
    return this.#counting ? this.#now - this.#origin : this.#origin;
  }

  #output(): boolean {
    const elapsed = this.#elapsed();
    const loaded = this.#loaded;
    switch (this.#mode) {
      case 0:
        return loaded !== 0 && elapsed >= loaded;
      case 1:
        return loaded === 0 || elapsed >= loaded;
      case 2: // Low while the count is 1.
        return !this.#counting || elapsed % loaded !== loaded - 1;
      case 3:
        return !this.#counting || elapsed % loaded < highHalf(loaded);
      default: // Modes 4 and 5: low for the one pulse on which the count is 0.
        return loaded === 0 || elapsed !== loaded;
    }
  }

  /** The next rise of OUT after `time`, whatever load is due; Infinity for none. */
  #riseAfter(time: number): number {
    if (!this.#counting) return Infinity;
    const loaded = this.#loaded;
    let rise: number;
    switch (this.#mode) {
      case 0:
      case 1:
        rise = this.#origin + loaded;
        break;
      case 2:
      case 3: // A count of 1 is illegal; it gives no edges here.
        if (loaded === 1) return Infinity;
        return time + loaded - (time - this.#origin) % loaded;
      default:
        rise = this.#origin + loaded + 1;
        break;
    }
    return rise > time ? rise : Infinity;
  }

  /** The counting element as it is read. */
  #shown(): number {
    const count = this.#count() % this.#modulus;
    return (this.#control & 1) !== 0 ? toBcd(count) : count;
  }

  #count(): number {
    const loaded = this.#loaded;
    // A count that is due reads as if it were loaded: a fast CPU reads it back before the pulse.
    if (loaded === 0) return this.#loadAt === Infinity ? 0 : this.#written;
    const elapsed = this.#elapsed();
    switch (this.#mode) {
      case 2:
        return loaded - elapsed % loaded;
      case 3: { // Counts down by two, twice a cycle, from the count less its lowest bit.
        const phase = elapsed % loaded;
        const high = highHalf(loaded);
        return loaded - loaded % 2 - 2 * (phase < high ? phase : phase - high);
      }
      default: // After the end it goes on from the top.
        return loaded + this.#modulus - elapsed % this.#modulus;
    }
  }
}

/** How long the first half of a square wave is: the longer one of an odd count. */
function highHalf(count: number): number {
  return (count + 1) >>> 1;
}

/** Four decimal digits; digits above 9 count as what they are. */
function fromBcd(value: number): number {
  return (value >>> 12) * 1000 + ((value >>> 8) & 0xf) * 100 + ((value >>> 4) & 0xf) * 10 +
    (value & 0xf);
}

function toBcd(value: number): number {
  return Math.floor(value / 1000) << 12 | Math.floor(value / 100) % 10 << 8 |
    Math.floor(value / 10) % 10 << 4 | value % 10;
}
