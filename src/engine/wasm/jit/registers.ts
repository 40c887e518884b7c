/**
 * Where a region's function has the guest's registers: their home is the private memory, where each
 * change is written at once, and local variables hold what a block has read or written already. So a
 * function that is entered for a few instructions loads no more than they need, and leaving it costs
 * nothing.
 *
 * In a loop all registers that it uses are in local variables: loaded before it, and stored behind it
 * and on the ways out of it.
 */

import { State } from "../../../cpu/state.ts";
import { Word } from "../cpu.ts";
import { CodeWriter, Memory } from "./code_writer.ts";
import { Local } from "./locals.ts";
import { Op, Simd } from "./opcodes.ts";

/** Number of XMM0, behind the general registers. */
export const XMM0 = 16;

/** What is known of a loop whose code is being emitted. */
interface Loop {
  /** Where the registers are to be loaded. */
  readonly start: number;
  /** Where they are to be stored. */
  readonly stores: number[];
  /** Bits by register. */
  used: number;
  changed: number;
}

/** See above. Registers go by number: the general ones, and from `XMM0` on the vector ones. */
export class Registers {
  readonly #code: CodeWriter;
  /** Bit by register: the variable has its value wherever control is here. */
  #held = 0;
  /** What was held where the open WebAssembly blocks begin. */
  readonly #outer: number[] = [];
  #loop: Loop | undefined = undefined;
  usesXmm = false;

  constructor(code: CodeWriter) {
    this.#code = code;
  }

  /** Pushes a register. */
  get(n: number): void {
    const code = this.#code;
    if (n >= XMM0) this.usesXmm = true;
    if (this.#loop !== undefined) this.#loop.used |= 1 << n;
    else if ((this.#held >>> n & 1) === 0) {
      push(code, n);
      this.#held |= 1 << n;
      return code.tee(localOf(n));
    }
    code.get(localOf(n));
  }

  /** Pops a register's value. */
  set(n: number): void {
    const code = this.#code;
    if (n >= XMM0) this.usesXmm = true;
    code.set(localOf(n));
    if (this.#loop !== undefined) {
      this.#loop.used |= 1 << n;
      this.#loop.changed |= 1 << n;
      return;
    }
    store(code, n);
    this.#held |= 1 << n;
  }

  /** Bit by register: its variable has its value here. In loops all of them do. */
  get held(): number {
    return this.#loop === undefined ? this.#held : 0;
  }
  /** Control comes from somewhere else, where the variables had these. */
  set held(held: number) {
    this.#held = held;
  }

  // What only one way through an IF has loaded is not there behind it.
  open(): void {
    this.#outer.push(this.#held);
  }
  else(): void {
    this.#held = this.#outer[this.#outer.length - 1];
  }
  end(): void {
    this.#held &= this.#outer.pop()!;
  }

  get isInLoop(): boolean {
    return this.#loop !== undefined;
  }

  /** A loop begins here, and no other one is around it. */
  beginLoop(): void {
    this.#held = 0;
    this.#loop = { start: this.#code.length, stores: [], used: 0, changed: 0 };
  }

  /** Here the registers go back to their home, when control is in a loop. */
  leaveLoop(): void {
    this.#loop?.stores.push(this.#code.length);
  }

  /**
   * The loop's code ends here.
   * @param first Code that goes to its beginning, too.
   */
  endLoop(first: Uint8Array): void {
    const { start, stores, used, changed } = this.#loop!;
    this.#loop = undefined;
    const loads = new CodeWriter();
    loads.append(first);
    each(used, (n) => {
      push(loads, n);
      loads.set(localOf(n));
    });
    const back = new CodeWriter();
    each(changed, (n) => store(back, n));
    const storing = back.finish();
    this.#code.insert([
      { at: start, bytes: loads.finish() },
      ...stores.map((at) => ({ at, bytes: storing })),
    ]);
  }
}

function localOf(n: number): number {
  return n < XMM0 ? Local.REG + n : Local.XMM + n - XMM0;
}

function homeOf(n: number): number {
  return n < XMM0 ? State.GPR + n * 8 : Word.XMM * 4 + (n - XMM0) * 16;
}

/** Pushes what is in a register's home. */
function push(code: CodeWriter, n: number): void {
  code.i32(0);
  if (n < XMM0) code.access(Op.I64_LOAD, Memory.PRIVATE, homeOf(n));
  else code.simdAccess(Simd.LOAD, Memory.PRIVATE, homeOf(n));
}

/** Stores a register's variable in its home. */
function store(code: CodeWriter, n: number): void {
  code.i32(0);
  code.get(localOf(n));
  if (n < XMM0) code.access(Op.I64_STORE, Memory.PRIVATE, homeOf(n));
  else code.simdAccess(Simd.STORE, Memory.PRIVATE, homeOf(n));
}

function each(mask: number, visit: (n: number) => void): void {
  for (let n = 0; n < 32; n++) if ((mask >>> n & 1) !== 0) visit(n);
}
