/**
 * Memory accesses of a block that go by one address in a register: to the stack, to the fields of a
 * structure. Those that are near each other make a group, whose range the TLB is asked for once; a
 * range that crosses pages is left to the interpreter.
 */

import { Reg, Seg } from "../../../cpu/state.ts";
import { EaKind, IMM, type Insn, MEM, NONE } from "../insn.ts";
import { perRow, type Row } from "../isa/row.ts";
import { isBranch } from "./emit/branch.ts";
import { hasSpecial, widthOf } from "./emit/table.ts";
import { GROUPS } from "./locals.ts";

/** Bytes from the first to the last one of a group at most: few such ranges cross pages. */
const MAX_BYTES = 128;
/** General registers. */
const REGISTERS = 16;

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
  /** Its place in RAM is known where code is being emitted. */
  located: boolean;
}

/** One instruction's access. */
export interface Access {
  readonly group: Group;
  /** The first one of its group, which alone can fail. */
  readonly first: boolean;
  readonly position: number;
  /** How far the base register has moved on by then. */
  readonly moved: number;
}

/** By instruction: its access when that is one of a group. */
export function groupAccesses(insns: readonly Insn[], is64: boolean): (Access | undefined)[] {
  const state = new Grouping(is64);
  const accesses: (Access | undefined)[] = [];
  for (const insn of insns) accesses.push(state.take(insn));
  for (let i = 0; i < accesses.length; i++) {
    if (accesses[i]?.group.members === 1) accesses[i] = undefined;
  }
  return accesses;
}

/** The groups of a block, as its instructions come one after the other. */
class Grouping {
  readonly #is64: boolean;
  /** Bytes of addresses and of the stack's elements. */
  readonly #natural: number;
  /** Groups that accesses may still join, in the order in which they began. */
  readonly #open: Group[] = [];
  /** By register: how far it has moved on. */
  readonly #moved = new Array<number>(REGISTERS).fill(0);
  #next = 0;

  constructor(is64: boolean) {
    this.#is64 = is64;
    this.#natural = is64 ? 8 : 4;
  }

  /** The next instruction's access, and what the instruction does to registers. */
  take(insn: Insn): Access | undefined {
    if (insn.row === undefined) return this.#forget();
    const effect = effectOf(insn.row);
    const natural = this.#natural;
    switch (effect.kind) {
      case Kind.PUSH:
        return insn.opSize === natural ? this.#push(insn) : this.#forget();
      case Kind.CALL:
        return isBranch(insn, this.#is64) ? this.#push(insn) : this.#forget();
      case Kind.RETURN:
        return isBranch(insn, this.#is64) ? this.#add(Reg.RSP, 0, natural, false) : this.#forget();
      case Kind.POP: {
        if (insn.opSize !== natural || insn.isMem) return this.#forget();
        const access = this.#add(Reg.RSP, 0, natural, false);
        this.#moved[Reg.RSP] += natural;
        this.#write(insn.dst >> 1);
        return access;
      }
      case Kind.COUNT:
        this.#write(Reg.RCX);
        return undefined;
      case Kind.JUMP:
        return isBranch(insn, this.#is64) ? undefined : this.#forget();
      case Kind.NOTHING:
        return undefined;
      case Kind.ANYTHING:
        return this.#forget();
    }
    const width = widthOf(insn);
    const access = effect.kind === Kind.ADDRESS ? undefined : this.#operand(insn, effect, width);
    if (effect.kind === Kind.READS || insn.dst === MEM) return access;
    const written = width === 1 ? insn.dst >> 3 : width === 2 ? insn.dst >> 2 : insn.dst >> 1;
    const moves = effect.moves !== 0 && width === natural && insn.src === IMM &&
      insn.immHi === insn.immLo >> 31;
    if (moves) this.#moved[written] += effect.moves * insn.immLo;
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
  #operand(insn: Insn, effect: Effect, width: number): Access | undefined {
    if (!insn.isMem || insn.base === NONE || insn.index !== NONE) return undefined;
    if (insn.addrSize !== this.#natural || effect.special) return undefined;
    if (insn.ea === EaKind.GENERAL && insn.seg >= Seg.FS) return undefined;
    const write = effect.kind !== Kind.READS && insn.dst === MEM;
    return this.#add(insn.base / 2, insn.disp, effect.source === 0 ? width : effect.source, write);
  }

  #add(base: number, offset: number, size: number, write: boolean): Access {
    const moved = this.#moved[base];
    const low = moved + offset;
    const high = low + size;
    const group = this.#find(base, low, high, write) ?? this.#begin(base, low, high, write);
    const first = group.members === 0;
    group.low = Math.min(group.low, low);
    group.high = Math.max(group.high, high);
    group.members++;
    return { group, first, position: low, moved };
  }

  /** The last group that a range can join. */
  #find(base: number, low: number, high: number, write: boolean): Group | undefined {
    for (let i = this.#open.length - 1; i >= 0; i--) {
      const group = this.#open[i];
      if (group.base !== base || write && !group.write) continue;
      if (Math.max(group.high, high) - Math.min(group.low, low) <= MAX_BYTES) return group;
    }
    return undefined;
  }

  /** A new group, in the place of the oldest one. */
  #begin(base: number, low: number, high: number, write: boolean): Group {
    const slot = this.#next;
    const group = { base, write, slot, low, high, members: 0, located: false };
    const open = this.#open;
    for (let i = open.length - 1; i >= 0; i--) if (open[i].slot === slot) open.splice(i, 1);
    open.push(group);
    this.#next = (slot + 1) % GROUPS;
    return group;
  }

  /** A register gets another value. */
  #write(register: number): void {
    this.#moved[register] = 0;
    const open = this.#open;
    for (let i = open.length - 1; i >= 0; i--) if (open[i].base === register) open.splice(i, 1);
  }

