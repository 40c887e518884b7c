/**
 * Tracepoints under KVM's names and fields. A trace is a ring of numbers in fixed-size records;
 * nothing is formatted until someone reads it. An MMU without a trace pays one comparison a point.
 */

import { hi32, lo32 } from "../base/u64.ts";
import type { WalkTrace } from "./walk/trace.ts";

/** How a field is shown: "addr" and "spte" take two numbers (low half, high half), the others one. */
export type FieldKind = "addr" | "spte" | "hex" | "dec" | "flag";

/** A tracepoint's name and the fields of its events, in the order in which `emit` takes them. */
export interface Tracepoint {
  readonly name: string;
  readonly fields: readonly (readonly [name: string, kind: FieldKind])[];
}

const PAGE_FIELDS = [
  ["gen", "dec"],
  ["gfn", "hex"],
  ["role", "hex"],
  ["root_count", "dec"],
  ["unsync", "flag"],
] as const;

/** Indices of the tracepoints. */
export const Tp = {
  PAGETABLE_WALK: 0,
  PAGING_ELEMENT: 1,
  SET_ACCESSED_BIT: 2,
  SET_DIRTY_BIT: 3,
  WALKER_ERROR: 4,
  GET_PAGE: 5,
  SYNC_PAGE: 6,
  UNSYNC_PAGE: 7,
  PREPARE_ZAP_PAGE: 8,
  MARK_MMIO_SPTE: 9,
  HANDLE_MMIO_PAGE_FAULT: 10,
  FAST_PAGE_FAULT: 11,
  CHECK_MMIO_SPTE: 12,
  SET_SPTE: 13,
  SPTE_REQUESTED: 14,
  ZAP_ALL_FAST: 15,
  PAGE_FAULT: 16,
  AGE_PAGE: 17,
  TRY_ASYNC_GET_PAGE: 18,
  ASYNC_PF_DOUBLEFAULT: 19,
} as const;

/** The tracepoints in the order of `Tp`, with KVM's names of the fields. */
export const TRACEPOINTS: readonly Tracepoint[] = [
  { name: "kvm_mmu_pagetable_walk", fields: [["addr", "addr"], ["pferr", "hex"]] },
  { name: "kvm_mmu_paging_element", fields: [["pte", "spte"], ["level", "dec"]] },
  { name: "kvm_mmu_set_accessed_bit", fields: [["gpa", "addr"]] },
  { name: "kvm_mmu_set_dirty_bit", fields: [["gpa", "addr"]] },
  { name: "kvm_mmu_walker_error", fields: [["pferr", "hex"]] },
  { name: "kvm_mmu_get_page", fields: [...PAGE_FIELDS, ["created", "flag"]] },
  { name: "kvm_mmu_sync_page", fields: PAGE_FIELDS },
  { name: "kvm_mmu_unsync_page", fields: PAGE_FIELDS },
  { name: "kvm_mmu_prepare_zap_page", fields: PAGE_FIELDS },
  {
    name: "mark_mmio_spte",
    fields: [["sptep", "hex"], ["gfn", "hex"], ["access", "hex"], ["gen", "dec"]],
  },
  {
    name: "handle_mmio_page_fault",
    fields: [["addr", "addr"], ["gfn", "hex"], ["access", "hex"]],
  },
  {
    name: "fast_page_fault",
    fields: [
      ["vcpu_id", "dec"],
      ["cr2_or_gpa", "addr"],
      ["error_code", "hex"],
      ["sptep", "hex"],
      ["old_spte", "spte"],
      ["new_spte", "spte"],
      ["retry", "flag"],
    ],
  },
  {
    name: "check_mmio_spte",
    fields: [["spte", "spte"], ["kvm_gen", "dec"], ["spte_gen", "dec"]],
  },
  {
    name: "kvm_mmu_set_spte",
    fields: [
      ["gfn", "hex"],
      ["spte", "spte"],
      ["sptep", "hex"],
      ["level", "dec"],
      ["r", "flag"],
      ["x", "flag"],
      ["u", "dec"],
    ],
  },
  {
    name: "kvm_mmu_spte_requested",
    fields: [["gfn", "hex"], ["pfn", "hex"], ["level", "dec"]],
  },
  { name: "kvm_mmu_zap_all_fast", fields: [["mmu_valid_gen", "dec"], ["mmu_used_pages", "dec"]] },
  { name: "kvm_page_fault", fields: [["fault_address", "addr"], ["error_code", "hex"]] },
  {
    name: "kvm_age_page",
    fields: [["gfn", "hex"], ["level", "dec"], ["slot", "dec"], ["young", "flag"]],
  },
  { name: "kvm_try_async_get_page", fields: [["gva", "addr"], ["gfn", "hex"]] },
  { name: "kvm_async_pf_doublefault", fields: [["gva", "addr"], ["gfn", "hex"]] },
];

/** One event as a reader gets it: its name and its fields; numbers above 2^53 as hexadecimal text. */
export interface TraceEvent {
  readonly event: string;
  /** Number of the event since the trace began. */
  readonly sequence: number;
  readonly [field: string]: string | number | boolean;
}

