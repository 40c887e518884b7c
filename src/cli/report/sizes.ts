/** What a fault can leave behind: a mapping of one of three sizes, an MMIO entry, or nothing. */

/** Indices in `SIZES`: of the leaf levels, one below their numbers. */
export const Size = { PAGE_4K: 0, PAGE_2M: 1, PAGE_1G: 2, MMIO: 3, NONE: 4 } as const;

/** How they are called, and the class of the page's style that colours them. */
export const SIZES = [
  { name: "4 KiB", style: "k4" },
  { name: "2 MiB", style: "m2" },
  { name: "1 GiB", style: "g1" },
  { name: "MMIO", style: "io" },
  { name: "no new mapping", style: "no" },
] as const;
