/**
 * One vCPU's translation of linear addresses: TLB fills through the MMU, and the accesses that the
 * TLB does not serve.
 */

import { frameHi, frameLo, type Gfn, gfnOf, type Gpa, gpaOf, TWO_32 } from "../../base/u64.ts";
import { Seg } from "../../cpu/state.ts";
import {
  Acc,
  Access,
  CpuRole,
  FillResult,
  type MmuVcpu,
  type PagingFeatures,
  PagingMode,
  TlbFill,
} from "../../mmu/mod.ts";
import { Activity } from "../activity.ts";
import { isCanonical, linearAddressBits, Walker } from "../../mmu/walk/mod.ts";
import { keyRefuses } from "../../mmu/walk/permissions.ts";
import type { CodePage } from "./block.ts";
import { CodeTlb } from "./code_tlb.ts";
import { Attention, type Cpu, Word } from "./cpu.ts";
import { isWatched, noteAccess } from "./debug.ts";
import { VCPU_SHUTDOWN, Vector } from "./exception.ts";
import type { GuestMmu } from "./guest_mmu.ts";
import { LargePages } from "./large_pages.ts";
import { entryAt, GLOBAL, NO_TAG, SCRATCH_AT, TLB_WORDS, TlbSet } from "./tlb.ts";

/** Bytes of a page, and the mask of the offset in one. */
const PAGE = 4096;
const OFFSET = PAGE - 1;
/** Translations that are kept of pages that the TLB cannot have. */
const SLOW_ENTRIES = 64;

/** What an address leads to. */
class Place {
  /** Offset in guest RAM (and ROM) of the address; -1: a device. */
  offset = -1;
  /** Guest physical address. */
  gpa = 0 as Gpa;
  /** A write does not simply land: ROM, a shadowed page table, code. */
  special = false;
}

/** What a page leads to that is not in the TLB because every access to it needs a look. */
class SlowPage extends Place {
  /** Linear address of the page, and the kind of access. */
  lo = NO_TAG;
  hi = 0;
  access = 0;
  /** `GuestMmu.untracked` at that time: the page may be a plain one again. */
  untracked = 0;
}

/** Translates for one vCPU. */
export class Paging {
  readonly vcpu: MmuVcpu;
  /** Of code. */
  readonly code: CodeTlb;
  tlbMisses = 0;
  readonly #cpu: Cpu;
  readonly #guest: GuestMmu;
  readonly #walker: Walker;
  readonly #fill: TlbFill;
  readonly #features: PagingFeatures;
  #role: CpuRole;
  #linearBits = 48;
  readonly #first = new Place();
  readonly #second = new Place();
  /**
   * TLB entries that have been filled since the last flush, by their first word, some twice. The first
   * `settled` of them have outlived a flush of what is not global: the next one need not look at them.
   */
  readonly #filled = new Int32Array(TLB_WORDS / 2);
  #filledCount = 0;
  #settled = 0;
  /** Devices, ROM and tracked pages that have been accessed since the last flush. */
  readonly #slow = Array.from({ length: SLOW_ENTRIES }, () => new SlowPage());
  #hasSlow = false;
  readonly #large = new LargePages();
  /** Frame of the last translation, and whether it is global. */
  #gfn = 0 as Gfn;
  #global = false;
  /** Length of the first part of a read-modify-write that crosses pages. */
  #split = 0;
  /** TLB entries have offsets of 32 bits: with more memory, every access is translated. */
  readonly #hasTlb: boolean;

  constructor(cpu: Cpu, guest: GuestMmu) {
    this.#cpu = cpu;
    this.#guest = guest;
    this.vcpu = guest.mmu.createVcpu(this, guest.tables);
    this.#walker = this.vcpu.shadow?.walker ?? new Walker(guest.tables);
    this.#fill = new TlbFill(this.vcpu);
    this.#features = { maxPhyAddrBits: cpu.cpuid.maxPhyAddrBits, gbPages: true, amd: false };
    this.#role = this.vcpu.role;
    this.code = new CodeTlb(cpu.s);
    this.#hasTlb = cpu.ram.byteLength <= TWO_32;
  }