  /** Anything may have changed. */
  #forget(): undefined {
    this.#open.length = 0;
    this.#moved.fill(0);
  }
}

/** What an instruction does to general registers and memory. */
const Kind = {
  /** It reads its first operand. */
  READS: 0,
  /** It writes no register but its first operand, and accesses no more than an operand. */
  WRITES: 1,
  /** Likewise, but its second operand is an address. */
  ADDRESS: 2,
  /** It writes no register, and its operand's access is none of a group, if there is one at all. */
  NOTHING: 3,
  ANYTHING: 4,
  PUSH: 5,
  POP: 6,
  CALL: 7,
  RETURN: 8,
  JUMP: 9,
  /** It writes RCX. */
  COUNT: 10,
} as const;
type Kind = typeof Kind[keyof typeof Kind];

/** What has to be known here of a line of the instruction table. */
interface Effect {
  readonly kind: Kind;
  /** Bytes of its second operand; 0: as many as its first one has. */
  readonly source: number;
  /** Its register operand is a special one. */
  readonly special: boolean;
  /** An immediate's factor, where that is added to the first operand; 0: it is not. */
  readonly moves: number;
}

const effectOf = perRow((row): Effect => ({
  kind: kindOf(row),
  source: sourceOf(row),
  special: hasSpecial(row),
  moves: row.mnemonic === "add" ? 1 : row.mnemonic === "sub" ? -1 : 0,
}));

function sourceOf({ mnemonic, operands }: Row): number {
  switch (mnemonic) {
    case "movzx":
    case "movsx":
      return operands[1] === "Eb" ? 1 : 2;
    case "movsxd":
      return 4;
    default:
      return 0;
  }
}

function kindOf({ mnemonic, operands }: Row): Kind {
  const kind = KINDS.get(mnemonic);
  if (kind !== undefined && kind >= Kind.PUSH) return kind;
  // Those on vectors leave the general registers alone.
  return /^[VW]/.test(operands[0] ?? "") ? Kind.NOTHING : kind ?? Kind.ANYTHING;
}

/** By mnemonic; all others may do anything. */
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ...["cmp", "test"].map((name) => [name, Kind.READS] as const),
  ...["mov", "movzx", "movsx", "movsxd", "add", "sub", "adc", "sbb", "and", "or", "xor"]
    .map((name) => [name, Kind.WRITES] as const),
  ...["inc", "dec", "neg", "not", "shl", "shr", "sar", "set", "cmov"]
    .map((name) => [name, Kind.WRITES] as const),
  ["lea", Kind.ADDRESS],
  ["nop", Kind.NOTHING],
  ["push", Kind.PUSH],
  ["pushf", Kind.PUSH],
  ["pop", Kind.POP],
  ["call", Kind.CALL],
  ["ret", Kind.RETURN],
  ["j", Kind.JUMP],
  ["jmp", Kind.JUMP],
  ["pcmpistri", Kind.COUNT],
]);
