/**
 * Emits the code of one region's function: its local variables, operands, memory accesses and ways
 * out. What each instruction does is in `emit/`; how blocks hang together in `region_code.ts`; where
 * registers are kept in `registers.ts`.
 *
 * An instruction makes all its memory accesses' checks before it changes a register or a flag: where
 * one fails, the function leaves with the state as it was before the instruction, which is then
 * interpreted. So translated code raises no exceptions, calls no devices and overwrites no code.
 */

import { Seg, SegField, State } from "../../../cpu/state.ts";
import { EaKind, IMM, type Insn, NONE } from "../insn.ts";
import type { Access } from "./accesses.ts";
import { CodeWriter, Memory } from "./code_writer.ts";
import { FlagKind, Jit, JUMP_BYTES, LINKS, LINKS_AT, RANGE, Status } from "./layout.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op, Type } from "./opcodes.ts";
import { GROUPS, Local } from "./locals.ts";
import { locate } from "./locate.ts";
import { PageSlots } from "./page_slots.ts";
import { Registers } from "./registers.ts";
import { pushTag, Types } from "./runtime.ts";

/** The variables' types behind the parameter. */
const LOCALS: FunctionCode["locals"] = [
  [26, Type.I64],
  [9, Type.I32],
  [3, Type.V128],
  [4, Type.F64],
  [GROUPS, Type.I32],
];
const LOCALS_WITH_XMM: FunctionCode["locals"] = [...LOCALS, [16, Type.V128]];

/** Functions that every region's module imports, by their indices. */
export const Imported = { MISS: 0, FLAGS: 1, FLOATS: 2, STRINGS: 3, TSC: 4, WAITS: 5 } as const;

/** How a narrow value fills the 64 bits in which it is worked on. */
export const Extend = {
  /** Whatever is above it. */
  ANY: 0,
  SIGN: 1,
  ZERO: 2,
} as const;
export type Extend = typeof Extend[keyof typeof Extend];

/** What is known about the flags while code is emitted. */
export interface KnownFlags {
  readonly kind: FlagKind;
  /** ADD and SUB: no carry went in. */
  readonly plain: boolean;
  /** `LOW_32`. */
  readonly low32: boolean;
  /** `CARRY_APART`. */
  readonly carryApart: boolean;
  /** `OVERFLOW_APART`; then CF is apart, too. */
  readonly overflowApart: boolean;
}

const PAGE_MASK = -4096;
/** From an operation on 64 bits to the one on 32. */
const TO_I32 = Op.I64_ADD - Op.I32_ADD;

/** Where flags come from: variable, place in the private memory, and how it is loaded. */
export const FLAG_WORDS = [
  [Local.FLAG_KIND, Jit.FLAG_KIND, Op.I32_LOAD],
  [Local.FLAG_A, Jit.FLAG_A, Op.I64_LOAD],
  [Local.FLAG_B, Jit.FLAG_B, Op.I64_LOAD],
  [Local.FLAG_RESULT, Jit.FLAG_RESULT, Op.I64_LOAD],
] as const;

/** See above. */
export class Emitter {
  readonly code = new CodeWriter();
  readonly registers = new Registers(this.code);
  readonly slots = new PageSlots();
  /** 64-bit code; else 32-bit code with flat segments. */
  readonly is64: boolean;
  readonly siteOf: (insn: Insn) => number;
  /** Blocks of WebAssembly that are open. */
  depth = 0;
  /** Something sets flags. */
  setsFlags = false;
  /** Checks that hold for the rest of the block: `emit/vector.ts`. */
  sseChecked = false;
  mxcsrChecked = false;
  known: KnownFlags | undefined = undefined;
  /** Whether anybody will see the current instruction's flags. */
  flagsWanted = true;
  /** Instructions of all blocks. */
  total = 0;
  /** How far from the page's beginning a direct branch leads at most, in bytes. */
  reach = 0;
  /** Depth of the labels to leave by. */
  exitDepth = 0;
  bailDepth = 0;
  /** Of the current block: instructions counted at its beginning; those before the current one. */
  counted = 0;
  done = 0;
  /** The current instruction. */
  insn!: Insn;
  /** Its access, when that is one of a group. */
  access: Access | undefined = undefined;

