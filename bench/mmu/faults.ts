/** Faults of each kind, one after the other; faults.c is their twin. */

import { type Gfn, hi32, lo32, type Pfn } from "../../src/base/u64.ts";
import {
  type HostPage,
  type Level,
  Mmu,
  type MmuEmulator,
  type MmuHost,
  type MmuVcpu,
  PageKind,
  Pferr,
  type Tlb,
  VcpuExit,
} from "../../src/mmu/mod.ts";

/** Pages of a round: 1 GiB by 4 KiB pages. */
export const PAGES = 0x4_0000;
/** Rounds of a measurement, of which the fastest counts: what else runs on the machine only adds. */
export const ROUNDS = 9;
/** Blocks of a round: 256 GiB by 2 MiB pages. */
const BLOCKS = 2 ** 17;
/** Pages that the rounds without new mappings touch by turns, and how often. */
const WARM_PAGES = 4096;
const WARM_FAULTS = 1_000_000;
/** Faults of one call: a loop that is entered often is compiled whole, not only while it runs. */
const FAULTS_A_CALL = 10_000;
const MMIO_GPA = 0x80_fee0_1000;
const FIRST_PFN = 0x20_0000;

/** Memory that is all there; page p is frame FIRST_PFN + p. */
export class PlainHost implements MmuHost {
  readonly #frame = PageKind.FRAME;

  constructor(readonly level: Level) {}

  getPage(page: number, _write: boolean, _wait: boolean, into: HostPage): void {
    into.kind = this.#frame;
    into.pfn = FIRST_PFN + page as Pfn;
    into.writable = true;
    into.reserved = false;
    into.level = this.level;
  }
  putPage(_pfn: Pfn): void {}
  setDirty(_pfn: Pfn): void {}
  setAccessed(_pfn: Pfn): void {}
  signalPoison(_page: number): void {}
}

export const NO_TLB: Tlb = { flush: () => {}, flushPage: () => {}, flushFrame: () => {} };
export const EMULATOR: MmuEmulator = { emulate: () => VcpuExit.USERSPACE };
const WRITE = Pferr.WRITE | Pferr.USER;

/** One VM with one vCPU and `frames` frames of memory from 0 on. */
export class PlainVm {
  readonly mmu: Mmu;
  readonly #vcpu: MmuVcpu;
  readonly #frames: number;
  readonly #log: Uint32Array;

  constructor(level: Level, frames: number, logDirty = false) {
    this.mmu = new Mmu({
      host: new PlainHost(level),
      tables: "npt",
      prefetch: false,
      maxTables: 2 ** 17,
    });
    this.mmu.setMemslot({ id: 0, baseGfn: 0 as Gfn, frames, hostPage: 0, logDirty });
    this.#vcpu = this.mmu.createVcpu(NO_TLB);
    this.#frames = frames;
    this.#log = new Uint32Array(Math.ceil(frames / 32));
    this.#vcpu.prepare();
    this.#vcpu.pageFault(lo32(MMIO_GPA) | 0, hi32(MMIO_GPA), WRITE, 1, EMULATOR);
  }

  /** One fault for every page of 2^`shift` bytes, each of which is mapped. */
  mapAll(shift: number): void {
    const count = this.#frames / 2 ** (shift - 12);
    const vcpu = this.#vcpu;
    const emulator = EMULATOR;
    const code = WRITE;
    const resume = VcpuExit.RESUME;
    for (let i = 0; i < count; i++) {
      const exit = vcpu.pageFault(i << shift, i >>> 32 - shift, code, 1, emulator);
      if (exit !== resume) throw new Error(vcpu.describeFailure());
    }
  }

  /** Throws all mappings away. */
  reset(): void {
    this.mmu.zapAll();
    this.#vcpu.prepare();
  }

  /** `count` write faults on pages that are mapped and present. */
  writeAgain(count: number): void {
    const vcpu = this.#vcpu;
    const mask = this.#frames - 1;
    const emulator = EMULATOR;
    const code = WRITE | Pferr.PRESENT;
    const resume = VcpuExit.RESUME;
    for (let i = 0; i < count; i++) {
      const exit = vcpu.pageFault((i & mask) << 12, 0, code, 1, emulator);
      if (exit !== resume) throw new Error(vcpu.describeFailure());
    }
  }

  /** `count` accesses to one device. */
  mmio(count: number): void {
    const vcpu = this.#vcpu;
    const lo = lo32(MMIO_GPA) | 0;
    const hi = hi32(MMIO_GPA);
    const emulator = EMULATOR;
    const code = WRITE | Pferr.RSVD | Pferr.PRESENT;
    const userspace = VcpuExit.USERSPACE;
    for (let i = 0; i < count; i++) {
      const exit = vcpu.pageFault(lo, hi, code, 1, emulator);
      if (exit !== userspace) throw new Error(vcpu.describeFailure());
    }
  }

  /** Protects all pages that were written. */
  takeLog(): void {
    this.mmu.takeDirtyLog(this.mmu.findMemslot(0 as Gfn)!, this.#log);
  }
}

/** Kinds of faults; the twin takes the same names. */
export const FAULT_KINDS = ["map4k", "map2m", "spurious", "mmio", "log"] as const;
/** A kind of fault. */
export type FaultKind = typeof FAULT_KINDS[number];

/** A VM for one kind of fault. */
export class Faults {
  readonly #kind: FaultKind;
  readonly #vm: PlainVm;

  constructor(kind: FaultKind) {
    this.#kind = kind;
    if (kind === "map2m") this.#vm = new PlainVm(2, BLOCKS * 512);
    else {
      this.#vm = new PlainVm(
        1,
        kind === "map4k" || kind === "log" ? PAGES : WARM_PAGES,
        kind === "log",
      );
      this.#vm.mapAll(12);
    }
  }

  /**
   * Nanoseconds per fault, of the fastest of ROUNDS rounds.
   * @param now Nanoseconds of a clock.
   */
  measure(now: () => number): number {
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      this.#prepare();
      const start = now();
      const count = this.#run();
      best = Math.min(best, (now() - start) / count);
    }
    return best;
  }

  #prepare(): void {
    if (this.#kind === "log") this.#vm.takeLog();
    else if (this.#kind === "map4k" || this.#kind === "map2m") this.#vm.reset();
  }

  #run(): number {
    const vm = this.#vm;
    switch (this.#kind) {
      case "map4k":
        vm.mapAll(12);
        return PAGES;
      case "map2m":
        vm.mapAll(21);
        return BLOCKS;
      case "spurious":
        for (let i = 0; i < WARM_FAULTS; i += FAULTS_A_CALL) vm.writeAgain(FAULTS_A_CALL);
        return WARM_FAULTS;
      case "mmio":
        for (let i = 0; i < WARM_FAULTS; i += FAULTS_A_CALL) vm.mmio(FAULTS_A_CALL);
        return WARM_FAULTS;
      case "log":
        vm.writeAgain(PAGES);
        return PAGES;
    }
  }
}
