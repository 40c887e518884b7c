/** Roots of a vCPU, and the roots of the last three values of CR3. */

import type { Gfn } from "../../base/u64.ts";
import { Acc } from "../pferr.ts";
import { LoadResult } from "../load_result.ts";
import { isObsolete, makeTablesAvailable } from "../reclaim.ts";
import { PagingMode } from "../role.ts";
import type { RootRole } from "../root_role.ts";
import { gpteTableGfn } from "../walk/mod.ts";
import type { ShadowContext } from "./context.ts";
import { getPage } from "./get_page.ts";
import { syncChildren } from "./sync.ts";
import { releaseShadowRoot } from "./zap.ts";

/** Roots that are kept besides the current one. */
export const PREVIOUS_ROOTS = 3;

interface KeptRoot {
  root: number;
  role: RootRole;
  cr3Lo: number;
  cr3Hi: number;
}

/** Bits of CR3 that are no address: PWT, PCD, PCID. */
const CR3_FLAGS = 0xfff;

/** The roots of one vCPU. */
export class ShadowRoots {
  readonly #context: ShadowContext;
  /** Newest first. */
  readonly #previous: KeptRoot[] = [];

  constructor(context: ShadowContext) {
    this.#context = context;
    for (let i = 0; i < PREVIOUS_ROOTS; i++) {
      this.#previous.push({ root: 0, role: 0 as RootRole, cr3Lo: 0, cr3Hi: 0 });
    }
  }

  /** Tables of the kept roots; 0 for none. */
  get previous(): number[] {
    return this.#previous.map((kept) => kept.root);
  }

  /** Makes or finds the roots for CR3 as it is, and brings what hangs below them into step. */
  load(): LoadResult {
    const context = this.#context;
    const { core } = context.shadow;
    if (context.hasRoots) return LoadResult.OK;
    if (!core.pool.reserve(8) || !context.shadow.lists.reserve(32) || !makeTablesAvailable(core)) {
      return LoadResult.NO_MEMORY;
    }
    const found = context.isPae ? this.#loadPae() : this.#loadLong();
    if (!found) {
      this.#dropCurrent();
      return LoadResult.TRIPLE_FAULT;
    }
    context.hasRoots = true;
    this.sync();
    context.vcpu.tlb.flush();
    return LoadResult.OK;
  }

  /** Synchronises everything below the current roots. */
  sync(): void {
    const context = this.#context;
    if (!context.isPae) syncChildren(context, context.root);
    else for (const root of context.paeRoots) if (root !== 0) syncChildren(context, root);
  }

  /**
   * The guest loads CR3. A root that was used lately with the same CR3 and role is taken up again.
   * @param keepTlb The guest asked for no flush (bit 63 of the operand with CR4.PCIDE).
   */
  switchTo(cr3Lo: number, cr3Hi: number, keepTlb: boolean): void {
    const context = this.#context;
    const { vcpu } = context;
    vcpu.mmioCache.clear();
    vcpu.context++;
    const lo = cr3Lo & ~CR3_FLAGS;
    const hi = cr3Hi & 0xf_ffff;
    const isLong = !context.isPae;
    const hit = isLong && this.#rotate(lo, hi);
    context.cr3Lo = isLong ? lo : cr3Lo | 0;
    context.cr3Hi = isLong ? hi : 0;
    context.walker.setRoot(cr3Lo, cr3Hi);
    if (!hit) {
      this.#dropCurrent();
      return;
    }
    context.hasRoots = true;
    context.forgetTables();
    context.shadow.flood[context.root] = 0;
    if (!keepTlb) {
      this.sync();
      vcpu.tlb.flush();
    }
  }

  /** Gives up the current roots and all that are kept. */
  dropAll(): void {
    this.#dropCurrent();
    for (const kept of this.#previous) {
      if (kept.root !== 0) releaseShadowRoot(this.#context.shadow, kept.root);
      kept.root = 0;
    }
  }

  /** Gives up the roots that no longer may be used, current or kept. */
  dropObsolete(): void {
    const context = this.#context;
    const { core } = context.shadow;
    const isGone = (root: number) => root !== 0 && isObsolete(core, root);
    if (isGone(context.root) || context.paeRoots.some(isGone)) this.#dropCurrent();
    for (const kept of this.#previous) {
      if (!isGone(kept.root)) continue;
      releaseShadowRoot(context.shadow, kept.root);
      kept.root = 0;
    }
  }

  #loadLong(): boolean {
    const context = this.#context;
    const gfn = gpteTableGfn(context.cr3Lo, context.cr3Hi);
    context.root = this.#pin(gfn, 0, context.topLevel);
    return context.root !== 0;
  }

  #loadPae(): boolean {
    const context = this.#context;
    const { walker } = context;
    for (let i = 0; i < 4; i++) {
      let gfn = gpteTableGfn(context.cr3Lo, 0);
      if (context.cpuRole.mode === PagingMode.PAE) {
        const lo = walker.pdptrs[i * 2];
        if ((lo & 1) === 0) continue;
        gfn = gpteTableGfn(lo, walker.pdptrs[i * 2 + 1]);
      }
      context.paeRoots[i] = this.#pin(gfn, i << 30, 2);
      if (context.paeRoots[i] === 0) return false;
    }
    return true;
  }

  /** The page for a root's guest table with a pin more, or 0 when the guest has no memory there. */
  #pin(gfn: Gfn, lo: number, level: number): number {
    const context = this.#context;
    if (context.vcpu.slots.visible(gfn) === undefined) return 0;
    const page = getPage(context, gfn, lo, level, false, Acc.ALL);
    context.shadow.core.pool.rootCount[page]++;
    return page;
  }

  #dropCurrent(): void {
    const context = this.#context;
    const { shadow, paeRoots } = context;
    if (context.root !== 0) releaseShadowRoot(shadow, context.root);
    context.root = 0;
    for (let i = 0; i < paeRoots.length; i++) {
      if (paeRoots[i] !== 0) releaseShadowRoot(shadow, paeRoots[i]);
      paeRoots[i] = 0;
    }
    context.hasRoots = false;
    context.forgetTables();
  }

  /**
   * Puts the current root in front of the kept ones and takes the one for this CR3 out of their row.
   * @returns true when there was one; else the one used longest ago is current, to be given up.
   */
  #rotate(lo: number, hi: number): boolean {
    const context = this.#context;
    const matches = (kept: KeptRoot) =>
      kept.root !== 0 && kept.cr3Lo === lo && kept.cr3Hi === hi && kept.role === context.rootRole &&
      !isObsolete(context.shadow.core, kept.root);
    let carried: KeptRoot = {
      root: context.root,
      role: context.rootRole,
      cr3Lo: context.cr3Lo,
      cr3Hi: context.cr3Hi,
    };
    if (matches(carried)) return true;
    let hit = false;
    for (let i = 0; i < PREVIOUS_ROOTS && !hit; i++) {
      const next = this.#previous[i];
      this.#previous[i] = carried;
      carried = next;
      hit = matches(carried);
    }
    context.root = carried.root;
    return hit;
  }
}
