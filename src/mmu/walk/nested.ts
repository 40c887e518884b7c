/**
 * The second translation of a nested guest by walking the tables that its hypervisor made for it:
 * EPT, or AMD's nested paging, whose tables are ordinary ones.
 */

import { type Gfn, gpaOf, hi32, lo32 } from "../../base/u64.ts";
import { Access } from "../pferr.ts";
import type { NestedTranslation } from "./guest_tables.ts";
import type { Walker } from "./walker.ts";

/** Wraps a walker whose role and root are those of the second translation. */
export class NestedWalk implements NestedTranslation {
  /** After a refusal, its `result` says why. */
  readonly walker: Walker;

  constructor(walker: Walker) {
    this.walker = walker;
  }

  get tablesAreWritten(): boolean {
    const { rules } = this.walker;
    return !rules.ept || rules.accessedMask !== 0;
  }

  translate(gfn: Gfn, access: number): number {
    const address = gpaOf(gfn);
    // Nested paging treats every access as a user's (APM 2 §15.25.5); EPT knows no users.
    const kind = access & (Access.WRITE | Access.FETCH) | Access.USER;
    return this.walker.walk(lo32(address), hi32(address), kind) ? this.walker.result.gfn : -1;
  }
}
