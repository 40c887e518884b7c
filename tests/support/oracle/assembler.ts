/** Machine code with labels and RIP-relative addresses. */

/** Assembles 64-bit code at a linear address below 2 GiB. */
export class Assembler {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: { readonly at: number; readonly label: string }[] = [];
  readonly #origin: number;

  constructor(origin: number) {
    this.#origin = origin;
  }

  /** Appends bytes as they are. */
  emit(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** Appends 32 bits. */
  emit32(value: number): this {
    return this.emit(value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24);
  }

  /** The next byte's address gets a name. */
  label(name: string): this {
    this.#labels.set(name, this.#origin + this.#bytes.length);
    return this;
  }

  /** An instruction that ends in a 32-bit displacement from RIP to `address`. */
  rip(address: number, ...opcode: number[]): this {
    this.emit(...opcode);
    return this.emit32(address - (this.#origin + this.#bytes.length + 4));
  }

  /** Likewise to a label: JMP, Jcc. */
  to(label: string, ...opcode: number[]): this {
    this.emit(...opcode);
    this.#fixups.push({ at: this.#bytes.length, label });
    return this.emit32(0);
  }

  /** Address of a label. */
  address(label: string): number {
    const address = this.#labels.get(label);
    if (address === undefined) throw new Error(`There is no label ${label}`);
    return address;
  }

  /** The code. */
  finish(): Uint8Array {
    const code = Uint8Array.from(this.#bytes);
    const view = new DataView(code.buffer);
    for (const { at, label } of this.#fixups) {
      view.setInt32(at, this.address(label) - (this.#origin + at + 4), true);
    }
    return code;
  }
}