/** Numbers in a record: the tracepoint, its operands, the time. */
const RECORD_NUMBERS = 12;
/** Where the time stands in a record. */
const TIME = RECORD_NUMBERS - 1;

/**
 * Is shown one event: its tracepoint, when it was by the trace's clock, in nanoseconds, and its
 * operands, from `operands[at]` on. They are overwritten later.
 */
export type TraceReader = (
  point: number,
  timeNs: number,
  operands: Float64Array,
  at: number,
) => void;

/** A ring of the last events. */
export class MmuTrace {
  readonly #ring: Float64Array;
  readonly #capacity: number;
  readonly #clockNs: () => number;
  #written = 0;
  #read = 0;
  /** For `Walker.trace`: the events of guest walks become part of this trace. */
  readonly walks: WalkTrace = {
    pagetableWalk: (lo, hi, access) => this.emit(Tp.PAGETABLE_WALK, lo, hi, access),
    pagingElement: (lo, hi, level) => this.emit(Tp.PAGING_ELEMENT, lo, hi, level),
    setAccessedBit: (gpa) => this.emit(Tp.SET_ACCESSED_BIT, lo32(gpa), hi32(gpa)),
    setDirtyBit: (gpa) => this.emit(Tp.SET_DIRTY_BIT, lo32(gpa), hi32(gpa)),
    walkerError: (errorCode) => this.emit(Tp.WALKER_ERROR, errorCode),
  };
  /** Called before unread events would be overwritten: who reads them then loses none. */
  onFull: (() => void) | undefined = undefined;

  /**
   * @param capacity Events kept until they are read; older ones are overwritten.
   * @param clockNs Nanoseconds since any fixed time.
   */
  constructor(capacity = 4096, clockNs: () => number = () => performance.now() * 1e6) {
    this.#capacity = capacity;
    this.#clockNs = clockNs;
    this.#ring = new Float64Array(capacity * RECORD_NUMBERS);
  }

  /** Records an event. 64-bit fields take two operands: low half, high half. */
  emit(point: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, j = 0): void {
    if (this.#written - this.#read >= this.#capacity) this.onFull?.();
    const ring = this.#ring;
    const at = (this.#written++ % this.#capacity) * RECORD_NUMBERS;
    ring[at] = point;
    ring[at + 1] = a;
    ring[at + 2] = b;
    ring[at + 3] = c;
    ring[at + 4] = d;
    ring[at + 5] = e;
    ring[at + 6] = f;
    ring[at + 7] = g;
    ring[at + 8] = h;
    ring[at + 9] = i;
    ring[at + 10] = j;
    ring[at + TIME] = this.#clockNs();
  }

  /** Events that were overwritten before anyone read them. */
  get lost(): number {
    return Math.max(0, this.#written - this.#capacity - this.#read);
  }

  /** The events since the last call, oldest first. */
  drain(): TraceEvent[] {
    const events: TraceEvent[] = [];
    const first = Math.max(this.#read, this.#written - this.#capacity);
    for (let n = first; n < this.#written; n++) events.push(this.#decode(n));
    this.#read = this.#written;
    return events;
  }

  /** Shows `reader` the events since the last call, oldest first; allocates nothing. */
  read(reader: TraceReader): void {
    const ring = this.#ring;
    const first = Math.max(this.#read, this.#written - this.#capacity);
    for (let n = first; n < this.#written; n++) {
      const at = (n % this.#capacity) * RECORD_NUMBERS;
      reader(ring[at], ring[at + TIME], ring, at + 1);
    }
    this.#read = this.#written;
  }

  #decode(sequence: number): TraceEvent {
    const at = (sequence % this.#capacity) * RECORD_NUMBERS;
    const point = TRACEPOINTS[this.#ring[at]];
    const event: Record<string, string | number | boolean> = { event: point.name, sequence };
    let operand = at + 1;
    for (const [name, kind] of point.fields) {
      event[name] = fieldValue(kind, this.#ring, operand);
      operand += operandsOf(kind);
    }
    return event as TraceEvent;
  }
}

/** How many operands a field of `kind` takes. */
export function operandsOf(kind: FieldKind): 1 | 2 {
  return kind === "addr" || kind === "spte" ? 2 : 1;
}

/** KVM_PFN_NOSLOT: KVM's frame number where there is no memory. */
const NO_SLOT = "0x8000000000000000";

/** A field as readers get it, from its operands at `operands[at]`. */
export function fieldValue(
  kind: FieldKind,
  operands: Float64Array,
  at: number,
): string | number | boolean {
  const value = operands[at];
  if (kind === "addr" || kind === "spte") return hex64(value, operands[at + 1]);
  if (kind === "hex") return value < 0 ? NO_SLOT : "0x" + value.toString(16);
  return kind === "flag" ? value !== 0 : value;
}

function hex64(lo: number, hi: number): string {
  const high = hi >>> 0;
  const low = (lo >>> 0).toString(16);
  return high === 0 ? `0x${low}` : `0x${high.toString(16)}${low.padStart(8, "0")}`;
}
