/** From the memory map to a bounded number of cells: stretches of guest memory, cut evenly. */

import { alignDown, alignUp } from "../../base/u64.ts";
import { FRAMES_AT, Level } from "../../mmu/level.ts";
import { BLOCK_FRAMES, countBits, type MemoryMap } from "./memory_map.ts";
import { Size } from "./sizes.ts";
import type { Slot } from "./summary.ts";

/** Cells of all stretches together, and stretches: what a page can show. */
const MAX_CELLS = 2048;
const MAX_STRETCHES = 8;
/** Stretches that are closer are one, in frames: 2 MiB; 128 MiB where nobody says what is RAM. */
const GAP = 512;
const GAP_WITHOUT_SLOTS = 32_768;

/** Kinds of mappings that a cell counts: all of `SIZES` but the last. */
export const MAPPED_SIZES = Size.NONE;

/** Guest frames in a row. */
interface Range {
  readonly start: number;
  end: number;
}

/** A stretch of guest memory. */
export interface Stretch {
  /** Its first frame, a multiple of the cell's size. */
  readonly start: number;
  /** Frames mapped, by cell and size: MAPPED_SIZES numbers a cell. */
  readonly cells: Float64Array;
  /** By cell: 1 where there is RAM. */
  readonly ram: Uint8Array;
}

/** What is to be drawn. */
export interface MapLayout {
  readonly cellFrames: number;
  readonly stretches: readonly Stretch[];
  /** Frames mapped at the end of the trace, by size. */
  readonly mapped: readonly number[];
  /** Stretches that there was no room for. */
  readonly hidden: number;
}

/** Lays the map out. */
export function layOut(map: MemoryMap, slots: readonly Slot[]): MapLayout {
  const mapped = [0, 0, 0, 0];
  const all = rangesOf(map, slots);
  const weights = new Map<Range, number>(all.map((range) => [range, 0]));
  eachMapping(map, 512, (frame, frames, size) => {
    mapped[size] += frames;
    const range = find(all, frame);
    if (range !== undefined) weights.set(range, weights.get(range)! + frames);
  });
  const ranges = [...all].sort((a, b) => weights.get(b)! - weights.get(a)!)
    .slice(0, MAX_STRETCHES).sort((a, b) => a.start - b.start);
  let cellFrames = 1;
  while (ranges.reduce((sum, range) => sum + cellsOf(range, cellFrames), 0) > MAX_CELLS) {
    cellFrames *= 2;
  }
  const stretches = ranges.map((range): Stretch => {
    const cells = cellsOf(range, cellFrames);
    const start = alignDown(range.start, cellFrames);
    return { start, cells: new Float64Array(cells * MAPPED_SIZES), ram: new Uint8Array(cells) };
  });
  const add = (frame: number, frames: number, to: (cell: number, count: number) => void) => {
    for (let at = frame; at < frame + frames;) {
      const next = Math.min(alignDown(at, cellFrames) + cellFrames, frame + frames);
      to(Math.floor(at / cellFrames), next - at);
      at = next;
    }
  };
  eachMapping(map, Math.min(cellFrames, BLOCK_FRAMES), (frame, frames, size) => {
    const index = ranges.findIndex(({ start, end }) => frame >= start && frame < end);
    if (index < 0) return;
    const { start, cells } = stretches[index];
    add(frame, frames, (cell, count) => {
      const at = (cell - start / cellFrames) * MAPPED_SIZES + size;
      if (at >= 0 && at < cells.length) cells[at] += count;
    });
  });
  for (const slot of slots) {
    stretches.forEach(({ start, ram }) => {
      const from = Math.max(0, Math.floor((slot.baseGfn - start) / cellFrames));
      const to = Math.ceil((slot.baseGfn + slot.frames - start) / cellFrames);
      if (to > 0) ram.fill(1, from, Math.min(to, ram.length));
    });
  }
  return { cellFrames, stretches, mapped, hidden: all.length - ranges.length };
}

/** Stretches of memory that is RAM or mapped, in order, joined where they are close. */
function rangesOf(map: MemoryMap, slots: readonly Slot[]): Range[] {
  const parts: Range[] = slots.map(({ baseGfn, frames }) => ({
    // Whole blocks, so that each block is in one stretch.
    start: alignDown(baseGfn, BLOCK_FRAMES),
    end: alignUp(baseGfn + frames, BLOCK_FRAMES),
  }));
  for (const number of map.blocks.keys()) {
    const start = number * BLOCK_FRAMES;
    const inSlot = slots.some((slot) =>
      start < slot.baseGfn + slot.frames && start + BLOCK_FRAMES > slot.baseGfn
    );
    if (!inSlot) parts.push({ start, end: start + BLOCK_FRAMES });
  }
  for (const giant of map.giants) {
    parts.push({ start: giant * FRAMES_AT[Level.SIZE_1G], end: (giant + 1) * FRAMES_AT[3] });
  }
  parts.sort((a, b) => a.start - b.start);
  const joined: Range[] = [];
  const gap = slots.length > 0 ? GAP : GAP_WITHOUT_SLOTS;
  for (const part of parts) {
    const last = joined.at(-1);
    if (last !== undefined && part.start - last.end <= gap) last.end = Math.max(last.end, part.end);
    else joined.push({ ...part });
  }
  return joined;
}

/** The range, of sorted ones, that holds `frame`. */
function find(ranges: readonly Range[], frame: number): Range | undefined {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle].end > frame) high = middle;
    else low = middle + 1;
  }
  const range = ranges[low];
  return range !== undefined && frame >= range.start ? range : undefined;
}

function cellsOf({ start, end }: Range, cellFrames: number): number {
  return Math.ceil(end / cellFrames) - Math.floor(start / cellFrames);
}

/**
 * Calls `see` with what is mapped.
 * @param step Small pages are counted by so many frames, a power of two up to 512.
 */
function eachMapping(
  map: MemoryMap,
  step: number,
  see: (frame: number, frames: number, size: number) => void,
): void {
  for (const giant of map.giants) {
    see(giant * FRAMES_AT[Level.SIZE_1G], FRAMES_AT[Level.SIZE_1G], Size.PAGE_1G);
  }
  for (const [number, { small, mmio, large }] of map.blocks) {
    const start = number * BLOCK_FRAMES;
    if (large) see(start, BLOCK_FRAMES, Size.PAGE_2M);
    for (let from = 0; from < BLOCK_FRAMES; from += step) {
      const pages = countBits(small, from, from + step);
      const devices = countBits(mmio, from, from + step);
      if (pages > 0) see(start + from, pages, Size.PAGE_4K);
      if (devices > 0) see(start + from, devices, Size.MMIO);
    }
  }
}
