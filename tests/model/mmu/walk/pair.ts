/** The walker and the reference, each over its own copy of the same memory. */

import { gpa, hex } from "../../../../src/base/u64.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { Access, accessWord } from "../../../../src/mmu/pferr.ts";
import { type CpuRole, PagingMode } from "../../../../src/mmu/role.ts";
import { RegionTables, Walker, WalkFault } from "../../../../src/mmu/walk/mod.ts";
import { isEpt } from "../../../support/guest_tables.ts";
import {
  type ReferenceAccess,
  type ReferenceAnswer,
  type ReferenceCpu,
  type ReferenceEpt,
  referenceEptWalk,
  type ReferenceMemory,
  referenceWalk,
} from "./reference_walker.ts";

/** Every kind of access that rights can tell apart. */
export const ACCESSES: readonly ReferenceAccess[] = (["read", "write", "fetch"] as const).flatMap(
  (kind) => [
    { kind, cpl: 3, implicit: false, ac: true },
    { kind, cpl: 0, implicit: false, ac: false },
    { kind, cpl: 0, implicit: false, ac: true },
    { kind, cpl: 0, implicit: true, ac: true },
    { kind, cpl: 3, implicit: true, ac: true },
  ],
);

const KINDS = { read: Access.READ, write: Access.WRITE, fetch: Access.FETCH };

/** The walker's word for an access. */
export function wordOf(access: ReferenceAccess): number {
  return accessWord(KINDS[access.kind], access.cpl, access.implicit, access.ac);
}

/** GuestMemory as the reference reads it. */
export function referenceMemory(memory: GuestMemory): ReferenceMemory {
  return {
    read(address, bytes) {
      if (!memory.contains(Number(address), bytes)) return undefined;
      const at = gpa(Number(address));
      return bytes === 8 ? memory.readU64(at) : BigInt(memory.readU32(at));
    },
    write(address, bytes, value) {
      const at = gpa(Number(address));
      if (bytes === 8) memory.writeU64(at, value);
      else memory.writeU32(at, Number(value));
    },
    writable(address) {
      return memory.regions.some((region) =>
        !region.readOnly && address >= BigInt(region.gpa) &&
        address < BigInt(region.gpa + region.sizeBytes)
      );
    },
  };
}

/** The reference's registers for a role. */
export function referenceCpu(
  role: CpuRole,
  rest: { cr3: bigint; pkru?: number; pdpte?: readonly bigint[] },
): ReferenceCpu {
  return {
    cr0: { PG: role.mode !== PagingMode.NONE, WP: role.wp },
    cr4: {
      PSE: role.pse,
      PAE: role.mode !== PagingMode.BITS32,
      LA57: role.la57,
      SMEP: role.smep,
      SMAP: role.smap,
      PKE: role.pke,
    },
    efer: { LMA: role.lma, NXE: role.nxe },
    cr3: rest.cr3,
    pkru: BigInt((rest.pkru ?? 0) >>> 0),
    pdpte: rest.pdpte ?? [],
    MAXPHYADDR: BigInt(role.maxPhyAddrBits),
    page1GB: role.gbPages,
    amd: role.amd,
  };
}

/** The reference's EPT for a role. */
export function referenceEpt(role: CpuRole, root: bigint): ReferenceEpt {
  return {
    root,
    levels: role.mode === PagingMode.EPT4 ? 4 : 5,
    accessedDirty: role.eptAccessedDirty,
    executeOnly: role.eptExecuteOnly,
    page1GB: role.gbPages,
    MAXPHYADDR: BigInt(role.maxPhyAddrBits),
  };
}

/** Two memories with the same content, and a walker over the first. */
export class Pair {
  readonly memory: GuestMemory;
  readonly copy: GuestMemory;
  readonly walker: Walker;
  readonly reference: ReferenceMemory;
  readonly #words: BigUint64Array;
  readonly #copied: BigUint64Array;

  constructor(readonly ramBytes: number, romBytes = 0) {
    this.memory = GuestMemory.allocate(ramBytes, romBytes);
    this.copy = GuestMemory.allocate(ramBytes, romBytes);
    this.walker = new Walker(new RegionTables(this.memory));
    this.reference = referenceMemory(this.copy);
    this.#words = new BigUint64Array(this.memory.wasm.buffer);
    this.#copied = new BigUint64Array(this.copy.wasm.buffer);
  }

  /** Makes the copy equal to the memory. */
  synchronise(): void {
    this.#copied.set(this.#words);
  }

  /** The first address at which the memories differ, or undefined. */
  difference(): string | undefined {
    const at = this.#words.findIndex((word, index) => word !== this.#copied[index]);
    if (at < 0) return undefined;
    return `offset ${hex(at * 8)}: ${hex(this.#words[at])}, reference ${hex(this.#copied[at])}`;
  }

  /** The reference's answer. */
  expected(
    cpu: ReferenceCpu | ReferenceEpt,
    linear: bigint,
    access: ReferenceAccess,
  ): ReferenceAnswer {
    return "levels" in cpu
      ? referenceEptWalk(cpu, this.reference, linear, access.kind)
      : referenceWalk(cpu, this.reference, linear, access);
  }

  /** Walks, and says whether that is the reference's answer. */
  agrees(expected: ReferenceAnswer, linear: bigint, access: ReferenceAccess): boolean {
    const { walker } = this;
    const { result } = walker;
    const reached = walker.walk(
      Number(linear & 0xffff_ffffn),
      Number(linear >> 32n),
      wordOf(access),
    );
    if ("errorCode" in expected) {
      return !reached && result.fault !== WalkFault.NESTED &&
        BigInt(result.errorCode) === expected.errorCode;
    }
    return reached && BigInt(result.gfn) === expected.address >> 12n &&
      pageBits(walker) === expected.pageBits;
  }
}

/** log2 of the size of the page that the last walk found. */
function pageBits(walker: Walker): number {
  const { result, rules } = walker;
  if (rules.role.mode === PagingMode.BITS32 && result.level === 2) return 22;
  return [32, 12, 21, 30][result.level];
}

/** The reference's answer in words. */
export function describeAnswer(answer: ReferenceAnswer): string {
  if ("errorCode" in answer) return `fault ${hex(answer.errorCode)}`;
  return `${hex(answer.address)}, ${answer.pageBits} bits`;
}

/** What the last walk found, in the same words. */
export function describeWalk(walker: Walker, linear: bigint): string {
  const { result } = walker;
  if (result.fault === WalkFault.NESTED) return `nested fault at ${hex(result.nestedGpa)}`;
  if (result.fault !== WalkFault.NONE) return `fault ${hex(result.errorCode)}`;
  return `${hex(BigInt(result.gfn) << 12n | linear & 0xfffn)}, ${pageBits(walker)} bits`;
}

/** One line that tells a role apart in a failure. */
export function describeRole(role: CpuRole): string {
  const on = Object.entries(role).filter(([, value]) => value === true).map(([name]) => name);
  const kind = isEpt(role.mode) ? "EPT mode" : "mode";
  return `${kind} ${role.mode}, M=${role.maxPhyAddrBits}, ${on.join(" ")}`;
}
