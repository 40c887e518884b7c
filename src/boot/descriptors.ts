/**
 * The descriptor table and the page tables that a kernel finds when it starts.
 */

import { PAGE_SIZE, TWO_32 } from "../base/u64.ts";
import type { LoadPlan } from "./load_plan.ts";

/** Selectors of Linux's boot protocol, __BOOT_CS and __BOOT_DS (boot.rst, "32-bit Boot Protocol"). */
export const BOOT_SELECTORS = { cs: 0x10, ds: 0x18 } as const;

/** Flat 4 GiB segments, accessed bit set (SDM 3A §3.4.5): upper and lower half. */
const CODE32 = [0x00cf_9b00, 0x0000_ffff] as const;
const CODE64 = [0x00af_9b00, 0x0000_ffff] as const;
const DATA32 = [0x00cf_9300, 0x0000_ffff] as const;

/** Puts a GDT with the flat segments of BOOT_SELECTORS into low memory. */
export function putGdt(plan: LoadPlan, bits: 32 | 64): { base: number; limit: number } {
  const table = new DataView(new ArrayBuffer(4 * 8));
  const set = (selector: number, [upper, lower]: readonly [number, number]) => {
    table.setUint32(selector, lower, true);
    table.setUint32(selector + 4, upper, true);
  };
  set(BOOT_SELECTORS.cs, bits === 64 ? CODE64 : CODE32);
  set(BOOT_SELECTORS.ds, DATA32);
  const base = plan.putLow("the descriptor table", new Uint8Array(table.buffer), 16);
  return { base, limit: table.byteLength - 1 };
}

/** Page-table entry bits (SDM 3A §4.5.4): present and writable; page size, for a 2 MiB page. */
const PRESENT_WRITABLE = 0x3;
const LARGE = 0x80;
const LARGE_PAGE = 2 ** 21;
/** What the tables map: everything below 4 GiB, where kernels and boot structures lie. */
export const IDENTITY_MAPPED_END = TWO_32;

/**
 * Puts four-level page tables into low memory that map [0, IDENTITY_MAPPED_END) to itself in 2 MiB
 * pages: one PML4, one page-directory-pointer table, four page directories. Returns CR3.
 */
export function putIdentityTables(plan: LoadPlan): number {
  const directories = IDENTITY_MAPPED_END / LARGE_PAGE / 512;
  const sizeBytes = (2 + directories) * PAGE_SIZE;
  const cr3 = plan.placeLow("page tables", sizeBytes, PAGE_SIZE);
  // All addresses fit 32 bits, so that the upper half of every entry stays zero.
  const halves = new Uint32Array(sizeBytes / 4);
  const perTable = PAGE_SIZE / 4;
  halves[0] = cr3 + PAGE_SIZE + PRESENT_WRITABLE;
  for (let i = 0; i < directories; i++) {
    halves[perTable + 2 * i] = cr3 + (2 + i) * PAGE_SIZE + PRESENT_WRITABLE;
  }
  for (let i = 0; i < directories * 512; i++) {
    halves[2 * perTable + 2 * i] = i * LARGE_PAGE + PRESENT_WRITABLE + LARGE;
  }
  plan.write(cr3, new Uint8Array(halves.buffer));
  return cr3;
}