  /** Ways out that have a link. */
  links = 0;
  readonly #firstLink: number;

  /** @param siteOf Numbers instructions that are interpreted. @param firstLink The first link's. */
  constructor(is64: boolean, siteOf: (insn: Insn) => number, firstLink = 0) {
    this.is64 = is64;
    this.siteOf = siteOf;
    this.#firstLink = firstLink;
  }

  open(op: Op, result: Type = Type.NONE): void {
    this.code.open(op, result);
    this.registers.open();
    this.depth++;
  }
  /** An IF whose condition hardly ever holds. */
  openUnlikely(): void {
    this.code.openUnlikely();
    this.registers.open();
    this.depth++;
  }
  else(): void {
    this.code.op(Op.ELSE);
    this.registers.else();
  }
  end(): void {
    this.code.end();
    this.registers.end();
    this.depth--;
  }
  /** Branches to the end (or a loop's beginning) of the block that was opened at `depth`. */
  branchTo(depth: number): void {
    this.code.br(this.depth - depth);
  }
  branchIfTo(depth: number): void {
    this.code.brIf(this.depth - depth);
  }

  /** Emits what stands in the way of the current block, which goes on behind it as it was. */
  aside(emit: () => void): void {
    const { counted, done, insn, access, flagsWanted, known, sseChecked, mxcsrChecked } = this;
    const { held } = this.registers;
    emit();
    Object.assign(this, { counted, done, insn, access, flagsWanted });
    Object.assign(this, { known, sseChecked, mxcsrChecked });
    this.registers.held = held;
  }

  // Registers.

  /** Pushes a whole register. */
  getReg(reg: number): void {
    this.registers.get(reg);
  }

  /** Pops a whole register's value. */
  setReg(reg: number): void {
    this.registers.set(reg);
  }

  /** Pushes the register that `Insn.dst` or `src` names, of `width` bytes. */
  readRegister(index: number, width: number, extend: Extend): void {
    const { code } = this;
    this.getReg(registerOf(index, width));
    if (width === 1 && (index & 1) !== 0) {
      code.i64(8);
      code.op(Op.I64_SHR_U);
    }
    this.extend(width, extend);
  }

  /**
   * Pops a value of `width` bytes into a register (SDM 1 §3.4.1.1).
   * @param isExtended Above 4 bytes there are zeros; else there is anything above the value.
   */
  writeRegister(index: number, width: number, isExtended = false): void {
    const { code } = this;
    const reg = registerOf(index, width);
    if (width < 4) {
      const high = width === 1 && (index & 1) !== 0;
      this.extend(width, Extend.ZERO);
      if (high) {
        code.i64(8);
        code.op(Op.I64_SHL);
      }
      this.getReg(reg);
      code.i64(high ? ~0xff00 : width === 1 ? ~0xff : ~0xffff);
      code.op(Op.I64_AND);
      code.op(Op.I64_OR);
    } else if (width === 4 && !isExtended) this.extend(4, Extend.ZERO);
    this.setReg(reg);
  }

  /** Makes the value on the stack fill 64 bits. */
  extend(width: number, extend: Extend): void {
    const { code } = this;
    if (width === 8 || extend === Extend.ANY) return;
    if (extend === Extend.SIGN) {
      code.op(
        width === 4 ? Op.I64_EXTEND32_S : width === 2 ? Op.I64_EXTEND16_S : Op.I64_EXTEND8_S,
      );
    } else {
      if (width === 4) {
        code.op(Op.I32_WRAP_I64);
        return code.op(Op.I64_EXTEND_I32_U);
      }
      code.i64(width === 2 ? 0xffff : 0xff);
      code.op(Op.I64_AND);
    }
  }

  /**
   * Pushes what an operation on 64 bits makes of two values, each pushed as such. Of 4 bytes, above
   * which there are zeros then, it is done in 32 bits: a processor clears the rest by itself.
   */
  operate(width: number, op: Op, a: () => void, b: () => void): void {
    const { code } = this;
    a();
    if (width === 4) code.op(Op.I32_WRAP_I64);
    b();
    if (width === 4) code.op(Op.I32_WRAP_I64);
    code.op((width === 4 ? op - TO_I32 : op) as Op);
    if (width === 4) code.op(Op.I64_EXTEND_I32_U);
  }

