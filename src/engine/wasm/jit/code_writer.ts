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

/** Growing code. */
export class CodeWriter {
  #bytes = new Uint8Array(4096);
  length = 0;
  /** Positions of the IFs whose condition hardly ever holds, in rising order. */
  unlikely: number[] = [];

  /** What has been written; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  byte(value: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  append(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Puts bytes in at positions, in rising order. */
  insert(insertions: readonly { readonly at: number; readonly bytes: Uint8Array }[]): void {
    const old = this.bytes.slice();
    this.length = 0;
    let from = 0;
    for (const { at, bytes } of insertions) {
      this.append(old.subarray(from, at));
      this.append(bytes);
      from = at;
    }
    this.append(old.subarray(from));
    let i = 0;
    let moved = 0;
    this.unlikely = this.unlikely.map((position) => {
      for (; i < insertions.length && insertions[i].at <= position; i++) {
        moved += insertions[i].bytes.length;
      }
      return position + moved;
    });
  }

  /** An unsigned LEB128 number below 2^32. */
  unsigned(value: number): void {
    while (value >= 0x80) {
      this.byte(value & 0x7f | 0x80);
      value = Math.floor(value / 128);
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

  /** Length and bytes of a section, a function's body or a name. */
  sized(bytes: Uint8Array): void {
    this.unsigned(bytes.length);
    this.append(bytes);
  }

  op(op: Op): void {
    this.byte(op);
  }

  get(local: number): void {
    this.byte(Op.LOCAL_GET);
    this.unsigned(local);
  }
  set(local: number): void {
    this.byte(Op.LOCAL_SET);
    this.unsigned(local);
  }
  tee(local: number): void {
    this.byte(Op.LOCAL_TEE);
    this.unsigned(local);
  }

  i32(value: number): void {
    this.byte(Op.I32_CONST);
    this.signed(value | 0);
  }

  /** A constant of 64 bits, by halves. */
  i64(lo: number, hi = lo >> 31): void {
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
    this.byte(PREFIX);
    this.unsigned(op);
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
    this.byte(Op.CALL);
    this.unsigned(index);
  }

  /** BLOCK, LOOP or IF. */
  open(op: Op, result: Type): void {
    this.byte(op);
    this.byte(result);
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
    this.byte(Op.BR);
    this.unsigned(depth);
  }
  brIf(depth: number): void {
    this.byte(Op.BR_IF);
    this.unsigned(depth);
  }

  /** Alignment is a hint only: none is given. Bit 6 says that a memory's number follows. */
  #memarg(memory: Memory, offset: number): void {
    if (memory === Memory.PRIVATE) this.byte(0);
    else {
      this.byte(0x40);
      this.byte(memory);
    }
    this.unsigned(offset);
  }

  #grow(more: number): void {
    const bytes = new Uint8Array((this.length + more) * 2);
    bytes.set(this.bytes);
    this.#bytes = bytes;
  }
}
