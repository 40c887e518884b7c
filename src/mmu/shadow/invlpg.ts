/** The guest flushes one linear address. */

import { tableIndex } from "../level.ts";
import { isLeaf, isPresent, pfnOf } from "../spte.ts";
import { TABLE_WORDS } from "../table_pool.ts";
import { roleLevel } from "../root_role.ts";
import type { ShadowContext } from "./context.ts";
import { refill } from "./prefetch.ts";
import { clearEntry } from "./rmap.ts";

/** Brings the entry for `hi:lo` below the root page `root` into step, if its page is out of it. */
export function flushAddress(context: ShadowContext, root: number, lo: number, hi: number): void {
  const { shadow } = context;
  const { core } = shadow;
  const { words } = core.pool;
  let table = root;
  for (let level = roleLevel(shadow.role(root)); level > 0; level--) {
    const index = tableIndex(lo, hi, level);
    const sptep = table * TABLE_WORDS + index * 2;
    const isThere = isPresent(words[sptep], words[sptep + 1]);
    if (level === 1 || (isThere && isLeaf(words[sptep], level))) {
      if (!shadow.isUnsync(table)) return;
      if (clearEntry(shadow, sptep)) core.flushAll();
      if (context.matches(shadow.role(table))) refill(context, table, index);
      return;
    }
    if (!isThere || shadow.unsyncChildren[table] === 0) return;
    table = pfnOf(words[sptep], words[sptep + 1]);
  }
}
