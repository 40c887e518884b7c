/**
 * Memory accesses of a block that go by one address in a register: to the stack, to the fields of a
 * structure. Those that are near each other make a group, whose range the TLB is asked for once; a
 * range that crosses pages is left to the interpreter.
 */

import { Reg, Seg } from "../../../cpu/state.ts";
import { EaKind, IMM, type Insn, MEM, NONE } from "../insn.ts";
import { isBranch } from "./emit/branch.ts";
import { widthOf } from "./emit/table.ts";
import { GROUPS } from "./locals.ts";

/** Bytes from the first to the last one of a group at most: few such ranges cross pages. */
const MAX_BYTES = 128;

/** Accesses with one base register. Positions count from where it pointed at first. */
export interface Group {
  readonly base: number;
  /** The first of them is a write; the others are anything. Else all of them are reads. */
  readonly write: boolean;
  /** Which local variable has the offset in RAM of its lowest byte. */
  readonly slot: number;
  /** The range, without its end. */
  low: number;
  high: number;
  members: number;
}

/** One instruction's access. */
export interface Access {
  readonly group: Group;
  readonly position: number;
  /** How far the base register has moved on by then. */
  readonly moved: number;
}

/** By instruction: its access when that is one of a group. */
export function groupAccesses(insns: readonly Insn[], is64: boolean): (Access | undefined)[] {
  const state = new Grouping(is64 ? 8 : 4);
  const accesses = insns.map((insn) => state.take(insn, is64));
  return accesses.map((access) =>
    access !== undefined && access.group.members > 1 ? access : undefined
  );
}

/** The groups of a block, as its instructions come one after the other. */
class Grouping {
  /** Bytes of addresses and of the stack's elements. */
  readonly #natural: number;
  #open: Group[] = [];
  /** By register: how far it has moved on. */
  readonly #moved = new Float64Array(16);
  #next = 0;

  constructor(natural: number) {
    this.#natural = natural;
  }

  /** The next instruction's access, and what the instruction does to registers. */
  take(insn: Insn, is64: boolean): Access | undefined {
    if (insn.row === undefined) return this.#forget();
    const { mnemonic, operands } = insn.row;
    const natural = this.#natural;
    const onStack = insn.opSize === natural;
    switch (mnemonic) {
      case "push":
      case "pushf":
        return onStack ? this.#push(insn) : this.#forget();
      case "call":
        return isBranch(insn, is64) ? this.#push(insn) : this.#forget();
      case "ret":
        return isBranch(insn, is64) ? this.#add(Reg.RSP, 0, natural, false) : this.#forget();
      case "pop": {
        if (!onStack || insn.isMem) return this.#forget();
        const access = this.#add(Reg.RSP, 0, natural, false);
        this.#moved[Reg.RSP] += natural;
        this.#write(insn.dst >> 1);
        return access;
      }
      case "pcmpistri":
        this.#write(Reg.RCX);
        return undefined;
    }
    if (isBranch(insn, is64)) return undefined;
    const vector = /^[VW]/.test(operands[0] ?? "");
    if (vector) return undefined; // the other ones leave the general registers alone
    const kind = SIMPLE.get(mnemonic);
    if (kind === undefined) return this.#forget();
    if (kind === Kind.NOTHING) return undefined;
    const width = widthOf(insn);
    const access = kind === Kind.ADDRESS ? undefined : this.#operand(insn, mnemonic, kind, width);
    if (kind === Kind.READS || insn.dst === MEM) return access;
    const written = width === 1 ? insn.dst >> 3 : width === 2 ? insn.dst >> 2 : insn.dst >> 1;
    const moves = width === natural && insn.src === IMM && insn.immHi === insn.immLo >> 31;
    if (moves && mnemonic === "add") this.#moved[written] += insn.immLo;
    else if (moves && mnemonic === "sub") this.#moved[written] -= insn.immLo;
    else this.#write(written);
    return access;
  }

  #push(insn: Insn): Access | undefined {
    const natural = this.#natural;
    // The operand's access comes first; the two are not told apart.
    const access = insn.isMem ? undefined : this.#add(Reg.RSP, -natural, natural, true);
    this.#moved[Reg.RSP] -= natural;
    return access;
  }

  /** The access of a memory operand. */
  #operand(insn: Insn, mnemonic: string, kind: Kind, width: number): Access | undefined {
    if (!insn.isMem || insn.base === NONE || insn.index !== NONE) return undefined;
    if (insn.addrSize !== this.#natural) return undefined;
    if (insn.ea === EaKind.GENERAL && insn.seg >= Seg.FS) return undefined;
    if (insn.row!.operands.some((operand) => /^[SCD]/.test(operand) && operand !== "CL")) {
      return undefined;
    }
    let size = width;
    if (mnemonic === "movzx" || mnemonic === "movsx") {
      size = insn.row!.operands[1] === "Eb" ? 1 : 2;
    } else if (mnemonic === "movsxd") size = 4;
    const write = kind !== Kind.READS && insn.dst === MEM;
    return this.#add(insn.base / 2, insn.disp, size, write);
  }

  #add(base: number, offset: number, size: number, write: boolean): Access | undefined {
    const moved = this.#moved[base];
    const low = moved + offset;
    const high = low + size;
    const fits = (group: Group) =>
      group.base === base && (group.write || !write) &&
      Math.max(group.high, high) - Math.min(group.low, low) <= MAX_BYTES;
    let group = this.#open.findLast(fits);
    if (group === undefined) {
      group = { base, write, slot: this.#next, low, high, members: 0 };
      this.#close((other) => other.slot === this.#next);
      this.#next = (this.#next + 1) % GROUPS;
      this.#open.push(group);
    }
    group.low = Math.min(group.low, low);
    group.high = Math.max(group.high, high);
    group.members++;
    return { group, position: low, moved };
  }

  /** A register gets another value. */
  #write(register: number): void {
    this.#moved[register] = 0;
    this.#close(({ base }) => base === register);
  }

  #close(which: (group: Group) => boolean): void {
    this.#open = this.#open.filter((group) => !which(group));
  }

  /** Anything may have changed. */
  #forget(): undefined {
    this.#open = [];
    this.#moved.fill(0);
  }
}

/** What a simple instruction does to its first operand. */
const Kind = {
  READS: 0,
  WRITES: 1,
  /** Its second operand is an address. */
  ADDRESS: 2,
  /** It has none, whatever it looks like. */
  NOTHING: 3,
} as const;
type Kind = typeof Kind[keyof typeof Kind];

/** Instructions that write no register but the first operand, and access no more than an operand. */
const SIMPLE: ReadonlyMap<string, Kind> = new Map([
  ...["cmp", "test"].map((name) => [name, Kind.READS] as const),
  ...["mov", "movzx", "movsx", "movsxd", "add", "sub", "adc", "sbb", "and", "or", "xor"]
    .map((name) => [name, Kind.WRITES] as const),
  ...["inc", "dec", "neg", "not", "shl", "shr", "sar", "set", "cmov"]
    .map((name) => [name, Kind.WRITES] as const),
  ["lea", Kind.ADDRESS],
  ["nop", Kind.NOTHING],
]);
