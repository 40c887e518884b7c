/** How an MMU is set up. */

import { DenovisorError } from "../base/errors.ts";
import type { MmuHost } from "./host.ts";
import type { Level } from "./level.ts";
import type { MtrrMap } from "./mtrr.ts";

/** How an MMU is set up; fixed for its life unless a method says otherwise. */
export interface MmuOptions {
  readonly host: MmuHost;
  /**
   * Format of the tables. "ept" and "npt": stage 2, direct engine only. "shadow": the guest's own
   * paging is shadowed; a guest with paging off takes the direct engine.
   */
  readonly tables: "ept" | "npt" | "shadow";
  /** Levels of a stage-2 tree: 4 (default) or 5. */
  readonly rootLevel?: 4 | 5;
  /** Physical address width of guest and host in bits, 32 to 52. Default 48. */
  readonly maxPhyAddrBits?: number;
  /** Largest page that the hardware maps. Default 3: 1 GiB. */
  readonly maxPageLevel?: Level;
  /** Most tables in use; default 2 % of the frames of all memslots, at least 64. */
  readonly maxTables?: number;
  /** Large pages are never executable. Default false. */
  readonly nxHugePages?: boolean;
  /** A fault maps its present neighbours too (up to 7). Default true. */
  readonly prefetch?: boolean;
  /** "ept": the hardware sets accessed and dirty flags. Default true. */
  readonly accessedDirty?: boolean;
  /** "ept": entries may be executable without being readable. Default false. */
  readonly execOnly?: boolean;
  /** Log writes by clearing dirty flags (page-modification logging) instead of write protection. */
  readonly pml?: boolean;
  /** Host has the L1 terminal fault: spread the address bits of MMIO SPTEs. Default false. */
  readonly l1tf?: boolean;
  /** Memory types; undefined: all the same. */
  readonly mtrr?: MtrrMap;
  /** Identical faults without a change after which a vCPU counts as stuck. */
  readonly progressLimit?: number;
  /** Bits of a faulting linear address that the host can represent: 32 models a 32-bit host. */
  readonly linearBits?: 32 | 64;
}

/**
 * Fills in the defaults.
 * @throws DenovisorError `mmu` that names the option.
 */
export function checkOptions(
  options: MmuOptions,
): Required<Omit<MmuOptions, "mtrr" | "maxTables">> & {
  readonly mtrr: MtrrMap | undefined;
  readonly maxTables: number | undefined;
} {
  const maxPhyAddrBits = options.maxPhyAddrBits ?? 48;
  checkRange("maxPhyAddrBits", maxPhyAddrBits, 32, 52);
  checkRange("maxPageLevel", options.maxPageLevel ?? 3, 1, 3);
  checkRange("rootLevel", options.rootLevel ?? 4, 4, 5);
  checkRange("progressLimit", options.progressLimit ?? 100, 2, 1e9);
  if (options.maxTables !== undefined) {
    checkRange("maxTables", options.maxTables, 64, 2 ** 20 - 256);
  }
  return {
    host: options.host,
    tables: options.tables,
    rootLevel: options.rootLevel ?? 4,
    maxPhyAddrBits,
    maxPageLevel: options.maxPageLevel ?? 3,
    maxTables: options.maxTables,
    nxHugePages: options.nxHugePages ?? false,
    prefetch: options.prefetch ?? true,
    accessedDirty: options.accessedDirty ?? true,
    execOnly: options.execOnly ?? false,
    pml: options.pml ?? false,
    l1tf: options.l1tf ?? false,
    mtrr: options.mtrr,
    progressLimit: options.progressLimit ?? 100,
    linearBits: options.linearBits ?? 64,
  };
}

function checkRange(name: string, value: number, from: number, to: number): void {
  if (!Number.isInteger(value) || value < from || value > to) {
    throw new DenovisorError(
      "mmu",
      `Cannot set up the MMU: option ${name} is ${value}, expected ${from} to ${to}`,
      { name, value },
    );
  }
}
