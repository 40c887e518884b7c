/** After any random sequence of operations the direct engine's invariants hold. */

import { assert } from "@std/assert";
import type { Gfn, Pfn } from "../../../src/base/u64.ts";
import { VcpuExit } from "../../../src/mmu/fault.ts";
import type { Level } from "../../../src/mmu/level.ts";
import type { Memslot } from "../../../src/mmu/memslot.ts";
import type { MmuOptions } from "../../../src/mmu/options.ts";
import { CpuRole } from "../../../src/mmu/role.ts";
import type { MmuVcpu } from "../../../src/mmu/vcpu.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { CachedTlb } from "../../support/cached_tlb.ts";
import { checkInvariants } from "../../support/mmu_invariants.ts";
import { type Kind, NO_TABLES, Rig } from "../../support/mmu_rig.ts";
import { Random, seed } from "../../support/random.ts";

/** Operations of one run, and between two checks of everything. */
const OPERATIONS = 100_000;
const CHECK_EVERY = 500;
/** Frames of the guest that the run uses, from its first on: 24 MiB, with a hole at the end. */
const FRAMES = 6144;

class Run {
  readonly random: Random;
  readonly rig: Rig;
  readonly vcpus: MmuVcpu[];
  readonly tracked = new Map<number, number>();
  /** By vCPU: what it keeps until it is told otherwise. */
  readonly #tlbs = [new CachedTlb(), new CachedTlb()];
  /** First frame of the guest; the host's pages begin at 0. */
  readonly #first: number;
  /** Host pages that the host is taking away: start and end. */
  #taken: [start: number, end: number] = [0, 0];
  #nextPfn = 2 ** 24;
  last = "";

  constructor(options: Partial<MmuOptions>, salt: number, first: number) {
    this.random = new Random(seed(0xd1ec) + salt);
    this.#first = first;
    this.rig = new Rig({ maxTables: 64, prefetch: true, ...options }, new HostModel(2));
    this.rig.slot(first * 4096, 16 * 2 ** 20, { hostPage: 0 });
    this.vcpus = this.#tlbs.map((tlb) => this.rig.mmu.createVcpu(tlb, NO_TABLES));
  }

  step(): void {
    const { random } = this;
    const roll = random.below(1000);
    if (roll < 900) this.#access();
    else if (roll < 915) this.#track();
    else if (roll < 930) this.#invalidate();
    else if (roll < 945) this.#changeHost();
    else if (roll < 955) this.#log();
    else if (roll < 970) this.#age();
    else if (roll < 985) this.#slot();
    else this.#rare();
  }

