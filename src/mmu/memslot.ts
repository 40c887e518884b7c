/** A memslot: a run of guest frames backed by a run of host pages, and what is known about each. */

import { compact, type Gfn } from "../base/u64.ts";
import { LargePageInfo } from "./large_page_info.ts";

/** What a memslot is made from. */
export interface MemslotConfig {
  /** Number by which updates name the slot; unique in its address space. */
  readonly id: number;
  /** First guest frame. */
  readonly baseGfn: Gfn;
  /** Length in 4 KiB frames. */
  readonly frames: number;
  /** Host virtual address of the first byte divided by 4096. */
  readonly hostPage: number;
  /** The guest's writes are emulated. */
  readonly readOnly?: boolean;
  /** Writes are logged. */
  readonly logDirty?: boolean;
}

const NO_HEADS = new Int32Array(0);

/** A run of guest frames backed by host pages. */
export class Memslot {
  declare readonly id: number;
  declare readonly addressSpace: number;
  declare readonly baseGfn: Gfn;
  declare readonly frames: number;
  /** The frame after the last. */
  declare readonly endGfn: Gfn;
  declare readonly hostPage: number;
  declare readonly readOnly: boolean;
  /** Being deleted or moved: no new mapping may come to be. */
  invalid = false;
  /** One bit a frame, 1 for written; undefined while writes are not logged. */
  declare dirty: Int32Array | undefined;
  declare readonly large: LargePageInfo;
  /** Shadow engine: by level, one rmap head for each block; empty until it is needed. */
  readonly rmap: Int32Array[] = [NO_HEADS, NO_HEADS, NO_HEADS, NO_HEADS];
  /** Users of write tracking by frame; undefined while there are none. */
  #tracked: Uint16Array | undefined;

  constructor(config: MemslotConfig, addressSpace: number) {
    this.id = config.id;
    this.addressSpace = addressSpace;
    this.baseGfn = compact(config.baseGfn);
    this.frames = compact(config.frames);
    this.endGfn = compact(config.baseGfn + config.frames as Gfn);
    this.hostPage = compact(config.hostPage);
    this.readOnly = config.readOnly ?? false;
    this.dirty = config.logDirty === true ? newBitmap(config.frames) : undefined;
    this.large = new LargePageInfo(config.baseGfn, config.frames, config.hostPage);
  }

  contains(gfn: Gfn): boolean {
    return gfn >= this.baseGfn && gfn < this.endGfn;
  }

  /** The host page behind `gfn`. */
  hostPageOf(gfn: Gfn): number {
    return this.hostPage + (gfn - this.baseGfn);
  }

  /** Logs a write to `gfn`, when writes are logged. */
  markDirty(gfn: Gfn): void {
    const dirty = this.dirty;
    if (dirty === undefined) return;
    const frame = gfn - this.baseGfn;
    dirty[frame >>> 5] |= 1 << (frame & 31);
  }

  /** True when a write to `gfn` has been logged and not yet reported. */
  isDirty(gfn: Gfn): boolean {
    if (this.dirty === undefined) return false;
    const frame = gfn - this.baseGfn;
    return (this.dirty[frame >>> 5] >>> (frame & 31) & 1) !== 0;
  }

  /** Begins or ends logging; a new log is empty. */
  setLogging(on: boolean): void {
    this.dirty = on ? newBitmap(this.frames) : undefined;
  }

  /** True when someone wants to know of writes to `gfn`: they are logged or tracked. */
  isWatched(gfn: Gfn): boolean {
    return this.dirty !== undefined || this.isTracked(gfn);
  }

  /** True when someone wants to see every write to `gfn`. */
  isTracked(gfn: Gfn): boolean {
    return this.#tracked !== undefined && this.#tracked[gfn - this.baseGfn] !== 0;
  }

  /** Users of write tracking at `gfn`. */
  trackCount(gfn: Gfn): number {
    return this.#tracked === undefined ? 0 : this.#tracked[gfn - this.baseGfn];
  }

  /** Adds `delta` (1 or -1) users of write tracking at `gfn`. */
  changeTracking(gfn: Gfn, delta: 1 | -1): void {
    this.#tracked ??= new Uint16Array(this.frames);
    const count = this.#tracked[gfn - this.baseGfn] + delta;
    if (count < 0 || count > 0xffff) {
      throw new RangeError(
        `Cannot change write tracking of gfn 0x${
          gfn.toString(16)
        }: ${count} users, expected 0 to 65535`,
      );
    }
    this.#tracked[gfn - this.baseGfn] = count;
  }
}

function newBitmap(frames: number): Int32Array {
  return new Int32Array(Math.ceil(frames / 32));
}
