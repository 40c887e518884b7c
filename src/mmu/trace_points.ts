/** Tracepoints that several rooms hit. Callers check that there is a trace. */

import type { Gfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { Fault } from "./fault.ts";
import { TableFlag } from "./table_pool.ts";
import { Tp } from "./trace.ts";

/** kvm_mmu_spte_requested. */
export function traceRequested(core: MmuCore, fault: Fault, level: number): void {
  core.trace!.emit(Tp.SPTE_REQUESTED, fault.gfn, fault.pfn, level);
}

/** kvm_mmu_set_spte: the entry as it stands now. */
export function traceSetSpte(core: MmuCore, gfn: Gfn, sptep: number, level: number): void {
  const { pool, format, trace } = core;
  const lo = pool.words[sptep];
  const hi = pool.words[sptep + 1];
  const exec = format.exec !== 0 ? (lo & format.exec) !== 0 : (hi & format.noExecHi) === 0;
  // For EPT the user right is the right to read, which r shows already: u is then -1.
  const user = format.ept ? -1 : lo >>> 2 & 1;
  trace!.emit(Tp.SET_SPTE, gfn, lo, hi, sptep, level, lo & 1, Number(exec), user);
}

/** One of the tracepoints that show a table: kvm_mmu_get_page, sync_page, unsync_page, prepare_zap_page. */
export function traceTable(core: MmuCore, point: number, table: number, created: boolean): void {
  const { pool, trace } = core;
  trace!.emit(
    point,
    pool.generation[table],
    pool.gfn[table],
    pool.role[table] >>> 0,
    pool.rootCount[table],
    Number((pool.flags[table] & TableFlag.UNSYNC) !== 0),
    Number(created),
  );
}