  #access(): void {
    const { random, rig } = this;
    const number = random.below(this.vcpus.length);
    const vcpu = this.vcpus[number];
    const tlb = this.#tlbs[number];
    const page = tlb.pages.size > 0 && random.oneIn(2)
      ? random.pick([...tlb.pages.keys()].slice(-8))
      : this.#first + random.below(FRAMES);
    const address = page * 4096 + random.below(512) * 8;
    const kind = random.pick<Kind>(["r", "r", "w", "w", "x"]);
    this.last = `${kind} at 0x${address.toString(16)} by ${number}`;
    vcpu.prepare();
    this.#checkCached(vcpu, tlb, address);
    const gfn = rig.gfn(address);
    const slot = vcpu.state.slots.find(gfn);
    const isBlocked = slot !== undefined && rig.mmu.core.notifier.covers(slot.hostPageOf(gfn));
    if (isBlocked) {
      // The union of the ranges under way is blocked; what was mapped in its gaps may stay.
      vcpu.prepare();
      const { present } = rig.entry(address, vcpu);
      assert(!present || !this.isTaken(slot.hostPageOf(gfn)), `${this.last}: mapped`);
      if (present) return;
      assert(rig.fault(address, kind, vcpu) === VcpuExit.RESUME || slot.readOnly, this.last);
      return;
    }
    const outcome = rig.access(address, kind, vcpu);
    if (slot === undefined) assert(outcome.how === "emulated", `${this.last}: ${outcome.how}`);
    else if (kind === "w" && (slot.readOnly || slot.isTracked(gfn))) {
      assert(outcome.how === "emulated", `${this.last}: ${outcome.how}`);
    } else {
      assert(outcome.how === "ok", `${this.last}: ${outcome.how}`);
      const entry = rig.entry(address, vcpu);
      const inside = entry.level === 1 ? 0 : gfn % 512 ** (entry.level - 1);
      assert(entry.pfn + inside === rig.host.pfnOf(slot.hostPageOf(gfn)), `${this.last}: frame`);
      if (kind === "w") assert(slot.dirty === undefined || slot.isDirty(gfn), `${this.last}: log`);
      const { dirty } = rig.mmu.core.format;
      tlb.pages.set(page, {
        gfn,
        pfn: entry.pfn + inside,
        writable: entry.writable && (entry.lo & dirty) === dirty,
        executable: entry.executable,
      });
    }
  }

  /** What a vCPU has cached is what it may do now, as far as it goes. */
  #checkCached(vcpu: MmuVcpu, tlb: CachedTlb, address: number): void {
    const cached = tlb.at(address);
    if (cached === undefined) return;
    const gfn = this.rig.gfn(address);
    const slot = vcpu.state.slots.visible(gfn);
    assert(slot !== undefined, `${this.last}: a stale translation of what is no memory`);
    const page = slot.hostPageOf(gfn);
    assert(cached.pfn === this.rig.host.pfnOf(page), `${this.last}: a stale frame`);
    assert(!this.isTaken(page), `${this.last}: a stale page that the host takes away`);
    if (!cached.writable) return;
    assert(!slot.readOnly && !slot.isTracked(gfn), `${this.last}: a stale right to write`);
    assert(
      slot.dirty === undefined || slot.isDirty(gfn),
      `${this.last}: a write that is not logged`,
    );
  }

  isTaken(page: number): boolean {
    return page >= this.#taken[0] && page < this.#taken[1];
  }

  #track(): void {
    const { random, rig, tracked } = this;
    const gfn = this.#first + random.below(FRAMES) as Gfn;
    const slot = rig.mmu.findMemslot(gfn);
    this.last = `track ${gfn}`;
    if (slot === undefined) return;
    const count = tracked.get(gfn) ?? 0;
    if (count > 0 && random.oneIn(2)) {
      rig.mmu.writeTracking.untrack(slot, gfn);
      tracked.set(gfn, count - 1);
    } else if (tracked.size < 40 || count > 0) {
      rig.mmu.writeTracking.track(slot, gfn);
      tracked.set(gfn, count + 1);
    } else this.#untrackAll(slot);
  }

  #untrackAll(slot: Memslot): void {
    for (const [gfn, count] of this.tracked) {
      if (!slot.contains(gfn as Gfn)) continue;
      for (let i = 0; i < count; i++) this.rig.mmu.writeTracking.untrack(slot, gfn as Gfn);
      this.tracked.delete(gfn);
    }
  }

  #invalidate(): void {
    const { random, rig } = this;
    this.last = "invalidate";
    const start = random.below(FRAMES);
    if (this.#taken[1] > 0) {
      rig.mmu.invalidateEnd();
      this.#taken = [0, 0];
    } else {
      this.#taken = [start, start + 1 + random.below(64)];
      rig.mmu.invalidateStart(...this.#taken);
    }
  }

  /** The host moves a page, or changes its size or its rights: as a host does, with an invalidation. */
  #changeHost(): void {
    const { random, rig } = this;
    const page = random.below(FRAMES);
    this.last = `host changes page ${page}`;
    const block = page - page % 512;
    switch (random.below(4)) {
      case 0:
        if (random.oneIn(2)) {
          // The block is no longer one huge page: it is taken apart first.
          rig.mmu.invalidateStart(block, block + 512);
          for (let i = 0; i < 512; i++) rig.host.set(block + i, { level: 1 });
          rig.host.set(page, { pfn: this.#nextPfn++ });
          rig.mmu.invalidateEnd();
        }
        return;
      case 1:
        rig.mmu.invalidateStart(block, block + 512);
        for (let i = 0; i < 512; i++) {
          rig.host.set(block + i, { level: 2 as Level, pfn: BASE_PFN + block + i });
        }
        rig.mmu.invalidateEnd();
        return;
      case 2: {
        // Its neighbours would still be mapped with it, were they not taken apart.
        rig.mmu.invalidateStart(block, block + 512);
        for (let i = 0; i < 512; i++) rig.host.set(block + i, { level: 1 });
        rig.host.set(page, { mustWait: random.oneIn(2) });
        rig.mmu.invalidateEnd();
        return;
      }
      default: {
        if ((rig.host.pages.get(page)?.level ?? 2) !== 1) return;
        const pfn = this.#nextPfn++;
        rig.host.set(page, { pfn });
        rig.mmu.changePte(page, pfn as Pfn, random.oneIn(2));
      }
    }
  }

  #log(): void {
    const { rig } = this;
    this.last = "log";
    for (const slot of rig.mmu.core.spaces[0].all) {
      if (slot.dirty === undefined) continue;
      const before = slot.dirty.slice();
      const log = new Uint32Array(before.length);
      rig.mmu.takeDirtyLog(slot, log);
      before.forEach((word, i) => assert(log[i] === word >>> 0, "the log is what was logged"));
      assert(slot.dirty.every((word) => word === 0), "and it is empty afterwards");
    }
  }

  #age(): void {
    const { random, rig } = this;
    const start = random.below(FRAMES);
    const end = start + 1 + random.below(600);
    this.last = `age ${start} to ${end}`;
    const young = rig.mmu.testAge(start, end);
    assert(rig.mmu.age(start, end) === young, "age() says what testAge() said");
    assert(!rig.mmu.testAge(start, end), "and clears it");
  }

  #slot(): void {
    const { random, rig } = this;
    const id = 1 + random.below(2);
    const old = rig.mmu.core.spaces[0].byId(id);
    this.last = `slot ${id}`;
    // Slot 1 is 5 MiB with an odd start, slot 2 is 1 MiB: both end before the hole.
    const place = id === 1
      ? { baseGfn: this.#first + 4096 + 256 as Gfn, frames: 1280 }
      : { baseGfn: this.#first + 5632 as Gfn, frames: 256 };
    if (old !== undefined && random.oneIn(3)) {
      this.#untrackAll(old);
      rig.mmu.deleteMemslot(id);
      return;
    }
    if (old !== undefined && random.oneIn(2)) {
      rig.mmu.setMemslot({ ...old, logDirty: old.dirty === undefined });
      return;
    }
    if (old !== undefined) this.#untrackAll(old);
    rig.mmu.setMemslot({
      id,
      ...place,
      hostPage: place.baseGfn - this.#first + (random.oneIn(3) ? 1 : 0),
      readOnly: random.oneIn(4),
      logDirty: random.oneIn(3),
    });
  }

  #rare(): void {
    const { random, rig } = this;
    const { mmu } = rig;
    const choice = random.below(8);
    this.last = `rare ${choice}`;
    if (choice === 0) mmu.zapAll();
    else if (choice === 1) mmu.shrink(1 + random.below(10));
    else if (choice === 2) mmu.recoverNxSplits();
    else if (choice === 3 && random.oneIn(10)) mmu.nxHugePages = !mmu.nxHugePages;
    else if (choice === 4) random.pick(this.vcpus).unload();
    else if (choice === 5) {
      const slot = mmu.core.spaces[0].byId(0)!;
      mmu.setMemslot({ ...slot, logDirty: slot.dirty === undefined });
    } else if (choice === 6 && random.oneIn(4)) {
      const vcpu = random.pick(this.vcpus);
      const features = { maxPhyAddrBits: 48, gbPages: true, amd: false };
      vcpu.setRole(CpuRole.fromRegisters(0, 0, 0, features, !vcpu.role.smm, false));
      if (mmu.core.spaces[1].all.length === 0) {
        const baseGfn = this.#first as Gfn;
        mmu.setMemslot({ id: 0, baseGfn, frames: 4096, hostPage: 0 }, 1);
      }
    }
  }
}

