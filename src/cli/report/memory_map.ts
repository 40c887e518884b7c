/**
 * What a trace says of guest memory at its end: which frames are mapped, by pages of which size. Kept
 * by blocks of 2 MiB, a bit for each 4 KiB page, so that what is mapped twice counts once.
 */

import { FRAMES_AT, Level } from "../../mmu/level.ts";
import { Size } from "./sizes.ts";

/** Frames of a block. */
export const BLOCK_FRAMES = FRAMES_AT[Level.SIZE_2M];
const GIANT_BLOCKS = FRAMES_AT[Level.SIZE_1G] / BLOCK_FRAMES;
const WORDS = BLOCK_FRAMES / 32;
/** Blocks that are remembered: 128 GiB in small pages. A bound for traces that no guest made. */
const MAX_BLOCKS = 65_536;

/** A block with something in it. */
export interface Block {
  /** Frames mapped by 4 KiB pages, a bit each, and those of MMIO. */
  readonly small: Uint32Array;
  readonly mmio: Uint32Array;
  /** All of it is one 2 MiB page. */
  large: boolean;
}

/** Mappings by guest frame. */
export class MemoryMap {
  /** By gfn / 512. */
  readonly blocks = new Map<number, Block>();
  /** Pages of 1 GiB, by gfn / 2^18. */
  readonly giants = new Set<number>();
  /** Mappings that had no room. */
  left = 0;

  /** A page of `level` (1 to 3) maps `gfn`. */
  map(gfn: number, level: number): void {
    if (level >= Level.SIZE_1G) {
      this.#forget(gfn, GIANT_BLOCKS);
      if (this.giants.size < MAX_BLOCKS) this.giants.add(Math.floor(gfn / FRAMES_AT[3]));
      else this.left++;
      return;
    }
    const block = this.#block(gfn);
    if (block === undefined) return;
    block.large = level === Level.SIZE_2M;
    if (block.large) block.small.fill(0);
    else set(block.small, gfn % BLOCK_FRAMES, true);
    if (block.large) block.mmio.fill(0);
    else set(block.mmio, gfn % BLOCK_FRAMES, false);
  }

  /** An access to `gfn` goes to a device. */
  mapMmio(gfn: number): void {
    const block = this.#block(gfn);
    if (block === undefined) return;
    set(block.small, gfn % BLOCK_FRAMES, false);
    set(block.mmio, gfn % BLOCK_FRAMES, true);
  }

  /** The table of `level` that maps memory from `gfn` on is gone. */
  zapTable(gfn: number, level: number): void {
    const first = Math.floor(gfn / BLOCK_FRAMES);
    if (level === 1) {
      const block = this.blocks.get(first);
      if (block !== undefined && !block.large) this.blocks.delete(first);
    } else if (level === 2) this.#forget(gfn, GIANT_BLOCKS);
    else {
      const end = first + FRAMES_AT[level] * 512 / BLOCK_FRAMES;
      for (const number of this.blocks.keys()) {
        if (number >= first && number < end) this.blocks.delete(number);
      }
      for (const giant of this.giants) {
        const number = giant * GIANT_BLOCKS;
        if (number >= first && number < end) this.giants.delete(giant);
      }
    }
  }

  /** All tables are gone. */
  clear(): void {
    this.blocks.clear();
    this.giants.clear();
  }

  /** Index in `SIZES` of what maps `gfn`. */
  sizeAt(gfn: number): number {
    if (this.giants.has(Math.floor(gfn / FRAMES_AT[3]))) return Size.PAGE_1G;
    const block = this.blocks.get(Math.floor(gfn / BLOCK_FRAMES));
    if (block === undefined) return Size.NONE;
    if (block.large) return Size.PAGE_2M;
    if (isSet(block.small, gfn % BLOCK_FRAMES)) return Size.PAGE_4K;
    return isSet(block.mmio, gfn % BLOCK_FRAMES) ? Size.MMIO : Size.NONE;
  }

  #block(gfn: number): Block | undefined {
    // A page inside one of 1 GiB: that one has been taken apart.
    this.giants.delete(Math.floor(gfn / FRAMES_AT[3]));
    const number = Math.floor(gfn / BLOCK_FRAMES);
    let block = this.blocks.get(number);
    if (block !== undefined) return block;
    if (this.blocks.size === MAX_BLOCKS) {
      this.left++;
      return undefined;
    }
    block = { small: new Uint32Array(WORDS), mmio: new Uint32Array(WORDS), large: false };
    this.blocks.set(number, block);
    return block;
  }

  #forget(gfn: number, count: number): void {
    const first = Math.floor(gfn / BLOCK_FRAMES);
    for (let number = first; number < first + count; number++) this.blocks.delete(number);
    this.giants.delete(Math.floor(gfn / FRAMES_AT[3]));
  }
}

/** Bits from `from` up to `to` that are set. */
export function countBits(words: Uint32Array, from: number, to: number): number {
  let count = 0;
  for (let bit = from; bit < to; bit++) if (isSet(words, bit)) count++;
  return count;
}

function isSet(words: Uint32Array, bit: number): boolean {
  return (words[bit >>> 5] >>> (bit & 31) & 1) !== 0;
}

function set(words: Uint32Array, bit: number, on: boolean): void {
  if (on) words[bit >>> 5] |= 1 << (bit & 31);
  else words[bit >>> 5] &= ~(1 << (bit & 31));
}