  // Operands.

  /** Pushes the second operand. */
  readSource(width: number, extend: Extend): void {
    const { src } = this.insn;
    if (src === IMM) this.immediate(width, extend);
    else if (src >= 0) this.readRegister(src, width, extend);
    else this.load(width, extend);
  }

  /** Pushes the first operand, which is not written. */
  readDestination(width: number, extend: Extend): void {
    const { dst } = this.insn;
    if (dst >= 0) this.readRegister(dst, width, extend);
    else this.load(width, extend);
  }

  /**
   * Pushes the first operand, which will be written: when it is in memory, all checks have been made
   * by `checkDestination`.
   */
  fetchDestination(width: number, extend: Extend): void {
    const { dst } = this.insn;
    if (dst >= 0) return this.readRegister(dst, width, extend);
    this.code.get(Local.RAM);
    this.code.access(loadOp(width, extend), Memory.RAM);
  }

  /** Makes sure that the first operand can be written. To be called before anything changes. */
  checkDestination(width: number): void {
    if (this.insn.dst < 0) this.checkWrite(width);
  }

  /**
   * Writes the first operand: what is in a local variable.
   * @param isExtended See `writeRegister`.
   */
  writeDestination(width: number, from: number, isExtended = false): void {
    const { code } = this;
    const { dst } = this.insn;
    if (dst >= 0) {
      code.get(from);
      return this.writeRegister(dst, width, isExtended);
    }
    this.storeAt(width, from);
  }

  /** Writes a local variable to `Local.RAM`. */
  storeAt(width: number, from: number): void {
    const { code } = this;
    code.get(Local.RAM);
    code.get(from);
    code.access(storeOp(width), Memory.RAM);
  }

  /** Pushes the immediate. */
  immediate(width: number, extend: Extend): void {
    const { immLo, immHi } = this.insn;
    const { code } = this;
    if (extend !== Extend.ZERO || width === 8) return code.i64(immLo, immHi);
    if (width === 4) code.i64(immLo, 0);
    else code.i64(immLo & (width === 2 ? 0xffff : 0xff), 0);
  }

  // Memory.

  /** Pushes the effective address of the memory operand (LEA). */
  effectiveAddress(): void {
    const { insn, code } = this;
    const { base, index, scale } = insn;
    let pushed = false;
    const add = () => {
      if (pushed) code.op(Op.I64_ADD);
      pushed = true;
    };
    if (insn.ripRelative) {
      code.get(Local.BASE);
      add();
    }
    if (base !== NONE) {
      this.getReg(base / 2);
      add();
    }
    if (index !== NONE) {
      this.getReg(index / 2);
      if (scale !== 0) {
        code.i64(scale);
        code.op(Op.I64_SHL);
      }
      add();
    }
    if (insn.disp !== 0 || insn.dispHi !== 0 || !pushed) {
      code.i64(insn.disp, insn.dispHi);
      add();
    }
    this.cutAddress(insn.addrSize);
  }

  /** Pushes the linear address of the memory operand. */
  linearAddress(): void {
    this.effectiveAddress();
    this.addSegmentBase();
  }

  /** Makes a linear address of the effective one on the stack. */
  addSegmentBase(): void {
    const { insn, code } = this;
    if (insn.ea !== EaKind.GENERAL || insn.seg < Seg.FS) return;
    if (!this.is64) {
      // Segments with a base may have limits, too.
      code.i32(0);
      code.access(Op.I32_LOAD, Memory.PRIVATE, Jit.WHOLE);
      code.i32(1 << insn.seg);
      code.op(Op.I32_AND);
      code.op(Op.I32_EQZ);
      this.bailIf();
    }
    code.i32(0);
    code.access(
      Op.I64_LOAD,
      Memory.PRIVATE,
      State.SEGMENTS + insn.seg * 16 + SegField.BASE,
    );
    code.op(Op.I64_ADD);
    if (!this.is64) this.extend(4, Extend.ZERO);
  }

  /** Cuts the address on the stack to `size` bytes. */
  cutAddress(size: number): void {
    if (size < 8) this.extend(size, Extend.ZERO);
  }

