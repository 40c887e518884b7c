/** Memslots come, go, move and change what is logged; the tables follow. */

import { DenovisorError } from "../base/errors.ts";
import type { Gfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import { RangeOp } from "./mapping_engine.ts";
import { Memslot, type MemslotConfig } from "./memslot.ts";
import { ADDRESS_SPACES, checkMemslot, type Memslots } from "./memslots.ts";
import { MMIO_GENERATIONS } from "./mmio_spte.ts";

/** Updates the memslots of one MMU. */
export class SlotUpdates {
  readonly #core: MmuCore;
  readonly #zapAll: () => void;
  readonly #forgetMmio: () => void;

  /**
   * @param zapAll Throws away all tables of all address spaces.
   * @param forgetMmio Empties the MMIO cache of every vCPU.
   */
  constructor(core: MmuCore, zapAll: () => void, forgetMmio: () => void) {
    this.#core = core;
    this.#zapAll = zapAll;
    this.#forgetMmio = forgetMmio;
  }

  /**
   * Creates the slot `config.id`, or replaces the one of that number: a change of place deletes all
   * mappings, a change of logging alone does not.
   * @throws DenovisorError `memslot` when it cannot be; nothing has changed then.
   */
  set(config: MemslotConfig, addressSpace: number): Memslot {
    const space = this.#space(addressSpace);
    const old = space.byId(config.id);
    const others = space.all.filter((slot) => slot !== old);
    checkMemslot(config, others, this.#core.maxPhyAddrBits);
    if (old === undefined) return this.#create(space, config);
    const same = old.baseGfn === config.baseGfn && old.frames === config.frames &&
      old.hostPage === config.hostPage && old.readOnly === (config.readOnly ?? false);
    if (!same) {
      // Made first: should there be no memory for it, the old one stays.
      const slot = new Memslot(config, addressSpace);
      this.#remove(space, old);
      this.#install(space, [...space.all, slot]);
      return slot;
    }
    this.#changeLogging(space, old, config.logDirty ?? false);
    return old;
  }

  /** Deletes a slot: its mappings go first. */
  delete(id: number, addressSpace: number): void {
    const space = this.#space(addressSpace);
    const slot = space.byId(id);
    if (slot === undefined) {
      throw new DenovisorError("memslot", `Cannot delete memslot ${id}: there is none`, { id });
    }
    this.#remove(space, slot);
  }

  #space(addressSpace: number): Memslots {
    const space = this.#core.spaces[addressSpace];
    if (space === undefined) {
      throw new DenovisorError(
        "memslot",
        `Cannot find address space ${addressSpace}: expected 0 to ${ADDRESS_SPACES - 1}`,
        { addressSpace },
      );
    }
    return space;
  }

  #create(space: Memslots, config: MemslotConfig): Memslot {
    const slot = new Memslot(config, space.addressSpace);
    this.#install(space, [...space.all, slot]);
    return slot;
  }

  /** Marks the slot invalid so that no mapping comes to be, drops all there are, then takes it out. */
  #remove(space: Memslots, slot: Memslot): void {
    slot.invalid = true;
    this.#install(space, space.all);
    this.#zapAll();
    this.#install(space, space.all.filter((other) => other !== slot));
  }

  #changeLogging(space: Memslots, slot: Memslot, on: boolean): void {
    const core = this.#core;
    if (on === (slot.dirty !== undefined)) return;
    slot.setLogging(on);
    this.#install(space, space.all);
    const start = slot.baseGfn;
    const end = slot.endGfn;
    const op = on
      ? core.pml ? RangeOp.CLEAR_DIRTY : RangeOp.PROTECT_FOR_LOG
      : core.pml
      ? RangeOp.SET_DIRTY
      : RangeOp.COLLAPSE;
    const changed = forRange(core, slot, start, end, op);
    // A new log needs the flush in any case: ageing may have left rights in the TLBs.
    if (on || changed) core.flushAll();
    if (!on && core.pml && forRange(core, slot, start, end, RangeOp.COLLAPSE)) core.flushAll();
  }

  /** Swaps the array of slots; what was learnt before is stale after, and nothing is learnt between. */
  #install(space: Memslots, slots: readonly Memslot[]): void {
    const core = this.#core;
    space.updating = true;
    this.#forgetMmio();
    core.hooks?.duringSlotUpdate?.();
    space.replace(slots);
    space.nextGeneration();
    space.updating = false;
    this.#forgetMmio();
    core.updateQuota();
    core.changes++;
    const generation = space.generation % MMIO_GENERATIONS;
    // MMIO SPTEs from before the wrap would look current again.
    if (generation < ADDRESS_SPACES) this.#zapAll();
  }
}

/** Applies `op` in every engine; true when TLBs have to be flushed (or a page was used). */
export function forRange(
  core: MmuCore,
  slot: Memslot,
  start: Gfn,
  end: Gfn,
  op: RangeOp,
): boolean {
  let any = false;
  for (const engine of core.engines) any = engine.forRange(slot, start, end, op) || any;
  return any;
}