  /** Linear addresses have 48 bits, or 57 (SDM 3A §4.1). */
  isCanonical(hi: number): boolean {
    return isCanonical(hi, this.#linearBits);
  }

  /**
   * CR0, CR4 or EFER has changed, or CR3 with them.
   * @returns false when PAE paging begins and a PDPTE is not valid: #GP(0) (SDM 3A §4.4.1).
   */
  controlRegistersChanged(): boolean {
    const { s } = this.#cpu;
    const role = CpuRole.fromRegisters(
      s[Word.CR0],
      s[Word.CR4],
      s[Word.EFER],
      this.#features,
      false,
      false,
    );
    this.flush();
    if (role !== this.#role) {
      this.#role = role;
      this.vcpu.setRole(role);
      this.#walker.setRole(role);
      this.#linearBits = linearAddressBits(role);
    }
    return role.mode === PagingMode.NONE || this.loadCr3(s[Word.CR3], s[Word.CR3 + 1]);
  }

  /**
   * The guest loads CR3. The TLB holds no PCIDs: it forgets what is not global.
   * @returns false when PAE paging is on and a PDPTE is not valid: nothing has changed.
   */
  loadCr3(lo: number, hi: number): boolean {
    if (this.#role.mode === PagingMode.PAE && this.vcpu.shadow === undefined) {
      if (!this.#walker.loadPdptrs(lo)) return false;
    }
    // Shadow tables are synchronized even where the guest asks for no flush: they have no PCIDs, either.
    if (!this.vcpu.loadCr3(lo, hi, false)) return false;
    this.#walker.setRoot(lo, hi);
    this.flushNonGlobal();
    return true;
  }

  /** PKRU has been written. It is about data: fetches do not ask for keys (SDM 3A §4.6.2). */
  keysChanged(): void {
    const pkru = this.#cpu.s[Word.PKRU];
    if (pkru === this.#walker.pkru) return;
    this.#walker.pkru = pkru;
    this.#flushData();
  }

  /** The whole state has been replaced. */
  reset(): void {
    this.#walker.pkru = this.#cpu.s[Word.PKRU];
    this.vcpu.unload();
    this.controlRegistersChanged();
  }

  /** INVLPG. */
  invalidatePage(lo: number, hi: number): void {
    this.vcpu.invlpg(lo, hi);
  }

  /**
   * Forgets everything: `Tlb` of the MMU. Should it happen at a data access, the next instruction is
   * fetched anew: decoded and translated code must not differ in what of stale tables they still use.
   */
  flush(): void {
    this.#cpu.attention |= Attention.BLOCK;
    this.#flushData();
    this.code.flush();
    this.#large.clear();
  }

  #flushData(): void {
    const { s } = this.#cpu;
    for (let i = 0; i < this.#filledCount; i++) s[this.#filled[i]] = NO_TAG;
    this.#filledCount = 0;
    this.#settled = 0;
    this.#flushSlow();
  }

  /**
   * Forgets how data accesses get to a frame that is tracked from now on: `Tlb` of the MMU. Translated
   * code may know it, too, for the rest of a block.
   */
  flushFrame(gfn: Gfn): void {
    const { s } = this.#cpu;
    this.#cpu.attention |= Attention.BLOCK;
    const offset = this.#offsetOf(gfn) | 0;
    for (let i = 0; i < this.#filledCount; i++) {
      const at = this.#filled[i];
      if ((s[at] + s[at + 2] | 0) === offset) s[at] = NO_TAG;
    }
  }

  /** Forgets all translations but global ones (SDM 3A §4.10.4.1). */
  flushNonGlobal(): void {
    const { s } = this.#cpu;
    let kept = this.#settled;
    for (let i = kept; i < this.#filledCount; i++) {
      const at = this.#filled[i];
      if ((s[at + 3] & GLOBAL) !== 0) this.#filled[kept++] = at;
      else s[at] = NO_TAG;
    }
    this.#filledCount = kept;
    this.#settled = kept;
    this.code.flushNonGlobal();
    this.#flushSlow();
  }

  #flushSlow(): void {
    if (!this.#hasSlow) return;
    for (let i = 0; i < SLOW_ENTRIES; i++) this.#slow[i].lo = NO_TAG;
    this.#hasSlow = false;
  }

  /** Forgets the page of one address: `Tlb` of the MMU; see `flush`. */
  flushPage(lo: number, hi: number): void {
    if (this.#large.has(lo, hi)) return this.flush();
    const { s } = this.#cpu;
    this.#cpu.attention |= Attention.BLOCK;
    const page = lo & ~OFFSET;
    for (let set = TlbSet.FIRST as number; set < TlbSet.FIRST + TLB_WORDS; set += TLB_WORDS / 8) {
      const at = entryAt(set, lo);
      if (s[at] === page && s[at + 1] === hi) s[at] = NO_TAG;
    }
    this.code.flushPage(lo, hi);
    this.#slow[slowEntry(lo, Access.READ)].lo = NO_TAG;
    this.#slow[slowEntry(lo, Access.WRITE)].lo = NO_TAG;
  }

  /**
   * Fills the TLB for an access by translated code.
   * @returns false when the access is not a simple one: the interpreter has to make it. What it
   * raises may be raised here already.
   */
  fill(lo: number, hi: number, size: number, write: boolean): boolean {
    const cpu = this.#cpu;
    if ((lo & OFFSET) + size > PAGE || !this.isCanonical(hi)) return false;
    if (cpu.watching || cpu.tlbRead === TlbSet.CHECKED_READ) return false;
    this.#locate(lo, hi, size, write ? Access.WRITE : Access.READ);
    const at = entryAt(write ? cpu.tlbWrite : cpu.tlbRead, lo);
    return cpu.s[at] === (lo & ~OFFSET) && cpu.s[at + 1] === hi;
  }

  /** The decoded code of the page that instructions at `hi:lo` come from; undefined: no RAM there. */
  codePage(lo: number, hi: number): CodePage | undefined {
    const cpu = this.#cpu;
    const page = this.code.find(lo, hi, cpu.cpl === 3);
    return page !== undefined && page.codeSize === cpu.codeSize ? page : this.#findCodePage(lo, hi);
  }

  #findCodePage(lo: number, hi: number): CodePage | undefined {
    const cpu = this.#cpu;
    const place = this.#first;
    const user = cpu.cpl === 3;
    if (!this.isCanonical(hi)) cpu.raise(Vector.GP);
    this.#translate(place, lo, hi, Access.FETCH | (user ? Access.USER : 0));
    if (place.offset < 0) return undefined;
    const number = Math.floor(place.offset / PAGE);
    const page = this.#guest.code.page(number, this.#gfn, cpu.codeSize);
    this.code.enter(lo, hi, user, page, this.#global);
    return page;
  }

  /** Copies `length` bytes of code at `hi:lo`, all in one page, into `into`; may raise. */
  fetch(lo: number, hi: number, length: number, into: Uint8Array, at: number): void {
    const { ramBytes, u8 } = this.#cpu;
    const code = this.codePage(lo, hi);
    if (code !== undefined) {
      const from = code.page * PAGE + (lo & OFFSET);
      for (let i = 0; i < length; i++) into[at + i] = ramBytes[from + i];
      return;
    }
    this.#readPart(this.#first, length, SCRATCH_AT); // where `codePage` has found no RAM
    for (let i = 0; i < length; i++) into[at + i] = u8[SCRATCH_AT + i];
  }

  /** Reads `size` bytes, up to 64, to the scratch space. */
  read(lo: number, hi: number, size: number): void {
    const first = this.#locate(lo, hi, size, Access.READ);
    this.#readPart(this.#first, first, SCRATCH_AT);
    if (first < size) this.#readPart(this.#second, size - first, SCRATCH_AT + first);
  }

  /** Writes `size` bytes from the scratch space. */
  write(lo: number, hi: number, size: number): void {
    const first = this.#locate(lo, hi, size, Access.WRITE);
    this.#writePart(this.#first, first, SCRATCH_AT);
    if (first < size) this.#writePart(this.#second, size - first, SCRATCH_AT + first);
  }

  /** Reads as `read`, but faults as a write; `writeBack` follows, unless `cpu.rmwAt` says where. */
  readForWrite(lo: number, hi: number, size: number): void {
    const cpu = this.#cpu;
    const first = this.#locate(lo, hi, size, Access.WRITE);
    this.#split = first;
    this.#readPart(this.#first, first, SCRATCH_AT);
    if (first < size) this.#readPart(this.#second, size - first, SCRATCH_AT + first);
    const plain = first === size && this.#first.offset >= 0 && !this.#first.special;
    cpu.rmwAt = plain ? this.#first.offset : -1;
  }

  /** Writes `size` bytes from the scratch space to where `readForWrite` has read. */
  writeBack(size: number): void {
    const first = this.#split;
    this.#writePart(this.#first, first, SCRATCH_AT);
    if (first < size) this.#writePart(this.#second, size - first, SCRATCH_AT + first);
  }

  /**
   * Translates an access of up to two pages, all of it before any byte is touched.
   * @returns Bytes in the first page.
   */
  #locate(lo: number, hi: number, size: number, kind: number): number {
    const cpu = this.#cpu;
    const first = Math.min(size, PAGE - (lo & OFFSET));
    const next = (lo & ~OFFSET) + PAGE | 0;
    // Addresses of 32 bits wrap at their end.
    const nextHi = next === 0 && cpu.is64 ? hi + 1 | 0 : hi;
    if (!this.isCanonical(hi) || first < size && !this.isCanonical(nextHi)) this.#notCanonical();
    const set = cpu.tlbRead;
    if (set === TlbSet.CHECKED_READ && (lo & alignmentOf(size) - 1) !== 0) cpu.raise(Vector.AC);
    const who = set === TlbSet.SUPERVISOR_READ
      ? 0
      : set === TlbSet.SUSPENDED_READ
      ? Access.SMAP_SUSPENDED
      : Access.USER;
    if (cpu.watching) noteAccess(cpu, lo, hi, size, kind === Access.WRITE);
    this.#translate(this.#first, lo, hi, kind | who);
    if (first < size) this.#translate(this.#second, next, nextHi, kind | who);
    return first;
  }

  /** #SS(0) for accesses through SS, else #GP(0) (SDM 2A "64-bit mode exceptions"). */
  #notCanonical(): never {
    const cpu = this.#cpu;
    const insn = cpu.block?.insns[cpu.at];
    if (insn === undefined) return cpu.raise(Vector.GP);
    // Without a memory operand, those with operands of 64 bits are the stack's.
    const stack = insn.isMem ? insn.seg === Seg.SS : insn.row?.size64 !== undefined;
    return cpu.raise(stack ? Vector.SS : Vector.GP);
  }

  /** Fills in where `hi:lo` leads, and the TLB when it may; raises #PF. */
  #translate(place: Place, lo: number, hi: number, access: number): void {
    const slow = this.#slow[slowEntry(lo, access)];
    if (
      slow.lo === (lo & ~OFFSET) && slow.hi === hi && slow.access === access &&
      slow.untracked === this.#guest.untracked
    ) {
      place.offset = slow.offset < 0 ? -1 : slow.offset + (lo & OFFSET);
      place.gpa = slow.gpa + (lo & OFFSET) as Gpa;
      place.special = slow.special;
      return;
    }
    this.tlbMisses++;
    const { activity } = this.#cpu;
    const before = activity[0];
    activity[0] = Activity.MMU;
    this.#ask(place, slow, lo, hi, access);
    activity[0] = before; // where this throws, who catches it sets it
  }

  /** The same by the MMU. */
  #ask(place: Place, slow: SlowPage, lo: number, hi: number, access: number): void {
    const { vcpu } = this;
    const fill = this.#fill;
    let rights: number = Acc.ALL;
    let result: FillResult;
    this.#global = false;
    const kind = access & (Access.WRITE | Access.FETCH);
    if (this.#role.mode === PagingMode.NONE) {
      result = fill.fill(lo, 0, kind);
    } else if (vcpu.isDirect) {
      rights = this.#walkGuest(lo, hi, access);
      const { gfn } = this.#walker.result;
      result = fill.fill(frameLo(gfn), frameHi(gfn), kind);
    } else {
      if (this.#role.pke) this.#walkGuest(lo, hi, access); // shadow entries have no keys
      result = fill.fill(lo, hi, access);
      if (!fill.user && (access & Access.USER) !== 0) rights = 0;
    }
    this.#gfn = fill.gfn;
    place.gpa = gpaOf(fill.gfn) + (lo & OFFSET) as Gpa;
    switch (result) {
      case FillResult.OK:
        place.offset = fill.pfn * PAGE + (lo & OFFSET);
        place.special = false;
        if ((access & Access.FETCH) === 0) this.#keep(lo, hi, access, rights);
        return;
      case FillResult.MMIO:
        place.offset = -1;
        place.special = false;
        return this.#keepSlow(slow, place, lo, hi, access);
      case FillResult.EMULATE:
        place.offset = this.#offsetOf(fill.gfn) + (lo & OFFSET);
        place.special = true;
        return this.#keepSlow(slow, place, lo, hi, access);
      case FillResult.GUEST_FAULT:
        return this.#pageFault(lo, hi, this.#takeGuestFault());
      default:
        return this.#fail(result);
    }
  }

  /** Remembers a page that the TLB cannot have. */
  #keepSlow(slow: SlowPage, place: Place, lo: number, hi: number, access: number): void {
    if ((access & Access.FETCH) !== 0) return;
    this.#hasSlow = true;
    slow.lo = lo & ~OFFSET;
    slow.hi = hi;
    slow.access = access;
    slow.untracked = this.#guest.untracked;
    slow.gpa = place.gpa - (lo & OFFSET) as Gpa;
    slow.offset = place.offset < 0 ? -1 : place.offset - (lo & OFFSET);
    slow.special = place.special;
  }