  /** Pushes the memory operand. */
  load(width: number, extend: Extend): void {
    if (this.access !== undefined) {
      const offset = this.locateGroup(this.access);
      return this.code.access(loadOp(width, extend), Memory.RAM, offset);
    }
    this.linearAddress();
    this.loadAt(width, extend);
  }

  /** Pops a linear address and pushes what is there. */
  loadAt(width: number, extend: Extend): void {
    this.code.set(Local.ADDRESS);
    locate(this, width, false);
    this.code.access(loadOp(width, extend), Memory.RAM);
  }

  /** Makes sure that the memory operand can be written; `Local.RAM` is where. */
  checkWrite(width: number): void {
    const { access, code } = this;
    if (access !== undefined) {
      const offset = this.locateGroup(access);
      code.i32(offset);
      code.op(Op.I32_ADD);
      return code.set(Local.RAM);
    }
    this.linearAddress();
    this.checkWriteAt(width);
  }

  /** The same of the linear address that it pops. */
  checkWriteAt(width: number): void {
    this.code.set(Local.ADDRESS);
    locate(this, width, true);
    this.code.set(Local.RAM);
  }

  /** Leaves the instruction to the interpreter when `Local.ADDRESS` is not aligned to 16 bytes. */
  checkAligned(): void {
    const { code } = this;
    code.get(Local.ADDRESS);
    code.op(Op.I32_WRAP_I64);
    code.i32(15);
    code.op(Op.I32_AND);
    this.bailIf();
  }

  /**
   * Pushes where a group of accesses lies in guest RAM, and returns what is to be added for this one.
   * The first one in a block asks the TLB for all of them.
   */
  locateGroup({ group, position, moved }: Access): number {
    const { code } = this;
    const local = Local.GROUP + group.slot;
    if (!group.located) {
      group.located = true;
      this.getReg(group.base);
      this.#distance(group.low - moved);
      code.op(Op.I64_ADD);
      this.cutAddress(this.is64 ? 8 : 4);
      code.set(Local.ADDRESS);
      locate(this, group.high - group.low, group.write, RANGE);
      code.tee(local);
    } else code.get(local);
    return position - group.low;
  }

  // Ways out.

  /** Pops a condition: where it holds, the current instruction is left to the interpreter. */
  bailIf(): void {
    this.openUnlikely();
    this.bail();
    this.end();
  }

  bail(): void {
    this.setPoint();
    this.branchTo(this.bailDepth);
  }

  /** `Local.POINT`: offset in the page, and above it the instructions that are not going to run. */
  setPoint(): void {
    this.code.i32((this.counted - this.done) << 16 | this.insn.offset);
    this.code.set(Local.POINT);
  }

  /** Leaves the function, to go on at `offset` of the page. */
  exitTo(offset: number, status: Status = Status.JUMP): void {
    const { code } = this;
    this.reach = Math.max(this.reach, Math.abs(offset));
    this.pushAddress(offset);
    code.set(Local.RIP);
    if (status === Status.JUMP) this.exitToRip();
    else this.exitWith(status);
  }

  /** Pushes the instruction pointer that `offset` of the page has. */
  pushAddress(offset: number): void {
    const { code } = this;
    code.get(Local.BASE);
    this.#distance(offset);
    code.op(Op.I64_ADD);
    if (!this.is64) this.extend(4, Extend.ZERO);
  }

