/**
 * The guest's MMU as the wasm engine's vCPUs share it: memslots over guest RAM, the page-table
 * memory, and decoded code, whose pages are write-tracked. A store into such a page is an MMU event
 * like a store into a shadowed page table.
 */

import { type Gfn, gfnOf, PAGE_SIZE, type Pfn } from "../../base/u64.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import { type HostPage, Mmu, type MmuHost, PageKind } from "../../mmu/mod.ts";
import { RegionTables } from "../../mmu/walk/mod.ts";
import { CodeCache } from "./block.ts";

/** How guest addresses are translated: by two stages, or by tables that shadow the guest's. */
export type MmuMode = "tdp" | "shadow";

/** The host of this MMU is the guest's WebAssembly memory: frame n is its n-th 4 KiB. */
class WasmHost implements MmuHost {
  readonly #pages: number;

  constructor(pages: number) {
    this.#pages = pages;
  }

  getPage(page: number, _write: boolean, _wait: boolean, into: HostPage): void {
    into.kind = page < this.#pages ? PageKind.FRAME : PageKind.BAD;
    into.pfn = page as Pfn;
    into.writable = true;
    into.reserved = false;
    into.level = 2;
  }
  putPage(): void {}
  setDirty(): void {}
  setAccessed(): void {}
  signalPoison(): void {}
}

/** What all vCPUs of a guest share of its memory. */
export class GuestMmu {
  readonly mmu: Mmu;
  readonly tables: RegionTables;
  readonly code: CodeCache;
  /** Guest RAM. */
  readonly ram: WebAssembly.Memory;
  /** How often a page has lost its last decoded code: a tracked page may be a plain one again. */
  untracked = 0;
  /** Called when decoded code has been overwritten. */
  onCodeWritten: () => void = () => {};

  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, mode: MmuMode, maxPhyAddrBits: number) {
    const ram = new Uint8Array(memory.wasm.buffer);
    this.ram = memory.wasm;
    this.mmu = new Mmu({
      host: new WasmHost(ram.length / PAGE_SIZE),
      tables: mode === "tdp" ? "ept" : "shadow",
      maxPhyAddrBits,
    });
    memory.regions.forEach(({ gpa, sizeBytes, offset, readOnly }, id) => {
      const frames = sizeBytes / PAGE_SIZE;
      this.mmu.setMemslot({
        id,
        baseGfn: gfnOf(gpa),
        frames,
        hostPage: offset / PAGE_SIZE,
        readOnly,
      });
    });
    this.tables = new RegionTables(memory, (gfn) => this.#tableWritten(gfn));
    this.code = new CodeCache(ram, (gfn, on) => this.#track(gfn, on));
    memory.watchWrites((offset, length) => this.#writtenByMachine(offset, length));
    this.#memory = memory;
  }

  /**
   * Bytes of guest RAM have been written that may be code.
   * @param page Number of the page in the WebAssembly memory.
   * @param from Offsets [from, to) in the page.
   */
  written(page: number, from: number, to: number): void {
    if (this.code.written(page, from, to)) this.onCodeWritten();
  }

  /** Looks at what other threads have written into guest memory since the last time. */
  takeWrites(): void {
    this.#memory.takeWrites();
  }

  /** The machine has written `length` bytes from `offset` on in the WebAssembly memory. */
  #writtenByMachine(offset: number, length: number): void {
    for (let at = offset; at < offset + length;) {
      const from = at % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - from, offset + length - at);
      this.written((at - from) / PAGE_SIZE, from, from + count);
      at += count;
    }
  }

  #track(gfn: Gfn, on: boolean): void {
    const slot = this.mmu.findMemslot(gfn);
    if (!on) this.untracked++;
    if (slot === undefined) return;
    if (on) this.mmu.writeTracking.track(slot, gfn);
    else this.mmu.writeTracking.untrack(slot, gfn);
  }

  /** A walk has set a flag in a page table: should there be code in the same page, it may be stale. */
  #tableWritten(gfn: Gfn): void {
    const slot = this.mmu.findMemslot(gfn);
    if (slot === undefined) return;
    slot.markDirty(gfn);
    this.written(slot.hostPageOf(gfn), 0, PAGE_SIZE);
  }
}