  /** Walks the guest's tables; returns the rights that may be cached. */
  #walkGuest(lo: number, hi: number, access: number): number {
    const walker = this.#walker;
    if (!walker.walk(lo, hi, access)) this.#pageFault(lo, hi, walker.result.errorCode);
    this.#global = walker.isGlobal;
    const { level } = walker.result;
    if (level > 1) this.#large.note(lo, hi, level);
    return walker.result.cacheAccess;
  }

  #takeGuestFault(): number {
    const { guestFault } = this.vcpu.shadow!;
    guestFault.pending = false;
    return guestFault.errorCode;
  }

  #pageFault(lo: number, hi: number, code: number): never {
    const cpu = this.#cpu;
    cpu.s[Word.CR2] = lo;
    cpu.s[Word.CR2 + 1] = hi;
    return cpu.raise(Vector.PF, code);
  }

  /** The MMU cannot go on: the run ends with what it says. */
  #fail(result: FillResult): never {
    const cpu = this.#cpu;
    if (result === FillResult.TRIPLE_FAULT) {
      cpu.shutdownReason = "Triple fault: CR3 does not point into RAM";
    } else {
      cpu.failed = true;
      cpu.shutdownReason = this.vcpu.describeFailure();
    }
    throw VCPU_SHUTDOWN;
  }

  /** Enters a page of plain RAM into the TLB. */
  #keep(lo: number, hi: number, access: number, rights: number): void {
    const cpu = this.#cpu;
    const set = cpu.tlbRead;
    if (!this.#hasTlb || set === TlbSet.CHECKED_READ) return;
    if (cpu.watching && isWatched(cpu, lo, hi)) return;
    const fill = this.#fill;
    const write = (access & Access.WRITE) !== 0;
    // A write that has been allowed allows reads too.
    this.#enter(set, lo, hi);
    if (write ? fill.writable : fill.writable && this.#mayWrite(access, rights)) {
      this.#enter(cpu.tlbWrite, lo, hi);
    }
  }

  /** Whether a page that has been read may be written, too, without another walk. */
  #mayWrite(access: number, rights: number): boolean {
    if (this.#role.mode === PagingMode.NONE) return true;
    if (!this.vcpu.isDirect) return !this.#role.pke;
    if ((rights & Acc.WRITE) === 0) return false; // read-only, or not dirty yet
    const { rules, pkru, pkey } = this.#walker;
    const refused = rules.permissions[(access | Access.WRITE) >>> 1 & 15] >>> rights & 1;
    if (refused !== 0) return false;
    return !this.#role.pke ||
      !keyRefuses(pkru, pkey, rights, access | Access.WRITE, this.#role.wp);
  }

  #enter(set: number, lo: number, hi: number): void {
    const { s } = this.#cpu;
    const at = entryAt(set, lo);
    const page = lo & ~OFFSET;
    const flags = this.#global ? GLOBAL : 0;
    // Among those that are settled, the next flush would miss one that is global no longer.
    if (s[at] === NO_TAG || flags < s[at + 3]) this.#note(at);
    s[at] = page;
    s[at + 1] = hi;
    // Guest memory ends at 4 GiB: offsets count modulo 2^32.
    s[at + 2] = frameLo(this.#fill.pfn) - page;
    s[at + 3] = flags;
  }

  /** Remembers an entry for the next flush. */
  #note(at: number): void {
    if (this.#filledCount === this.#filled.length) this.#noteEachOnce();
    this.#filled[this.#filledCount++] = at;
  }

  #noteEachOnce(): void {
    const { s } = this.#cpu;
    this.#filledCount = 0;
    this.#settled = 0;
    for (let at: number = TlbSet.FIRST; at < TlbSet.FIRST + TLB_WORDS; at += 4) {
      if (s[at] !== NO_TAG) this.#filled[this.#filledCount++] = at;
    }
  }

  /** Offset in guest RAM of the frame's first byte. */
  #offsetOf(gfn: Gfn): number {
    const slot = this.#guest.mmu.findMemslot(gfn);
    return slot === undefined ? -1 : slot.hostPageOf(gfn) * PAGE;
  }

  #readPart(place: Place, size: number, to: number): void {
    const cpu = this.#cpu;
    if (place.offset >= 0) {
      for (let i = 0; i < size; i++) cpu.u8[to + i] = cpu.ramBytes[place.offset + i];
      return;
    }
    for (let done = 0; done < size; done += 8) {
      const part = Math.min(8, size - done);
      cpu.bus.readMmio(cpu.index, place.gpa + done, part, cpu.view, to + done);
    }
  }

  #writePart(place: Place, size: number, from: number): void {
    const cpu = this.#cpu;
    if (place.offset < 0) {
      for (let done = 0; done < size; done += 8) {
        const part = Math.min(8, size - done);
        cpu.bus.writeMmio(cpu.index, place.gpa + done, part, cpu.view, from + done);
      }
      return;
    }
    if (place.special && this.#isRom(place)) return;
    for (let i = 0; i < size; i++) cpu.ramBytes[place.offset + i] = cpu.u8[from + i];
    if (place.special) this.#reportWrite(place, size);
  }

  #isRom(place: Place): boolean {
    return this.#guest.mmu.findMemslot(gfnOf(place.gpa))?.readOnly ?? true;
  }

  /** A write to a tracked page has been carried out: shadow tables and decoded code hear of it. */
  #reportWrite(place: Place, size: number): void {
    const gfn = gfnOf(place.gpa);
    const within = place.offset % PAGE;
    this.#guest.mmu.findMemslot(gfn)?.markDirty(gfn);
    this.vcpu.wrote(frameLo(gfn) | within, frameHi(gfn), size);
    this.#guest.written(Math.floor(place.offset / PAGE), within, within + size);
  }
}

/** Position of the entry for a page that the TLB cannot have; reads and writes have their own. */
function slowEntry(lo: number, access: number): number {
  const write = (access & Access.WRITE) !== 0 ? 1 : 0;
  return (lo >>> 11 & ~1 | write) & SLOW_ENTRIES - 1;
}

/**
 * Alignment that #AC asks for (SDM 3A table 6-7): 8 bytes for 80-bit operands, 4 or 2 for x87
 * environments; 16-byte operands are the processor's choice.
 */
function alignmentOf(size: number): number {
  if (size === 10) return 8;
  if (size === 14) return 2;
  return size > 16 ? 4 : size;
}
