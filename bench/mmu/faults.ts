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
export const PAGES = 2 ** 18;
/** Blocks of a round: 64 GiB by 2 MiB pages. */
export const BLOCKS = 2 ** 15;
/** Pages that the rounds without new mappings touch by turns. */
export const WARM_PAGES = 4096;
const MMIO_GPA = 0x80_fee0_1000;
const FIRST_PFN = 2 ** 21;

/** Memory that is all there; page p is frame FIRST_PFN + p. */
class PlainHost implements MmuHost {
  constructor(readonly level: Level) {}

  getPage(page: number, _write: boolean, _wait: boolean, into: HostPage): void {
    into.kind = FRAME;
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

const NO_TLB: Tlb = { flush: () => {}, flushPage: () => {} };
const EMULATOR: MmuEmulator = { emulate: () => VcpuExit.USERSPACE };
const WRITE = Pferr.WRITE | Pferr.USER;
// V8 folds a module's own constants, not those of an imported object.
const { RESUME, USERSPACE } = VcpuExit;
const { FRAME } = PageKind;
const { PRESENT, RSVD } = Pferr;

/** One VM with one vCPU and `frames` frames of memory from 0 on. */
export class Faults {
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

  /** One fault for every page of `bytes` bytes, each of which is mapped. */
  mapAll(bytes: number): void {
    const count = this.#frames * 4096 / bytes;
    const shift = Math.log2(bytes);
    const vcpu = this.#vcpu;
    for (let i = 0; i < count; i++) {
      const exit = vcpu.pageFault(i << shift, i >>> 32 - shift, WRITE, 1, EMULATOR);
      if (exit !== RESUME) throw new Error(vcpu.describeFailure());
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
    for (let i = 0; i < count; i++) {
      const exit = vcpu.pageFault((i & mask) << 12, 0, WRITE | PRESENT, 1, EMULATOR);
      if (exit !== RESUME) throw new Error(vcpu.describeFailure());
    }
  }

  /** `count` accesses to one device. */
  mmio(count: number): void {
    const vcpu = this.#vcpu;
    const lo = lo32(MMIO_GPA) | 0;
    const hi = hi32(MMIO_GPA);
    const code = WRITE | RSVD | PRESENT;
    for (let i = 0; i < count; i++) {
      const exit = vcpu.pageFault(lo, hi, code, 1, EMULATOR);
      if (exit !== USERSPACE) throw new Error(vcpu.describeFailure());
    }
  }

  /** Protects all pages that were written. */
  takeLog(): void {
    const slot = this.mmu.findMemslot(0 as Gfn)!;
    this.mmu.takeDirtyLog(slot, this.#log);
  }
}
