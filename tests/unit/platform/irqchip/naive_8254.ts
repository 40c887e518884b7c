/** An 8254 counter that ticks: every CLK pulse is a call, as the data sheet (231164) tells it. */

export class NaiveCounter {
  out = false;
  nullCount = true;
  #mode = 0;
  #modulus = 0x1_0000;
  #gate = true;
  #register = 0;
  #element = 0;
  #firstByte = -1;
  #loadNext = false;
  #active = false;
  /** Mode 3: the count is odd. */
  #odd = false;
  /** Modes 4 and 5: the strobe is going on, or over. */
  #strobing = false;
  #strobed = false;

  control(mode: number, bcd: boolean): void {
    this.#mode = mode;
    this.#modulus = bcd ? 10_000 : 0x1_0000;
    this.#register = 0;
    this.#element = 0;
    this.#firstByte = -1;
    this.#loadNext = false;
    this.#active = false;
    this.#strobing = false;
    this.nullCount = true;
    this.out = mode !== 0;
  }

  write(byte: number): void {
    if (this.#firstByte < 0) {
      this.#firstByte = byte;
      if (this.#mode === 0) {
        this.out = false;
        this.#active = false;
        this.#loadNext = false;
      }
      return;
    }
    const value = byte << 8 | this.#firstByte;
    this.#firstByte = -1;
    this.#register = this.#modulus === 10_000 ? Number(value.toString(16)) : value;
    if (this.#register === 0) this.#register = this.#modulus;
    this.nullCount = true;
    if (this.#mode === 0) {
      this.out = false;
      this.#active = false;
      this.#loadNext = true;
    } else if (this.#mode === 4) {
      this.#loadNext = true;
    } else if ((this.#mode === 2 || this.#mode === 3) && this.#gate && !this.#active) {
      this.#loadNext = true;
    }
  }

  gate(high: boolean): void {
    if (high === this.#gate) return;
    this.#gate = high;
    const needsTrigger = this.#mode === 2 || this.#mode === 3;
    if (high && (needsTrigger || this.#mode === 1 || this.#mode === 5) && this.#register > 0) {
      this.#loadNext = true;
    }
    // The strobe ends on its own: less than a pulse early, which no one sees.
    if (!high && this.#mode === 4 && this.#strobing) {
      this.out = true;
      this.#strobing = false;
      this.#strobed = true;
    }
    if (!high && needsTrigger) {
      this.out = true;
      this.#active = false;
      this.#loadNext = false;
    }
  }

  /** What a read gives; meaningless before the first load. */
  get count(): number {
    const count = this.#element % this.#modulus;
    return this.#modulus === 10_000 ? parseInt(String(count), 16) : count;
  }

  get defined(): boolean {
    return this.#active;
  }

  pulse(): void {
    if (this.#loadNext) {
      this.#loadNext = false;
      this.#active = true;
      this.#strobing = false;
      if (this.#mode === 1) this.out = false;
      if (this.#mode >= 2) this.out = true;
      this.#load();
      return;
    }
    if (this.#strobing) {
      this.out = true;
      this.#strobing = false;
      this.#strobed = true;
    }
    if (!this.#active) return;
    if (!this.#gate && this.#mode !== 1 && this.#mode !== 5) return;
    this.#tick();
  }

  #load(): void {
    this.#element = this.#register;
    this.nullCount = false;
    this.#strobed = false;
    this.#odd = false;
    if (this.#mode !== 3) return;
    this.#odd = this.#register % 2 === 1;
    if (this.#odd) this.#element--;
  }

  #tick(): void {
    if (this.#mode === 3) return this.#tickSquare();
    this.#element = (this.#element + this.#modulus - 1) % this.#modulus;
    switch (this.#mode) {
      case 0:
      case 1:
        if (this.#element === 0) this.out = true;
        break;
      case 2:
        if (this.#element === 1) this.out = false;
        if (this.#element === 0) {
          this.out = true;
          this.#load();
        }
        break;
      default:
        if (this.#element !== 0 || this.#strobed) break;
        this.out = false;
        this.#strobing = true;
        break;
    }
  }

  /** Down by two; one more pulse at 0 in the high half of an odd count. */
  #tickSquare(): void {
    const waits = this.#odd && this.out;
    if (this.#element === 0 || this.#element === 2 && !waits) {
      this.out = !this.out;
      this.#load();
    } else {
      this.#element -= 2;
    }
  }
}
