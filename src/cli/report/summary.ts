/** All that the page shows of a trace, gathered line by line in bounded memory. */

import { PAGE_SIZE } from "../../base/u64.ts";
import { RoleMask, type RootRole, unpackRootRole } from "../../mmu/root_role.ts";
import { TRACE_VERSION } from "../../mmu/trace_json.ts";
import { causeOf, FaultCounts, KNOWN_MMIO } from "./fault_causes.ts";
import { MemoryMap } from "./memory_map.ts";
import { Size } from "./sizes.ts";
import { Timeline } from "./timeline.ts";
import type { TraceLine } from "./trace_line.ts";

/** Names of events, slots and counters that are remembered: a bound for traces that no guest made. */
const MAX_NAMES = 256;

/** A memslot: guest frames that are RAM. */
export interface Slot {
  readonly id: number;
  readonly baseGfn: number;
  readonly frames: number;
}

/** Gathers a trace. */
export class Summary {
  readonly timeline = new Timeline();
  readonly faults = new FaultCounts();
  readonly map = new MemoryMap();
  readonly slots: Slot[] = [];
  /** Events by name. */
  readonly events = new Map<string, number>();
  /** Counters by debugfs name, of the last line that has them. */
  counters: ReadonlyMap<string, number> = new Map();
  lines = 0;
  /** Time of the last line. */
  endNs = 0;
  /** The fault that the lines are about, until the next begins. */
  #open = false;
  #timeNs = 0;
  #cause = 0;
  #size: number = Size.NONE;
  /** A line has said what the fault mapped. */
  #mapped = false;
  /** Of the tables in use: `mmu_valid_gen`. */
  #generation: number | undefined;

  /** @throws DenovisorError `file` when a field of the line is not as it should be. */
  add(line: TraceLine): void {
    this.lines++;
    this.endNs = Math.max(this.endNs, line.timeNs);
    const seen = this.events.get(line.event);
    if (seen !== undefined || this.events.size < MAX_NAMES) {
      this.events.set(line.event, (seen ?? 0) + 1);
    }
    switch (line.event) {
      case "trace_begin":
        return line.atMost("version", TRACE_VERSION);
      case "memslot":
        return this.#slot(line);
      case "stats":
        return this.#stats(line);
      case "kvm_page_fault":
        return this.#fault(line);
      case "kvm_mmu_set_spte":
        return this.#spte(line);
      case "mark_mmio_spte":
      case "handle_mmio_page_fault":
        return this.#mmio(line);
      case "fast_page_fault":
        return this.#fastFault(line);
      case "kvm_mmu_prepare_zap_page":
        return this.#zapTable(line);
      case "kvm_mmu_zap_all_fast":
        return this.#zapAll(line);
    }
  }

  /** To be called after the last line. */
  end(): void {
    this.#count();
    this.timeline.reach(this.endNs);
  }

  /** The fault that the lines were about is over. */
  #count(): void {
    if (!this.#open) return;
    this.timeline.add(this.#timeNs, this.#size);
    this.faults.add(this.#cause, this.#size);
    this.#open = false;
  }

  #slot(line: TraceLine): void {
    const slot = {
      id: line.int("id"),
      baseGfn: line.frame("base_gfn"),
      frames: line.int("npages"),
    };
    if (this.slots.length < MAX_NAMES && slot.frames > 0) this.slots.push(slot);
  }

  #fault(line: TraceLine): void {
    line.hex("fault_address");
    const code = line.hex("error_code");
    this.#count();
    this.#open = true;
    this.#timeNs = line.timeNs;
    this.#cause = causeOf(code % 64);
    // A vCPU remembers its last MMIO page: no line follows then.
    this.#size = this.#cause === KNOWN_MMIO ? Size.MMIO : Size.NONE;
    this.#mapped = false;
  }

  #spte(line: TraceLine): void {
    const gfn = line.frame("gfn");
    const level = line.level("level", 3);
    this.map.map(gfn, level);
    // The first one is the fault's own; pages that were mapped ahead of time follow.
    if (!this.#mapped) this.#size = level - 1;
    this.#mapped = true;
  }

  #mmio(line: TraceLine): void {
    this.map.mapMmio(line.frame("gfn"));
    if (!this.#mapped) this.#size = Size.MMIO;
    this.#mapped = true;
  }

  #fastFault(line: TraceLine): void {
    const gfn = Math.floor(line.hex("cr2_or_gpa") / PAGE_SIZE);
    const size = this.map.sizeAt(gfn);
    // "retry" is KVM's word for "the guest may try again": the fault is done.
    if (!line.flag("retry")) return;
    this.#size = size === Size.NONE ? Size.PAGE_4K : size;
    this.#mapped = true;
  }

  #zapTable(line: TraceLine): void {
    const role = line.hex("role") as RootRole;
    const generation = line.int("gen");
    const gfn = line.frame("gfn");
    // Tables from before a fast zap go later: what they mapped has been forgotten already. And the
    // frame of a guest's own table says nothing about what that table maps.
    const isOld = this.#generation !== undefined && generation !== this.#generation;
    if (isOld || (role & RoleMask.DIRECT) === 0) return;
    const { level } = unpackRootRole(role);
    if (level >= 1 && level <= 5) this.map.zapTable(gfn, level);
  }

  #zapAll(line: TraceLine): void {
    this.#generation = line.int("mmu_valid_gen") === 0 ? 1 : 0;
    this.map.clear();
  }

  #stats(line: TraceLine): void {
    const numbers = line.numbers();
    if (numbers.size <= MAX_NAMES) this.counters = numbers;
  }
}
