/** Bytes of WebAssembly code, as they are emitted. */

import { Op, Simd, Type } from "./opcodes.ts";

/** Prefix of the vector instructions. */
const PREFIX = 0xfd;
/** Prefix of those on many bytes, and what follows it. */
const BULK = 0xfc;
const Bulk = { COPY: 10, FILL: 11 } as const;

/** Which memory an access goes to: the order of a module's imports. */
export const Memory = {
  /** The vCPU's own: registers, TLB, jump cache. */
  PRIVATE: 0,
  /** Guest RAM. */
  RAM: 1,
} as const;
export type Memory = typeof Memory[keyof typeof Memory];

/** Bytes that a buffer has at first. */
const FIRST_BYTES = 4096;
/** Buffers of writers that are done, for the next ones: making one costs more than filling it. */
const SPARE: Uint8Array<ArrayBuffer>[] = [];
const NONE = new Uint8Array(0);

/** Growing code. */
export class CodeWriter {
  #bytes = SPARE.pop() ?? new Uint8Array(FIRST_BYTES);
  length = 0;
  /** Positions of the IFs whose condition hardly ever holds, in rising order. */
  unlikely: number[] = [];

  /** What has been written; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** What has been written, for good; nothing more can be written then. */
  finish(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.slice(0, this.length);
    this.#release();
    return bytes;
  }

  /** Takes over what another writer, which is done by that, has written. */
  take(other: CodeWriter): void {
    this.append(other.bytes);
    other.#release();
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.length++] = value;
  }

  append(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Puts bytes in at positions, in rising order. */
  insert(insertions: readonly { readonly at: number; readonly bytes: Uint8Array }[]): void {
    let more = 0;
    for (const { bytes } of insertions) more += bytes.length;
    this.#room(more);
    // From the end on each byte moves once, by all that comes before it.
    let end = this.length;
    let left = this.unlikely.length;
    this.length += more;
    for (let i = insertions.length - 1; i >= 0; i--) {
      const { at, bytes } = insertions[i];
      this.#bytes.copyWithin(at + more, at, end);
      for (; left > 0 && this.unlikely[left - 1] >= at; left--) this.unlikely[left - 1] += more;
      more -= bytes.length;
      this.#bytes.set(bytes, at + more);
      end = at;
    }
  }

  /** An unsigned LEB128 number below 2^32. */
  unsigned(value: number): void {
    while (value >= 0x80) {
      this.byte(value & 0x7f | 0x80);
      value = value >>> 7;
    }
    this.byte(value);
  }

  /** A signed LEB128 number of 32 bits. */
  signed(value: number): void {
    for (;;) {
      const low = value & 0x7f;
      value >>= 7;
      if (value === (low & 0x40) << 25 >> 31) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** Length and bytes of a name. */
  sized(bytes: Uint8Array): void {
    this.unsigned(bytes.length);
    this.append(bytes);
  }

  /** Length and bytes of a section, whose writer is done by that. */
  section(body: CodeWriter): void {
    this.unsigned(body.length);
    this.take(body);
  }

  op(op: Op): void {
    this.byte(op);
  }

  get(local: number): void {
    this.#opWith(Op.LOCAL_GET, local);
  }
  set(local: number): void {
    this.#opWith(Op.LOCAL_SET, local);
  }
  tee(local: number): void {
    this.#opWith(Op.LOCAL_TEE, local);
  }

  i32(value: number): void {
    value |= 0;
    if (value >= -64 && value < 64) return this.#opWith(Op.I32_CONST, value & 0x7f);
    this.byte(Op.I32_CONST);
    this.signed(value);
  }

  /** A constant of 64 bits, by halves. */
  i64(lo: number, hi = lo >> 31): void {
    if (lo >= -64 && lo < 64 && hi === lo >> 31) return this.#opWith(Op.I64_CONST, lo & 0x7f);
    this.byte(Op.I64_CONST);
    // Seven bits after the other, from both halves.
    for (;;) {
      const low = lo & 0x7f;
      lo = lo >>> 7 | hi << 25;
      hi >>= 7;
      const sign = (low & 0x40) << 25 >> 31;
      if (lo === sign && hi === sign) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  f64(value: number): void {
    this.byte(Op.F64_CONST);
    this.append(new Uint8Array(new Float64Array([value]).buffer));
  }

  /** A load or store: the address, and the value to be stored, are on the stack. */
  access(op: Op, memory: Memory, offset = 0): void {
    this.byte(op);
    this.#memarg(memory, offset);
  }

  /** A vector instruction. */
  simd(op: number): void {
    this.#opWith(PREFIX, op);
  }

  /** A load or store of 128 bits. */
  simdAccess(op: number, memory: Memory, offset = 0): void {
    this.simd(op);
    this.#memarg(memory, offset);
  }

  /** An access to one lane of a vector. */
  simdLaneAccess(op: number, memory: Memory, lane: number): void {
    this.simdAccess(op, memory);
    this.byte(lane);
  }

  /** A vector instruction on one lane. */
  simdLane(op: number, lane: number): void {
    this.simd(op);
    this.byte(lane);
  }

  /** SHUFFLE: the lanes by number, 16 of each of two vectors. */
  shuffle(lanes: readonly number[]): void {
    this.simd(Simd.SHUFFLE);
    for (let i = 0; i < 16; i++) this.byte(lanes[i]);
  }

  /** A constant vector of 16 bytes. */
  v128(bytes: Uint8Array): void {
    this.simd(Simd.CONST);
    this.append(bytes);
  }

  /** Fills bytes of guest RAM: offset, value and number of bytes are on the stack. */
  fillRam(): void {
    this.byte(BULK);
    this.byte(Bulk.FILL);
    this.byte(Memory.RAM);
  }

  /** Copies bytes in guest RAM: offsets to and from, and the number of bytes are on the stack. */
  copyRam(): void {
    this.byte(BULK);
    this.byte(Bulk.COPY);
    this.byte(Memory.RAM);
    this.byte(Memory.RAM);
  }

  call(index: number): void {
    this.#opWith(Op.CALL, index);
  }

  /** BLOCK, LOOP or IF. */
  open(op: Op, result: Type): void {
    this.#opWith(op, result);
  }
  /** An IF whose condition hardly ever holds: V8 puts its code apart. */
  openUnlikely(): void {
    this.unlikely.push(this.length);
    this.open(Op.IF, Type.NONE);
  }
  end(): void {
    this.byte(Op.END);
  }
  br(depth: number): void {
    this.#opWith(Op.BR, depth);
  }
  brIf(depth: number): void {
    this.#opWith(Op.BR_IF, depth);
  }

  /** A byte and an unsigned number, which mostly is another one. */
  #opWith(op: number, value: number): void {
    if (value >= 0x80) {
      this.byte(op);
      return this.unsigned(value);
    }
    this.#room(2);
    const bytes = this.#bytes;
    bytes[this.length++] = op;
    bytes[this.length++] = value;
  }

  /** Alignment is a hint only: none is given. Bit 6 says that a memory's number follows. */
  #memarg(memory: Memory, offset: number): void {
    if (memory === Memory.PRIVATE) return this.#opWith(0, offset);
    this.byte(0x40);
    this.#opWith(memory, offset);
  }

  /** Makes sure that so many bytes fit. */
  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const bytes = new Uint8Array((this.length + more) * 2);
    bytes.set(this.bytes);
    this.#bytes = bytes;
  }

  #release(): void {
    SPARE.push(this.#bytes);
    this.#bytes = NONE;
    this.length = 0;
  }
}
