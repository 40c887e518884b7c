/** What `--trace jit` says of each translated region: one JSON object a line. */

import { frameHi, frameLo, type Gfn } from "../../../base/u64.ts";
import { MODE_CPL } from "./layout.ts";
import type { PlannedBlock } from "./plan.ts";

/** Bytes of a page. */
const PAGE = 4096;
/** Characters that are gathered before they are written. */
const CHUNK_CHARACTERS = 64 * 1024;

/** A region, as its translation has gone. */
export interface TracedRegion {
  /** In the table of functions. */
  readonly index: number;
  /** RIP of the block that it was made for, as two halves. */
  readonly ripLo: number;
  readonly ripHi: number;
  readonly is64: boolean;
  /** `modeOf` of the vCPUs that it is for. */
  readonly mode: number;
  readonly gfn: Gfn;
  /** Offset in the guest's WebAssembly memory of the page. */
  readonly pageAt: number;
  readonly start: number;
  readonly blocks: readonly PlannedBlock[];
  /** Bytes of the function's code. */
  readonly wasmBytes: number;
  readonly planMs: number;
  readonly emitMs: number;
}

/** The module that regions are part of. */
export interface TracedBatch {
  readonly regions: readonly TracedRegion[];
  readonly bytes: number;
  /** V8's for the module: it validates it. Functions are compiled when they are first called. */
  readonly compileMs: number;
}

/** Writes lines about the regions of one guest. */
export class JitTrace {
  readonly #ram: Uint8Array;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #encoder = new TextEncoder();
  readonly #startMs = performance.now();
  #text = "";
  #batches = 0;

  /**
   * @param ram The guest's WebAssembly memory.
   * @param write Takes all of the bytes, or throws, which ends the run.
   */
  constructor(ram: Uint8Array, write: (bytes: Uint8Array) => void) {
    this.#ram = ram;
    this.#write = write;
  }

  /** Regions have been translated. */
  add(batch: TracedBatch): void {
    const time_ns = Math.round((performance.now() - this.#startMs) * 1e6);
    const number = this.#batches++;
    for (const region of batch.regions) {
      const line = { time_ns, ...this.#describe(region), batch: describeBatch(number, batch) };
      this.#text += JSON.stringify(line) + "\n";
    }
    if (this.#text.length >= CHUNK_CHARACTERS) this.flush();
  }

  /** Writes what there is. */
  flush(): void {
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.#write(this.#encoder.encode(text));
  }

  #describe(region: TracedRegion): object {
    const { blocks, start } = region;
    return {
      region: region.index,
      gva: hex(region.ripLo, region.ripHi),
      gpa: hex(frameLo(region.gfn) | start, frameHi(region.gfn)),
      bits: region.is64 ? 64 : 32,
      cpl: region.mode >>> MODE_CPL & 3,
      instructions: blocks.reduce((sum, { insns }) => sum + insns.length, 0),
      blocks: blocks.map((block) => ({
        offset: block.offset - start,
        code: this.#codeOf(block, region.pageAt),
        instructions: block.insns.length,
        entry: block.isEntry,
        falls: block.falls,
        /** Its last instruction is left to the interpreter. */
        steps: block.steps,
      })),
      wasm_bytes: region.wasmBytes,
      plan_us: microseconds(region.planMs),
      emit_us: microseconds(region.emitMs),
    };
  }

  #codeOf({ offset, insns }: PlannedBlock, pageAt: number): string {
    const end = Math.min(insns[insns.length - 1].next, PAGE);
    return this.#ram.slice(pageAt + offset, pageAt + end).toHex();
  }
}

function describeBatch(number: number, { regions, bytes, compileMs }: TracedBatch): object {
  return { number, regions: regions.length, bytes, compile_us: microseconds(compileMs) };
}

function microseconds(ms: number): number {
  return Math.round(ms * 1000);
}

function hex(lo: number, hi: number): string {
  const high = (hi >>> 0).toString(16);
  const low = (lo >>> 0).toString(16);
  return "0x" + (hi === 0 ? low : high + low.padStart(8, "0"));
}
