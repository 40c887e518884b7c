/** Shadow faults: a guest with four-level tables touches a gibibyte, page by page. */

import { type Gfn, gpa } from "../../src/base/u64.ts";
import { Cr0, Cr4, Efer } from "../../src/cpu/modes.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { CpuRole, Mmu, type MmuVcpu, Pferr, VcpuExit } from "../../src/mmu/mod.ts";
import { RegionTables } from "../../src/mmu/walk/mod.ts";
import { EMULATOR, NO_TLB, PAGES, PlainHost, ROUNDS } from "./faults.ts";

/** Guest frames of the tables: one of each upper level, then those of the last. */
const ROOT = PAGES;
const TABLES = PAGES + 3;
/** Present, writable, user, accessed, dirty. */
const FLAGS = 0x67;
const WRITE = Pferr.WRITE | Pferr.USER;

/** One VM whose guest maps its first gibibyte to itself. */
export class ShadowFaults {
  readonly mmu: Mmu;
  readonly #vcpu: MmuVcpu;

  constructor() {
    const lastTables = PAGES / 512;
    const frames = TABLES + lastTables;
    const memory = GuestMemory.allocate(frames * 4096);
    const put = (gfn: number, index: number, value: number) =>
      memory.writeU64(gpa(gfn * 4096 + index * 8), value * 4096 + FLAGS);
    put(ROOT, 0, ROOT + 1);
    put(ROOT + 1, 0, ROOT + 2);
    for (let i = 0; i < PAGES; i++) put(TABLES + (i >>> 9), i & 511, i);
    for (let i = 0; i < lastTables; i++) put(ROOT + 2, i, TABLES + i);
    this.mmu = new Mmu({
      host: new PlainHost(1),
      tables: "shadow",
      prefetch: false,
      maxTables: 4096,
    });
    this.mmu.setMemslot({ id: 0, baseGfn: 0 as Gfn, frames, hostPage: 0 });
    this.#vcpu = this.mmu.createVcpu(NO_TLB, new RegionTables(memory));
    const features = { maxPhyAddrBits: 48, gbPages: true, amd: false };
    const efer = Efer.LME | Efer.LMA | Efer.NXE;
    this.#vcpu.setRole(
      CpuRole.fromRegisters(Cr0.PE | Cr0.PG | Cr0.WP, Cr4.PAE, efer, features, false, false),
    );
    this.#vcpu.loadCr3(ROOT << 12, ROOT >>> 20, false);
    this.#vcpu.prepare();
  }

  /** One fault for every page. */
  mapAll(): void {
    const vcpu = this.#vcpu;
    const pages = PAGES;
    const emulator = EMULATOR;
    const code = WRITE;
    const resume = VcpuExit.RESUME;
    for (let i = 0; i < pages; i++) {
      const exit = vcpu.pageFault(i << 12, 0, code, 0, emulator);
      if (exit !== resume) throw new Error(vcpu.describeFailure());
    }
  }

  /** Nanoseconds per fault, of the fastest of ROUNDS rounds. */
  measure(now: () => number): number {
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      this.mmu.zapAll();
      this.#vcpu.prepare();
      const start = now();
      this.mapAll();
      best = Math.min(best, (now() - start) / PAGES);
    }
    return best;
  }
}
