/** Maps the neighbours of a fault, as far as the host has them at hand. */

import type { Gfn } from "../../base/u64.ts";
import { type Fault } from "../fault.ts";
import { PageKind } from "../host.ts";
import { LeafHow } from "../make_spte.ts";
import { Acc } from "../pferr.ts";
import { updateSpte } from "../spte_ops.ts";
import { TABLE_WORDS, tableOf } from "../table_pool.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { traceSetSpte } from "../trace_points.ts";

/** Entries looked at: an aligned window around the fault. */
export const PREFETCH_WINDOW = 8;

/**
 * Maps what is absent in the aligned window of 8 entries around `sptep`, up to the first page that
 * the host does not have. Not where entries have no accessed flag to tell guessed pages from used
 * ones, and not in a logged slot.
 */
export function prefetchNeighbours(vcpu: VcpuState, fault: Fault, sptep: number): void {
  const { core, maker } = vcpu;
  const { pool, host, format } = core;
  const slot = fault.slot!;
  if (format.accessed === 0 || slot.dirty !== undefined || slot.invalid) return;
  const table = tableOf(sptep);
  const entry = (sptep - table * TABLE_WORDS) >>> 1;
  const first = entry - entry % PREFETCH_WINDOW;
  const { page } = fault;
  for (let i = first; i < first + PREFETCH_WINDOW; i++) {
    const at = table * TABLE_WORDS + i * 2;
    if ((pool.words[at] | pool.words[at + 1]) !== 0) continue;
    const gfn = fault.gfn + (i - entry) as Gfn;
    if (!slot.contains(gfn)) continue;
    const hostPage = slot.hostPageOf(gfn);
    if (core.notifier.covers(hostPage)) continue;
    host.getPage(hostPage, false, false, page);
    if (page.kind !== PageKind.FRAME) return;
    const writable = page.writable && !slot.readOnly ? LeafHow.HOST_WRITABLE : 0;
    maker.leaf(slot, gfn, page.pfn, 1, Acc.ALL, LeafHow.SPECULATIVE | writable);
    updateSpte(core, at, maker.lo, maker.hi);
    host.putPage(page.pfn);
    if (core.trace !== undefined) traceSetSpte(core, gfn, at, 1);
  }
}
