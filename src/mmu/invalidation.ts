/**
 * The host changes its own mapping of guest memory, and the MMU follows. Ranges are host page
 * numbers, half-open; one range may lie in several memslots.
 */

import type { Gfn, Pfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import { RangeOp } from "./mapping_engine.ts";
import type { Memslot } from "./memslot.ts";
import { forRange } from "./slot_updates.ts";
import { Tp } from "./trace.ts";

/** The host is about to take the pages [start, end) away. Until `invalidateEnd` no fault maps them. */
export function invalidateStart(core: MmuCore, start: number, end: number): void {
  core.notifier.begin(start, end);
  core.changes++;
  if (applyToHostPages(core, start, end, RangeOp.UNMAP)) core.flushAll();
}

/** The pages are gone. */
export function invalidateEnd(core: MmuCore): void {
  core.notifier.end();
  core.changes++;
}

/** True when the guest has used one of the pages since the last call. */
export function age(core: MmuCore, start: number, end: number): boolean {
  return applyToHostPages(core, start, end, RangeOp.AGE);
}

/** True when the guest has used one of the pages since `age`. */
export function testAge(core: MmuCore, start: number, end: number): boolean {
  return applyToHostPages(core, start, end, RangeOp.TEST_AGE);
}

/** The host has put frame `pfn` behind a page: a read-only one may be mapped at once. */
export function changePte(core: MmuCore, hostPage: number, pfn: Pfn, writable: boolean): void {
  core.notifier.bump();
  let flush = false;
  for (const space of core.spaces) {
    for (const slot of space.all) {
      const frame = hostPage - slot.hostPage;
      if (frame < 0 || frame >= slot.frames) continue;
      const gfn = slot.baseGfn + frame as Gfn;
      for (const engine of core.engines) {
        flush = engine.changePfn(slot, gfn, pfn, writable) || flush;
      }
    }
  }
  core.changes++;
  if (flush) core.flushAll();
}

function applyToHostPages(core: MmuCore, start: number, end: number, op: RangeOp): boolean {
  let any = false;
  for (const space of core.spaces) {
    for (const slot of space.all) {
      const first = Math.max(0, start - slot.hostPage);
      const last = Math.min(slot.frames, end - slot.hostPage);
      if (first >= last) continue;
      const from = slot.baseGfn + first as Gfn;
      const young = forRange(core, slot, from, slot.baseGfn + last as Gfn, op);
      if (op === RangeOp.AGE) traceAge(core, slot, from, young);
      any = young || any;
    }
  }
  return any;
}

function traceAge(core: MmuCore, slot: Memslot, gfn: Gfn, young: boolean): void {
  core.trace?.emit(Tp.AGE_PAGE, gfn, 1, slot.id, Number(young));
}