const VARIANTS: readonly [name: string, options: Partial<MmuOptions>, first?: number][] = [
  ["nested paging", { tables: "npt" }],
  ["EPT with the NX rule", { tables: "ept", nxHugePages: true }],
  ["EPT without accessed flags", { tables: "ept", accessedDirty: false, execOnly: true }],
  ["paging off", { tables: "shadow", nxHugePages: true }],
  ["page-modification logging", { tables: "npt", pml: true }],
  [
    "the upper end of 52 bits",
    { tables: "npt", rootLevel: 5, maxPhyAddrBits: 52 },
    2 ** 40 - 2 ** 18,
  ],
  ["across bit 43 of EPT's", { tables: "ept", maxPhyAddrBits: 46 }, 2 ** 31 - 2 ** 18],
];

VARIANTS.forEach(([name, options, first = 0], salt) => {
  Deno.test(`check 96: random operations keep the direct engine's invariants: ${name}`, () => {
    const run = new Run(options, salt, first);
    for (let i = 1; i <= OPERATIONS; i++) {
      const where = () => `seed ${run.random.seed - salt}, operation ${i}: ${run.last}`;
      try {
        run.step();
      } catch (error) {
        throw new Error(where(), { cause: error });
      }
      if (i % CHECK_EVERY === 0) {
        const { host, mmu } = run.rig;
        const isTaken = (page: number) => run.isTaken(page);
        checkInvariants(mmu, { host, tracked: run.tracked, isTaken }, where());
      }
    }
    assert(run.rig.warnings.length === 0, run.rig.warnings[0]);
  });
});