  /** Pushes how far it is to somewhere: 32 bits, and a bit more. */
  #distance(bytes: number): void {
    this.code.i64(bytes | 0, Math.floor(bytes / 2 ** 32));
  }

  /** Leaves the function at `Local.RIP`. */
  exitWith(status: Status): void {
    this.code.i32(status);
    this.code.set(Local.STATUS);
    this.branchTo(this.exitDepth);
  }

  /** Leaves the function, to go on at `Local.RIP`. @param link Pushes the offset of a link. */
  exitToRip(link = () => this.code.i32(this.#nextLink())): void {
    link();
    this.code.set(Local.LINK);
    this.branchTo(this.exitDepth);
  }

  /** Offset of a link that few others share. */
  #nextLink(): number {
    const number = this.#firstLink + this.links++;
    return LINKS_AT + (number & LINKS - 1) * JUMP_BYTES;
  }

  /** The block's instructions from the next one on are not going to run. */
  refund(): void {
    const left = this.counted - this.done - 1;
    if (left === 0) return;
    const { code } = this;
    code.get(Local.BUDGET);
    code.i32(left);
    code.op(Op.I32_ADD);
    code.set(Local.BUDGET);
  }

  /** The function: what has been emitted, between loading and storing what all of it needs. */
  finish(): Pick<FunctionCode, "code" | "unlikely"> {
    const out = new CodeWriter();
    out.i32(0);
    out.access(Op.I64_LOAD, Memory.PRIVATE, State.RIP);
    out.tee(Local.RIP);
    out.i64(PAGE_MASK);
    out.op(Op.I64_AND);
    out.set(Local.BASE);
    out.i32(0);
    out.access(Op.I32_LOAD, Memory.PRIVATE, Jit.BUDGET);
    out.set(Local.BUDGET);
    out.i32(0);
    out.access(Op.I32_LOAD, Memory.PRIVATE, Jit.TLB);
    out.set(Local.TLB);
    const unlikely = this.code.unlikely.map((position) => position + out.length);
    out.take(this.code);
    const store = (local: number, at: number, op: Op) => {
      out.i32(0);
      out.get(local);
      out.access(op, Memory.PRIVATE, at);
    };
    if (this.setsFlags) {
      out.get(Local.FLAG_KIND);
      out.open(Op.IF, Type.NONE);
      for (const [local, at, load] of FLAG_WORDS) {
        store(local, at, load === Op.I64_LOAD ? Op.I64_STORE : Op.I32_STORE);
      }
      out.end();
    }
    store(Local.BUDGET, Jit.BUDGET, Op.I32_STORE);
    store(Local.RIP, State.RIP, Op.I64_STORE);
    followLink(out);
    out.get(Local.STATUS);
    out.end();
    return { code: out.finish(), unlikely };
  }
}

/** Goes on in another region if the link leads to `Local.RIP`; else the dispatcher will make it so. */
function followLink(out: CodeWriter): void {
  out.get(Local.LINK);
  out.open(Op.IF, Type.NONE);
  out.get(Local.LINK);
  out.access(Op.I64_LOAD, Memory.PRIVATE, 0);
  pushTag(out, Local.RIP);
  out.op(Op.I64_EQ);
  out.open(Op.IF, Type.NONE);
  out.get(Local.LINK);
  out.access(Op.I32_LOAD, Memory.PRIVATE, 12);
  out.get(Local.LINK);
  out.access(Op.I32_LOAD, Memory.PRIVATE, 8);
  out.op(Op.RETURN_CALL_INDIRECT);
  out.unsigned(Types.REGION);
  out.unsigned(0);
  out.end();
  out.i32(0);
  out.get(Local.LINK);
  out.access(Op.I32_STORE, Memory.PRIVATE, Jit.LINK);
  out.end();
}

/** The region's function whose code has been emitted. */
export function regionFunction(e: Emitter): FunctionCode {
  const locals = e.registers.usesXmm ? LOCALS_WITH_XMM : LOCALS;
  return { type: Types.REGION, locals, ...e.finish() };
}

/** Number of the register that an index of a view of `width` bytes (1, 2, 4 or 8) names. */
function registerOf(index: number, width: number): number {
  return width === 1 ? index >> 3 : width === 2 ? index >> 2 : index >> 1;
}

function loadOp(width: number, extend: Extend): Op {
  const sign = extend === Extend.SIGN;
  switch (width) {
    case 1:
      return sign ? Op.I64_LOAD8_S : Op.I64_LOAD8_U;
    case 2:
      return sign ? Op.I64_LOAD16_S : Op.I64_LOAD16_U;
    case 4:
      return sign ? Op.I64_LOAD32_S : Op.I64_LOAD32_U;
    default:
      return Op.I64_LOAD;
  }
}

function storeOp(width: number): Op {
  return width === 1
    ? Op.I64_STORE8
    : width === 2
    ? Op.I64_STORE16
    : width === 4
    ? Op.I64_STORE32
    : Op.I64_STORE;
}
