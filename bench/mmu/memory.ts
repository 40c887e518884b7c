/** What the MMU leaves behind: garbage, and the memory of its tables. */

import { PAGES, PlainVm } from "./faults.ts";
import { ShadowFaults } from "./shadow_faults.ts";

/** Faults between two looks at the heap; a collection shows as a fall of what is used. */
const STEP = 100_000;

/** Minor collections that `count` faults cause, of which every second maps a page. */
export function collectionsIn(count: number): number {
  const mapped = new PlainVm(1, PAGES);
  const warm = new PlainVm(1, 4096);
  warm.mapAll(12);
  const run = (faults: number) => {
    for (let done = 0; done < faults; done += STEP) warm.writeAgain(STEP);
  };
  run(count / 10); // compiles
  mapped.mapAll(12);
  let falls = 0;
  let used = Deno.memoryUsage().heapUsed;
  for (let done = 0; done < count; done += 2 * PAGES) {
    mapped.reset();
    mapped.mapAll(12);
    warm.writeAgain(PAGES);
    const now = Deno.memoryUsage().heapUsed;
    if (now < used) falls++;
    used = now;
  }
  return falls;
}

/** Bytes of tables for each 4 KiB page of a gibibyte that the direct engine has mapped. */
export function directBytesPerPage(): number {
  const vm = new PlainVm(1, PAGES);
  vm.mapAll(12);
  return vm.mmu.tableBytes / PAGES;
}

/** The same for the shadow engine. */
export function shadowBytesPerPage(): number {
  const vm = new ShadowFaults();
  vm.mapAll();
  return vm.mmu.tableBytes / PAGES;
}
