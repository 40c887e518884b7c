/**
 * A trace as text: one JSON object a line, an event each, with KVM's name of the tracepoint and of its
 * fields. Frames, addresses and entries are hexadecimal text, since numbers of JSON end at 2^53; the
 * rest are numbers and booleans. `time_ns` counts from the start of the trace.
 *
 * Three kinds of lines are no tracepoints. `trace_begin` is the first line; a `memslot` line for each
 * slot, with the fields of struct kvm_memory_slot, follows; `stats`, with all counters under their
 * debugfs names, is the last.
 */

import type { Mmu } from "./mmu.ts";
import { fieldValue, MmuTrace, operandsOf, TRACEPOINTS } from "./trace.ts";

/** The `version` of the `trace_begin` line: changes when old readers could no longer read the rest. */
export const TRACE_VERSION = 1;
/** Bits of the `flags` of a `memslot` line (Linux, include/uapi/linux/kvm.h). */
export const SlotFlag = { LOG_DIRTY_PAGES: 1 << 0, READONLY: 1 << 1 } as const;

/** Characters that are gathered before they are written. */
const CHUNK_CHARACTERS = 64 * 1024;

/** `,"event":"NAME"` of each tracepoint. */
const NAMES = TRACEPOINTS.map(({ name }) => `,"event":${JSON.stringify(name)}`);
/** `,"field":` of each field of each tracepoint. */
const FIELDS = TRACEPOINTS.map(({ fields }) => fields.map(([name]) => `,${JSON.stringify(name)}:`));

/** Has an MMU's events written as lines of JSON, from the constructor on until `end`. */
export class TraceJson {
  readonly #mmu: Mmu;
  readonly #trace: MmuTrace;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #clockNs: () => number;
  readonly #startNs: number;
  readonly #encoder = new TextEncoder();
  #text = "";
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param write Takes all of the bytes, or throws. Then nothing more is written.
   * @param clockNs Nanoseconds since any fixed time.
   * @param capacity Events that are gathered before they become text.
   */
  constructor(
    mmu: Mmu,
    write: (bytes: Uint8Array) => void,
    clockNs: () => number = () => performance.now() * 1e6,
    capacity = 4096,
  ) {
    this.#mmu = mmu;
    this.#write = write;
    this.#clockNs = clockNs;
    this.#startNs = clockNs();
    this.#trace = new MmuTrace(capacity, clockNs);
    this.#trace.onFull = () => this.#format();
    this.#line(this.#startNs, "trace_begin", { version: TRACE_VERSION });
    for (const slot of mmu.core.spaces[0].all) {
      const flags = (slot.dirty === undefined ? 0 : SlotFlag.LOG_DIRTY_PAGES) |
        (slot.readOnly ? SlotFlag.READONLY : 0);
      this.#line(this.#startNs, "memslot", {
        id: slot.id,
        base_gfn: "0x" + slot.baseGfn.toString(16),
        npages: slot.frames,
        flags,
      });
    }
    mmu.trace = this.#trace;
  }

  /**
   * Writes what there is.
   * @throws what `write` has thrown, then or earlier.
   */
  flush(): void {
    this.#format();
    this.#send();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Ends the trace with the counters. Throws as `flush` does. */
  end(): void {
    this.#mmu.trace = undefined;
    this.#format();
    this.#line(this.#clockNs(), "stats", this.#mmu.stats());
    this.flush();
  }

  /** Turns events into text. Runs in the middle of MMU operations, so that it may not throw. */
  #format(): void {
    this.#trace.read(this.#event);
  }

  readonly #event = (point: number, timeNs: number, operands: Float64Array, at: number): void => {
    const { fields } = TRACEPOINTS[point];
    const names = FIELDS[point];
    let line = `{"time_ns":${Math.round(timeNs - this.#startNs)}${NAMES[point]}`;
    for (let i = 0; i < names.length; i++) {
      const kind = fields[i][1];
      const value = fieldValue(kind, operands, at);
      line += typeof value === "string" ? `${names[i]}"${value}"` : `${names[i]}${value}`;
      at += operandsOf(kind);
    }
    this.#text += line + "}\n";
    if (this.#text.length >= CHUNK_CHARACTERS) this.#send();
  };

  #line(timeNs: number, event: string, fields: Readonly<Record<string, number | string>>): void {
    const time_ns = Math.round(timeNs - this.#startNs);
    this.#text += JSON.stringify({ time_ns, event, ...fields }) + "\n";
  }

  #send(): void {
    const text = this.#text;
    this.#text = "";
    if (text === "" || this.#failure !== undefined) return;
    try {
      this.#write(this.#encoder.encode(text));
    } catch (error) {
      this.#failure = { error };
    }
  }
}
