/**
 * After any random sequence of operations the shadow engine's invariants hold, and what it maps is
 * contained in what guest and host say together. An access whose tables the guest has flushed since
 * it changed them ends exactly as the reference walker says.
 */

import { assert, assertEquals } from "@std/assert";
import type { Gfn } from "../../../src/base/u64.ts";
import type { MmuOptions } from "../../../src/mmu/options.ts";
import type { MmuVcpu } from "../../../src/mmu/vcpu.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { CachedTlb } from "../../support/cached_tlb.ts";
import { checkInvariants } from "../../support/mmu_invariants.ts";
import type { Kind } from "../../support/mmu_rig.ts";
import { Random, seed } from "../../support/random.ts";
import {
  Flag,
  type GuestMode,
  type GuestOutcome,
  type Paging,
  ShadowRig,
} from "../../support/shadow_rig.ts";
import { type ReferenceAnswer, referenceWalk } from "./walk/reference_walker.ts";

const OPERATIONS = 150_000;
const CHECK_EVERY = 500;
/** Guest memory in frames: slot 0 up to SLOT_1, slot 1 (which comes and goes) behind it. */
const FRAMES = 2048;
const SLOT_1 = 1536;
/** Where the kernel maps all frames of the guest, to write its tables. */
const PHYSMAP = 0x8000_0000;
/** Where users have pages: 4 KiB ones under two tables, and large ones. */
const SMALL = 0x40_0000;
const LARGE = 0x1000_0000;
const SMALL_PAGES = 1024 + 64;
const SPACES = 3;

interface Space {
  readonly root: number;
  /** User tables that the guest rewrites: frame, level, address of entry 0, entries that may change. */
  readonly tables: readonly GuestTable[];
}

interface GuestTable {
  readonly gfn: number;
  readonly level: number;
  readonly first: number;
  readonly entries: number;
}

class Run {
  readonly random: Random;
  readonly rig: ShadowRig;
  readonly vcpus: MmuVcpu[];
  /** By vCPU: what it keeps until it is told otherwise. */
  readonly #tlbs = [new CachedTlb(), new CachedTlb()];
  readonly #modes: GuestMode[];
  readonly #spaces: Space[] = [];
  /** By vCPU: the space it runs in. */
  readonly #current: number[];
  /** By vCPU and space: tables have changed since the vCPU flushed. */
  readonly #stale: boolean[][];
  last = "";

  constructor(paging: Paging, options: Partial<MmuOptions>, salt: number) {
    this.random = new Random(seed(0x5ad0) + salt);
    this.rig = new ShadowRig(
      { paging },
      { maxTables: 64, prefetch: true, ...options },
      new HostModel(),
      FRAMES,
    );
    const { mmu } = this.rig;
    mmu.deleteMemslot(0);
    mmu.setMemslot({ id: 0, baseGfn: 0 as Gfn, frames: SLOT_1, hostPage: 0 });
    this.#setSlot1();
    for (let page = 1024; page < SLOT_1; page++) this.rig.host.set(page, { level: 2 });
    this.vcpus = this.#tlbs.map((tlb) => this.rig.createVcpu(tlb));
    this.#modes = this.vcpus.map(() => ({ paging }));
    for (let i = 0; i < SPACES; i++) this.#spaces.push(this.#makeSpace());
    this.#current = this.vcpus.map(() => 0);
    this.#stale = this.vcpus.map(() => this.#spaces.map(() => false));
    this.vcpus.forEach((vcpu) => this.rig.cr3(this.#spaces[0].root, vcpu));
  }

  step(): void {
    const roll = this.random.below(1000);
    if (roll < 640) this.#access();
    else if (roll < 850) this.#store();
    else if (roll < 920) this.#loadCr3();
    else if (roll < 940) this.#invlpg();
    else if (roll < 955) this.#changeMode();
    else if (roll < 975) this.#host();
    else if (roll < 985) this.#log();
    else this.#rare();
  }

  #setSlot1(logDirty = false): void {
    this.rig.mmu.setMemslot({
      id: 1,
      baseGfn: SLOT_1 as Gfn,
      frames: FRAMES - SLOT_1,
      hostPage: SLOT_1,
      logDirty,
    });
  }

  #makeSpace(): Space {
    const { rig, random } = this;
    const root = rig.space();
    for (let gfn = 0; gfn < FRAMES; gfn++) {
      rig.map(root, PHYSMAP + gfn * 4096, gfn, Flag.P | Flag.W | Flag.A | Flag.D);
    }
    for (let i = 0; i < SMALL_PAGES; i++) {
      const address = SMALL + i * 4096;
      if (i % 64 === 0) rig.tableFor(root, address, 1);
      if (random.oneIn(3)) this.#put(rig.tableFor(root, address, 1), rig.index(address, 1), 1);
    }
    const wide = rig.mode.paging !== "32";
    const directory = rig.tableFor(root, LARGE, 2);
    for (let i = 0; i < 4; i++) {
      this.#put(directory, rig.index(LARGE + i * (wide ? 2 ** 21 : 2 ** 22), 2), 2);
    }
    const tables: GuestTable[] = [];
    const per = wide ? 512 : 1024;
    for (let address = SMALL; address < SMALL + SMALL_PAGES * 4096; address += per * 4096) {
      const gfn = rig.tableFor(root, address, 1);
      tables.push({ gfn, level: 1, first: address, entries: per });
    }
    tables.push({ gfn: rig.tableFor(root, SMALL, 2), level: 2, first: SMALL, entries: 3 });
    tables.push({ gfn: directory, level: 2, first: LARGE, entries: 4 });
    return { root, tables };
  }

