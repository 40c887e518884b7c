/**
 * The walker against the processor: a ring-3 guest makes accesses through random tables, and what
 * faulted, with which error code and CR2, and which accessed and dirty flags appeared is what the
 * walker says.
 *
 * One difference is allowed, since the manual leaves it open (SDM 3A §4.8): a processor may set the
 * accessed flags of the entries that it went through on the way to a fault; the walker sets none.
 */

import { assert, assertEquals } from "@std/assert";
import { gpa, hex, PAGE_SIZE } from "../../../src/base/u64.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { Access } from "../../../src/mmu/pferr.ts";
import { PagingMode } from "../../../src/mmu/role.ts";
import { RegionTables, Walker, WalkFault } from "../../../src/mmu/walk/mod.ts";
import { fillTables, randomLinear } from "../../model/mmu/walk/random_tables.ts";
import { roleOf } from "../../support/guest_tables.ts";
import { hostPaging } from "../../support/host_paging.ts";
import { kvmEngine } from "../../support/kvm_guest.ts";
import { Random, seed } from "../../support/random.ts";
import { testWith } from "../../support/requirement.ts";
import {
  ACCESS_KINDS,
  type AccessEnd,
  type AccessKind,
  Ring3Guest,
  TABLE_FRAMES,
} from "../../support/ring3_guest.ts";

const IMAGES = 40;
const ACCESSES = 250;
const TABLE_BYTES = TABLE_FRAMES * PAGE_SIZE;

const WORDS: Readonly<Record<AccessKind, number>> = {
  read: Access.READ | Access.USER,
  write: Access.WRITE | Access.USER,
  fetch: Access.FETCH | Access.USER,
};
/** Where user code lives; a KVM without hardware support keeps a part of the upper half to itself. */
const LOWER_HALF = 0x7fff_ffff_ffffn;
const ACCESSED = 0x20;
const PAGE_FAULT = 14, GENERAL_PROTECTION = 13;

testWith(
  kvmEngine,
  "the processor and the walker agree on ring-3 accesses through random 4-level tables",
  () => {
    const random = new Random(seed(0x4193));
    const features = hostPaging();
    const tally = { done: 0, mmio: 0, fault: 0, skipped: 0 };
    for (let image = 0; image < IMAGES; image++) {
      const [nxe, wp] = [random.oneIn(2), random.oneIn(2)];
      const root = random.below(TABLE_FRAMES);
      const fill = (memory: GuestMemory) =>
        fillTables(random, memory, PagingMode.LEVEL4, TABLE_FRAMES);
      using guest = new Ring3Guest(fill, root, { nxe, wp });
      const model = new Model(guest.memory, root, roleOf({ nxe, wp, ...features }));
      for (let i = 0; i < ACCESSES; i++) {
        const address = randomLinear(random, PagingMode.LEVEL4) & LOWER_HALF;
        const kind = random.pick(ACCESS_KINDS);
        const expected = model.access(address, kind);
        if (expected === undefined) {
          tally.skipped++;
          model.copyFrom(guest.memory);
          continue;
        }
        const found = guest.access(address, kind);
        const where = `seed ${random.seed}, image ${image}, access ${i}: ${kind} of ${
          hex(address)
        }`;
        assertEquals(found, expected, where);
        assertEquals(model.difference(guest.memory, found), undefined, where);
        if (found.kind === "fault") model.copyFrom(guest.memory);
        tally[found.kind]++;
      }
    }
    const { done, mmio, fault } = tally;
    assert(done > 500 && mmio > 5 && fault > 1000, JSON.stringify(tally));
  },
);

/** What the walker says of the same memory. */
class Model {
  readonly #memory: GuestMemory;
  readonly #words: Uint32Array;
  readonly #walker: Walker;

  constructor(memory: GuestMemory, root: number, role: ReturnType<typeof roleOf>) {
    this.#memory = GuestMemory.allocate(memory.ramBytes);
    this.#memory.write(gpa(0), memory.view(gpa(0), memory.ramBytes));
    this.#words = words(this.#memory);
    this.#walker = new Walker(new RegionTables(this.#memory));
    this.#walker.setRole(role);
    this.#walker.setRoot(root * PAGE_SIZE, 0);
  }

  /** The expected end; undefined for accesses of which the processor and KVM say nothing useful. */
  access(address: bigint, kind: AccessKind): AccessEnd | undefined {
    const walker = this.#walker;
    const { result } = walker;
    if (!walker.walk(Number(address & 0xffff_ffffn), Number(address >> 32n), WORDS[kind])) {
      // A table that is not RAM: KVM ends the run, or faults, by how it pages.
      if (result.fault === WalkFault.OUTSIDE_RAM) return undefined;
      return { kind: "fault", vector: PAGE_FAULT, errorCode: result.errorCode, cr2: address };
    }
    const target = result.gfn * PAGE_SIZE + Number(address & 0xfffn);
    const isRam = this.#memory.contains(target, 1);
    if (kind !== "fetch") return isRam ? { kind: "done" } : { kind: "mmio", gpa: target };
    // Tables are not to be executed, nor is what is not RAM; elsewhere there are HLTs.
    if (!isRam || target < TABLE_BYTES + 8 * PAGE_SIZE) return undefined;
    return { kind: "fault", vector: GENERAL_PROTECTION, errorCode: 0, cr2: 0n };
  }

  /** The first entry that differs, but for accessed flags on the way to a fault. */
  difference(host: GuestMemory, end: AccessEnd): string | undefined {
    const theirs = words(host);
    const mayDiffer = end.kind === "fault" && end.vector === PAGE_FAULT ? ACCESSED : 0;
    for (let i = 0; i < this.#words.length; i++) {
      const differing = this.#words[i] ^ theirs[i];
      const allowed = (theirs[i] & mayDiffer) !== 0 && i % 2 === 0 ? ACCESSED : 0;
      if ((differing & ~allowed) !== 0) {
        return `word ${i}: walker ${hex(this.#words[i])}, processor ${hex(theirs[i])}`;
      }
    }
    return undefined;
  }

  copyFrom(host: GuestMemory): void {
    this.#words.set(words(host));
  }
}

function words(memory: GuestMemory): Uint32Array {
  const view = memory.view(gpa(0), TABLE_BYTES);
  return new Uint32Array(view.buffer, view.byteOffset, TABLE_BYTES / 4);
}
