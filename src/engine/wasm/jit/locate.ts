/** Where an access goes: by the TLB in the private memory, and in inner loops by the page of the last one. */

import { SET_WORDS } from "../tlb.ts";
import { Memory } from "./code_writer.ts";
import { type Emitter, Imported } from "./emitter.ts";
import { SLOT_BYTES, SLOTS_AT } from "./layout.ts";
import { Local } from "./locals.ts";
import { Op } from "./opcodes.ts";

/** Bytes from a TLB set to the one of writes. */
const WRITE_SET = SET_WORDS * 4;
/** Bits 13:4 of an entry's offset: bits 21:12 of the address. */
const ENTRY_MASK = 0x3ff0;
const PAGE_MASK = -4096;
const PAGE_OFFSET = 4095;
/** Widths of accesses that hardly ever are not aligned, in bytes. */
const ALIGNED = [2, 4, 8];

/**
 * Pushes the offset in guest RAM of `Local.ADDRESS`: by the TLB, or else by the MMU. Leaves the
 * function where neither has it.
 * @param range `RANGE` where it is for several accesses, else 0.
 */
export function locate(e: Emitter, width: number, write: boolean, range = 0): void {
  const { code } = e;
  const align = range === 0 && ALIGNED.includes(width) ? width : 1;
  const slot = e.slots.take(write, align);
  if (slot === undefined) {
    lookUp(e, width, write, range);
    pushAddend(e, write);
  } else {
    const at = SLOTS_AT + slot * SLOT_BYTES;
    if (width > align) leaveWhereItCrosses(e, width, write, range);
    isElsewhere(e, at, align);
    e.openUnlikely();
    lookUp(e, width, write, range);
    code.i32(0);
    pageOf(e, align);
    code.access(Op.I64_STORE, Memory.PRIVATE, at);
    code.i32(0);
    pushAddend(e, write);
    code.access(Op.I32_STORE, Memory.PRIVATE, at + 8);
    e.end();
    code.i32(0);
    code.access(Op.I32_LOAD, Memory.PRIVATE, at + 8);
  }
  code.get(Local.ADDRESS);
  code.op(Op.I32_WRAP_I64);
  code.op(Op.I32_ADD);
}

/** Leaves the function where the access goes on in the next page; it is counted as missed. */
function leaveWhereItCrosses(e: Emitter, width: number, write: boolean, range: number): void {
  const { code } = e;
  code.get(Local.ADDRESS);
  code.op(Op.I32_WRAP_I64);
  code.i32(PAGE_OFFSET);
  code.op(Op.I32_AND);
  code.i32(PAGE_OFFSET + 1 - width);
  code.op(Op.I32_GT_U);
  e.openUnlikely();
  miss(e, width, write, range);
  code.op(Op.DROP);
  e.branchTo(e.bailDepth);
  e.end();
}

/**
 * Pushes whether `Local.ADDRESS` is not aligned to `align` in the page of the slot `at`. A slot has the
 * page with ones for the offset, but for the bits that `align` wants to be 0: an empty one, which is 0,
 * has no page.
 */
function isElsewhere({ code }: Emitter, at: number, align: number): void {
  code.get(Local.ADDRESS);
  code.i64(PAGE_OFFSET & -align);
  code.op(Op.I64_OR);
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, at);
  code.op(Op.I64_NE);
}

/** Pushes what a slot for such accesses has when it has the page of `Local.ADDRESS`. */
function pageOf({ code }: Emitter, align: number): void {
  code.get(Local.ADDRESS);
  code.i64(PAGE_OFFSET);
  code.op(Op.I64_OR);
  if (align === 1) return;
  code.i64(align - 1);
  code.op(Op.I64_XOR);
}

/** Pushes what the entry at `Local.TLB_ENTRY` adds to an address. */
function pushAddend({ code }: Emitter, write: boolean): void {
  code.get(Local.TLB_ENTRY);
  code.access(Op.I32_LOAD, Memory.PRIVATE, (write ? WRITE_SET : 0) + 8);
}

/** Makes sure that the TLB has the page of `Local.ADDRESS`, at `Local.TLB_ENTRY`. */
function lookUp(e: Emitter, width: number, write: boolean, range: number): void {
  const { code } = e;
  code.get(Local.ADDRESS);
  code.op(Op.I32_WRAP_I64);
  code.i32(8);
  code.op(Op.I32_SHR_U);
  code.i32(ENTRY_MASK);
  code.op(Op.I32_AND);
  code.get(Local.TLB);
  code.op(Op.I32_ADD);
  code.tee(Local.TLB_ENTRY);
  code.access(Op.I64_LOAD, Memory.PRIVATE, write ? WRITE_SET : 0);
  code.get(Local.ADDRESS);
  if (width > 1) { // an access that crosses pages does not match
    code.i64(width - 1);
    code.op(Op.I64_ADD);
  }
  code.i64(PAGE_MASK);
  code.op(Op.I64_AND);
  code.op(Op.I64_NE);
  e.openUnlikely();
  miss(e, width, write, range);
  e.branchIfTo(e.bailDepth);
  e.end();
}

/** Asks the MMU, and pushes whether the access is to be left to the interpreter (i32). */
function miss(e: Emitter, width: number, write: boolean, range: number): void {
  const { code } = e;
  e.setPoint();
  code.get(Local.ADDRESS);
  code.i32(write ? -width - range : width + range);
  code.call(Imported.MISS);
}