  #put(gfn: number, index: number, level: number): bigint {
    const value = this.#entry(level);
    this.rig.write(gfn, index, value);
    return value;
  }

  /** A random entry that maps something: data, a table, or a hole of the guest's memory. */
  #entry(level: number): bigint {
    const { random, rig } = this;
    if (random.oneIn(5)) return 0n;
    let flags = Flag.P | Flag.A | (random.oneIn(6) ? 0 : Flag.U) | (random.oneIn(3) ? 0 : Flag.W);
    if (random.oneIn(2)) flags |= Flag.D;
    if (random.oneIn(8)) flags &= ~Flag.A;
    const wide = rig.mode.paging !== "32";
    const noExec = wide && random.oneIn(6) ? Flag.NX : 0n;
    if (level === 1) {
      const gfn = random.oneIn(12)
        ? random.pick([16 + random.below(64), 3000 + random.below(8)])
        : 1024 + random.below(FRAMES - 1024);
      return BigInt(gfn) << 12n | BigInt(flags) | noExec;
    }
    const size = wide ? 512 : 1024;
    if (random.oneIn(2)) {
      const gfn = Math.floor(random.below(FRAMES) / size) * size;
      return BigInt(gfn) << 12n | BigInt(flags | Flag.PS) | noExec;
    }
    // A table: one of those that are there (a directory may serve as last-level table too), or what
    // was never one, or nothing at all.
    const tables = this.#spaces.flatMap((space) => space.tables)
      .filter((table) => table.level === 1 || random.oneIn(2));
    const gfn = tables.length === 0 || random.oneIn(8)
      ? random.pick([1024 + random.below(64), 4000])
      : random.pick(tables).gfn;
    return BigInt(gfn) << 12n | BigInt(flags) | noExec;
  }

  /** One that vCPU `index` has cached, every other time. */
  #pickAddress(index: number): number {
    const { random } = this;
    const { pages } = this.#tlbs[index];
    if (pages.size > 0 && random.oneIn(2)) return random.pick([...pages.keys()].slice(-8)) * 4096;
    const offset = random.below(1024) * 4;
    if (random.oneIn(4)) return LARGE + random.below(2048) * 4096 + offset;
    return SMALL + random.below(SMALL_PAGES) * 4096 + offset;
  }

  #access(): void {
    const { random } = this;
    const index = random.below(this.vcpus.length);
    const address = this.#pickAddress(index);
    const kind = random.pick<Kind>(["r", "r", "w", "x"]);
    const user = random.oneIn(2);
    this.last = `${user ? "user" : "kernel"} ${kind} at 0x${address.toString(16)} by ${index}`;
    this.#check(index, address, kind, user);
  }

  #check(index: number, address: number, kind: Kind, user: boolean): void {
    const { rig } = this;
    const vcpu = this.vcpus[index];
    rig.mode = this.#modes[index];
    const expected = this.#reference(index, address, kind, user);
    vcpu.prepare(); // loading roots begins to track their tables
    const isStale = this.#stale[index][this.#current[index]];
    this.#checkCached(index, address, isStale ? undefined : expected);
    const isTracked = this.#isTracked(expected);
    const outcome = rig.access(address, kind, user, vcpu);
    // A write to a table that translates it is tracked only from the moment of the fault on.
    const mayEmulate = kind === "w" && (isTracked || vcpu.shadow!.writesOwnTable);
    if (!isStale) this.#compare(expected, outcome, kind, mayEmulate);
    if (outcome.how === "ok") this.#cache(index, address);
  }

  /** The vCPU keeps the translation that it has used. */
  #cache(index: number, address: number): void {
    const { rig } = this;
    const entry = rig.entry(address, this.vcpus[index]);
    const page = Math.floor(address / 4096);
    const offset = entry.level === 1 ? 0 : page % 512 ** (entry.level - 1);
    this.#tlbs[index].pages.set(page, {
      gfn: rig.mmu.shadow!.state.gfnOfEntry(entry.sptep) + offset as Gfn,
      pfn: entry.pfn + offset,
      writable: entry.writable && (entry.lo & Flag.D) !== 0,
      executable: entry.executable,
    });
  }

  /**
   * What a vCPU has cached is what the host lets it do now; and what the guest does, when it has
   * flushed since it changed its tables.
   */
  #checkCached(index: number, address: number, expected: ReferenceAnswer | undefined): void {
    const { rig } = this;
    const cached = this.#tlbs[index].at(address);
    if (cached === undefined) return;
    const { gfn, pfn, writable } = cached;
    const slot = rig.mmu.findMemslot(gfn);
    assert(slot !== undefined, `${this.last}: a stale translation of what is no memory`);
    assert(pfn === rig.host.pfnOf(slot.hostPageOf(gfn)), `${this.last}: a stale frame`);
    if (expected !== undefined && !("errorCode" in expected)) {
      assertEquals(gfn as number, Number(expected.address >> 12n), `${this.last}: not flushed`);
    }
    if (!writable) return;
    assert(!slot.readOnly && !slot.isTracked(gfn), `${this.last}: a stale right to write`);
    assert(
      slot.dirty === undefined || slot.isDirty(gfn),
      `${this.last}: a write that is not logged`,
    );
    const { state } = rig.mmu.shadow!;
    for (let at = state.firstInBucket(gfn); at !== 0; at = state.nextInBucket(at)) {
      if (rig.mmu.core.pool.gfn[at] !== gfn || state.isDirect(at)) continue;
      assert(state.isUnsync(at), `${this.last}: a table that is in step can be written`);
    }
  }

  #isTracked(expected: ReferenceAnswer): boolean {
    if ("errorCode" in expected) return false;
    const gfn = Number(expected.address >> 12n) as Gfn;
    return this.rig.mmu.findMemslot(gfn)?.isTracked(gfn) ?? false;
  }

  #compare(
    expected: ReferenceAnswer,
    outcome: GuestOutcome,
    kind: Kind,
    mayEmulate: boolean,
  ): void {
    const { rig } = this;
    if ("errorCode" in expected) {
      assertEquals(
        [outcome.how, outcome.errorCode],
        ["fault", Number(expected.errorCode)],
        this.last,
      );
      return;
    }
    const gfn = Number(expected.address >> 12n) as Gfn;
    const slot = rig.mmu.findMemslot(gfn);
    if (slot === undefined) assertEquals(outcome.how, "mmio", this.last);
    else if (outcome.how === "emulated") {
      assert(mayEmulate, `${this.last}: emulated`);
    } else {
      assertEquals(
        [outcome.how, outcome.pfn],
        ["ok", rig.host.pfnOf(gfn)],
        `${this.last}: frame ${gfn}`,
      );
      if (kind === "w") assert(slot.dirty === undefined || slot.isDirty(gfn), `${this.last}: log`);
    }
  }

  #reference(index: number, address: number, kind: Kind, user: boolean): ReferenceAnswer {
    const { rig } = this;
    const mode = this.#modes[index];
    const { paging } = mode;
    const { memory } = rig;
    const isLong = paging === "4" || paging === "5";
    const root = this.#spaces[this.#current[index]].root;
    const cpu = {
      cr0: { PG: true, WP: mode.wp ?? true },
      cr4: {
        PSE: mode.pse ?? true,
        PAE: paging !== "32",
        LA57: paging === "5",
        SMEP: mode.smep ?? false,
        SMAP: mode.smap ?? false,
        PKE: false,
      },
      efer: { LMA: isLong, NXE: mode.nxe ?? true },
      cr3: BigInt(root * 4096),
      pkru: 0n,
      pdpte: [0, 1, 2, 3].map((i) => paging === "pae" ? rig.read(root, i) : 0n),
      MAXPHYADDR: 48n,
      page1GB: true,
      amd: false,
    };
    const guest = {
      read: (at: bigint, bytes: number) => {
        const word = Number(at) / 4;
        const gfn = Math.floor(Number(at) / 4096);
        if (gfn >= FRAMES || rig.mmu.findMemslot(gfn as Gfn) === undefined) return undefined;
        const low = BigInt(memory[word]);
        return bytes === 4 ? low : BigInt(memory[word + 1]) << 32n | low;
      },
      write: () => {},
      writable: () => false,
    };
    const kinds = { r: "read", w: "write", x: "fetch" } as const;
    const access = { kind: kinds[kind], cpl: user ? 3 : 0, implicit: false, ac: false };
    return referenceWalk(cpu, guest, BigInt(address), access);
  }

  /** The kernel rewrites an entry of a user's table through its map of all memory. */
  #store(): void {
    const { random, rig } = this;
    const index = random.below(this.vcpus.length);
    const space = random.pick(this.#spaces);
    const table = random.pick(space.tables);
    const at = random.below(table.entries);
    const bytes = rig.mode.paging === "32" ? 4 : 8;
    const span = table.level === 1 ? 4096 : rig.mode.paging === "32" ? 2 ** 22 : 2 ** 21;
    const address = table.first + at * span;
    const linear = PHYSMAP + table.gfn * 4096 + rig.index(address, table.level) * bytes;
    const value = this.#entry(table.level);
    this.last = `store ${value.toString(16)} for 0x${address.toString(16)} by ${index}`;
    rig.mode = this.#modes[index];
    const outcome = rig.storeEntry(linear, value, this.vcpus[index]);
    assert(outcome.how === "ok" || outcome.how === "emulated", `${this.last}: ${outcome.how}`);
    for (const row of this.#stale) row.fill(true);
    if (random.oneIn(2)) return;
    if (table.level === 1 && space === this.#spaces[this.#current[index]] && random.oneIn(2)) {
      this.vcpus[index].invlpg(address, 0);
    } else this.#reload(index, this.#current[index]);
  }

  #reload(index: number, space: number, keepTlb = false): void {
    this.rig.mode = this.#modes[index];
    // Nothing says of a cached translation which CR3 it is for.
    if (space !== this.#current[index]) this.#tlbs[index].flush();
    assert(this.rig.cr3(this.#spaces[space].root, this.vcpus[index], keepTlb), "PDPTEs are valid");
    this.#current[index] = space;
    // A kept TLB stays stale; a root that had to be loaded anew is in step all the same.
    if (!keepTlb) this.#stale[index][space] = false;
  }

  #loadCr3(): void {
    const { random } = this;
    const index = random.below(this.vcpus.length);
    this.last = `load of CR3 by ${index}`;
    this.#reload(index, random.below(SPACES), random.oneIn(4));
  }

  #invlpg(): void {
    const { random } = this;
    const index = random.below(this.vcpus.length);
    const address = this.#pickAddress(index);
    this.last = `INVLPG of 0x${address.toString(16)} by ${index}`;
    this.rig.mode = this.#modes[index];
    this.vcpus[index].prepare();
    this.vcpus[index].invlpg(address, 0);
  }

  #changeMode(): void {
    const { random, rig } = this;
    const index = random.below(this.vcpus.length);
    const old = this.#modes[index];
    const mode = {
      paging: old.paging,
      wp: random.oneIn(2),
      smep: random.oneIn(3),
      smap: random.oneIn(4),
      nxe: !random.oneIn(4),
      pse: !random.oneIn(4),
    };
    this.last = `mode ${JSON.stringify(mode)} of ${index}`;
    this.#modes[index] = mode;
    rig.setMode(mode, this.vcpus[index]);
    this.#reload(index, this.#current[index]);
    this.#stale[index].fill(true);
    this.#stale[index][this.#current[index]] = false;
  }

  #host(): void {
    const { random, rig } = this;
    const page = 1024 + random.below(FRAMES - 1024);
    this.last = `host: page ${page}`;
    switch (random.below(4)) {
      case 0: {
        const block = page - page % 512;
        rig.mmu.invalidateStart(block, block + 512);
        const level = random.oneIn(2) ? 1 : 2;
        for (let i = 0; i < 512; i++) {
          rig.host.set(block + i, { level, pfn: BASE_PFN + block + i });
        }
        if (level === 1) rig.host.set(page, { pfn: 2 ** 24 + page });
        rig.mmu.invalidateEnd();
        return;
      }
      case 1:
        rig.mmu.age(page, page + 40);
        assert(!rig.mmu.testAge(page, page + 40), "ageing clears");
        return;
      default:
        rig.mmu.invalidateStart(page, page + 8);
        rig.mmu.invalidateEnd();
    }
  }

  #log(): void {
    const { random, rig } = this;
    const slot = rig.mmu.core.spaces[0].byId(1);
    this.last = "log";
    if (slot === undefined) this.#setSlot1(random.oneIn(2));
    else if (slot.dirty === undefined || random.oneIn(8)) {
      this.#setSlot1(slot.dirty === undefined);
    } else rig.mmu.takeDirtyLog(slot, new Uint32Array(slot.dirty.length));
  }

  #rare(): void {
    const { random, rig } = this;
    const { mmu } = rig;
    const choice = random.below(8);
    this.last = `rare ${choice}`;
    if (choice === 0 && random.oneIn(3)) mmu.zapAll();
    else if (choice === 1) mmu.shrink(1 + random.below(20));
    else if (choice === 2) mmu.recoverNxSplits();
    else if (choice === 3) random.pick(this.vcpus).unload();
    else if (choice === 4) {
      if (mmu.core.spaces[0].byId(1) !== undefined) mmu.deleteMemslot(1);
    } else if (choice === 5) random.pick(this.vcpus).unprotectLinear(PHYSMAP + 20 * 4096 | 0, 0);
  }
}

const VARIANTS: readonly [paging: Paging, options: Partial<MmuOptions>][] = [
  ["32", {}],
  ["pae", { nxHugePages: true }],
  ["4", { nxHugePages: true }],
  ["5", {}],
];

VARIANTS.forEach(([paging, options], salt) => {
  Deno.test(`check 96: random operations keep the shadow engine's invariants, and guest ∘ host contains what it maps: ${paging}`, () => {
    const run = new Run(paging, options, salt);
    for (let i = 1; i <= OPERATIONS; i++) {
      const where = () => `seed ${run.random.seed - salt}, operation ${i}: ${run.last}`;
      try {
        run.step();
      } catch (error) {
        throw new Error(where(), { cause: error });
      }
      if (i % CHECK_EVERY === 0) {
        const { host, mmu, memory } = run.rig;
        checkInvariants(mmu, { host, memory }, where());
      }
    }
    assert(run.rig.warnings.length === 0, run.rig.warnings[0]);
    const { mmu_flooded, mmu_recycled, mmu_pte_updated } = run.rig.mmu.stats();
    assert(mmu_flooded > 0 && mmu_recycled > 0 && mmu_pte_updated > 0, "the run was thorough");
  });
});
