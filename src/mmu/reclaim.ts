/** Keeps the number of tables within its quota, and throws all of them away when that is quicker. */

import type { MmuCore } from "./core.ts";
import type { MappingEngine } from "./mapping_engine.ts";
import { TableFlag } from "./table_pool.ts";
import { Tp } from "./trace.ts";

/** A fault needs this many tables at most. */
const MIN_FREE_TABLES = 5;
/** When there are fewer, this many are made free. */
const REFILL_TABLES = 25;
/** Fast zapping lets others take the lock after this many tables. */
const ZAP_BATCH = 10;

/** The engine that `table` belongs to. */
export function engineOf(core: MmuCore, table: number): MappingEngine {
  return core.engines[(core.pool.flags[table] & TableFlag.SHADOW) !== 0 ? 1 : 0];
}

/** Tables that may still be taken. */
export function availableTables(core: MmuCore): number {
  return Math.max(0, core.quota - core.pool.used);
}

/** True when there are fewer tables than a fault may need. */
export function isShortOfTables(core: MmuCore): boolean {
  return core.quota - core.pool.used < MIN_FREE_TABLES;
}

/** Makes sure that a fault finds enough tables; false when even recycling left none. */
export function makeTablesAvailable(core: MmuCore): boolean {
  if (!isShortOfTables(core)) return true;
  zapOldest(core, REFILL_TABLES - availableTables(core));
  return availableTables(core) > 0;
}

/** Recycles at least `count` tables, oldest first, none that is a root; returns how many went. */
export function zapOldest(core: MmuCore, count: number): number {
  const { pool } = core;
  let zapped = 0;
  let table = pool.oldest;
  while (table !== 0 && zapped < count) {
    const newer = pool.prev[table];
    if (pool.rootCount[table] === 0) {
      const engine = engineOf(core, table);
      if (engine.isRecyclable(table)) {
        zapped += engine.zapTable(table);
        // Its table may have become recyclable, and others may have gone with it.
        table = pool.oldest;
        continue;
      }
    }
    table = newer;
  }
  if (zapped > 0) {
    core.stats.mmu_recycled += zapped;
    core.flushAll();
  }
  return zapped;
}

/** True when a table was made before the last fast zap, or has been zapped while pinned. */
export function isObsolete(core: MmuCore, table: number): boolean {
  const { pool } = core;
  return (pool.flags[table] & TableFlag.INVALID) !== 0 ||
    pool.generation[table] !== core.generation;
}

/**
 * Makes all tables obsolete at once, then frees them in batches.
 * @param reloadRoots Has every vCPU give its root up before it next runs.
 */
export function zapAllFast(core: MmuCore, reloadRoots: () => void): void {
  core.trace?.emit(Tp.ZAP_ALL_FAST, core.generation, core.pool.used);
  core.generation ^= 1;
  core.changes++;
  reloadRoots();
  zapObsolete(core);
  core.flushAll();
}

/** Frees obsolete tables, oldest first, with breaks; returns how many. */
export function zapObsolete(core: MmuCore): number {
  const { pool } = core;
  let zapped = 0;
  let batch = 0;
  for (;;) {
    const table = pool.oldest;
    // New tables stand before old ones: the first that is not obsolete ends the search.
    if (table === 0 || !isObsolete(core, table)) return zapped;
    if (batch >= ZAP_BATCH) {
      batch = 0;
      core.hooks?.lockBreak?.();
      continue;
    }
    const count = engineOf(core, table).zapTable(table);
    zapped += count;
    batch += count;
  }
}

/** Gives tables back because the host is short of memory: obsolete ones, else the oldest one. */
export function shrink(core: MmuCore, count: number): number {
  const zapped = zapObsolete(core);
  return zapped > 0 ? zapped : zapOldest(core, count);
}

/** Zaps part of the tables that the NX rule made, oldest first; returns how many. */
export function recoverNxSplits(core: MmuCore): number {
  let wanted = core.nxSplits.recoverable;
  let zapped = 0;
  for (; wanted > 0 && core.nxSplits.count > 0; wanted--) {
    const table = core.nxSplits.oldest;
    zapped += engineOf(core, table).zapTable(table);
  }
  if (zapped > 0) core.flushAll();
  return zapped;
}
