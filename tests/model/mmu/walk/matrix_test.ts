/** The walker against the reference over the whole permission matrix. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { type CpuRole, PagingMode } from "../../../../src/mmu/role.ts";
import {
  A,
  D,
  EPT_A,
  EPT_D,
  isEpt,
  levelsOf,
  NX,
  P,
  roleOf,
  TableBuilder,
  U,
  W,
} from "../../../support/guest_tables.ts";
import {
  ACCESSES,
  describeAnswer,
  describeRole,
  describeWalk,
  Pair,
  referenceCpu,
  referenceEpt,
} from "./pair.ts";
import type { ReferenceAccess, ReferenceCpu, ReferenceEpt } from "./reference_walker.ts";

const LINEAR = 0x4060_1000n;
const KEY = 9;

/** All subsets of `bits`, OR-ed. */
function subsets(bits: readonly bigint[]): bigint[] {
  return bits.reduce<bigint[]>((all, bit) => [...all, ...all.map((set) => set | bit)], [0n]);
}

/** Every way to set these switches. */
function* switches<Name extends string>(
  ...names: readonly Name[]
): Generator<Record<Name, boolean>> {
  for (let bits = 0; bits < 1 << names.length; bits++) {
    const entries = names.map((name, index) => [name, (bits >> index & 1) === 1]);
    yield Object.fromEntries(entries) as Record<Name, boolean>;
  }
}

/** One mapping of LINEAR by a leaf of one level, whose entries can be set again for each case. */
class Mapping {
  readonly pair = new Pair(64 * 1024);
  readonly builder: TableBuilder;
  /** By level: the entry as it should be, not accessed and not dirty. */
  readonly values: bigint[] = [];
  readonly #at: number[] = [];
  readonly #words: Uint32Array;
  readonly #copied: Uint32Array;

  constructor(readonly mode: PagingMode, readonly leaf: number) {
    this.builder = new TableBuilder(this.pair.memory, mode);
    const width = mode === PagingMode.BITS32 ? 32n : 40n;
    this.builder.map(LINEAR, BigInt.asUintN(Number(width), 0xab_c000_0000n), leaf);
    const flags = isEpt(mode) ? EPT_A | EPT_D : A | D;
    for (let level = leaf; level <= this.top; level++) {
      this.values[level] = this.builder.read(LINEAR, level) & ~flags;
      this.#at[level] = this.builder.entryGpa(LINEAR, level) / 4;
    }
    this.#words = new Uint32Array(this.pair.memory.wasm.buffer);
    this.#copied = new Uint32Array(this.pair.copy.wasm.buffer);
    this.pair.synchronise();
    this.pair.walker.setRoot(this.builder.root, 0);
  }

  /** The highest level whose entries a walk reads. */
  get top(): number {
    return this.mode === PagingMode.PAE ? 2 : levelsOf(this.mode);
  }

  get pdptes(): bigint[] {
    const { memory } = this.pair;
    return [0, 8, 16, 24].map((offset) => memory.readU64(gpa(this.builder.root + offset)));
  }

  /** Walks with `values` and compares the answer and every entry afterwards. */
  check(
    cpu: ReferenceCpu | ReferenceEpt,
    role: CpuRole,
    values: readonly bigint[],
    access: ReferenceAccess,
  ): void {
    const wide = this.mode !== PagingMode.BITS32;
    for (let level = this.leaf; level <= this.top; level++) {
      const at = this.#at[level];
      this.#words[at] = this.#copied[at] = Number(values[level] & 0xffff_ffffn);
      if (wide) this.#words[at + 1] = this.#copied[at + 1] = Number(values[level] >> 32n);
    }
    const { pair } = this;
    const expected = pair.expected(cpu, LINEAR, access);
    let agrees = pair.agrees(expected, LINEAR, access);
    for (let level = this.leaf; level <= this.top; level++) {
      const at = this.#at[level];
      agrees &&= this.#words[at] === this.#copied[at];
      agrees &&= !wide || this.#words[at + 1] === this.#copied[at + 1];
    }
    if (agrees) return;
    const where = `entries ${values.map((value) => value.toString(16))}, ` +
      `pkru ${pair.walker.pkru}, ${JSON.stringify(access)}, ${describeRole(role)}`;
    assertEquals(describeWalk(pair.walker, LINEAR), describeAnswer(expected), where);
    throw new Error(`Accessed and dirty flags differ: ${where}: ${pair.difference()}`);
  }
}

/** Compares every access, with the flags of each of `levels` in turn; returns how many comparisons. */
function compare(mode: PagingMode, leaf: number, levels: readonly number[]): number {
  const mapping = new Mapping(mode, leaf);
  const { walker } = mapping.pair;
  const long = mode === PagingMode.LEVEL4 || mode === PagingMode.LEVEL5;
  if (long) mapping.values[leaf] |= BigInt(KEY) << 59n;
  const flags = [P, W, U];
  if (mode !== PagingMode.BITS32) flags.push(NX, 1n << 45n);
  else if (leaf === 2) flags.push(1n << 21n);

  let compared = 0;
  for (const on of switches("wp", "smep", "smap", "nxe", "pke")) {
    const role = roleOf({ mode, ...on });
    walker.setRole(role);
    if (mode === PagingMode.PAE) assert(walker.loadPdptrs(mapping.builder.root));
    for (const rights of role.pke ? [0, 1, 2, 3] : [3]) {
      walker.pkru = rights << KEY * 2;
      const registers = {
        cr3: BigInt(mapping.builder.root),
        pkru: walker.pkru,
        pdpte: mapping.pdptes,
      };
      const cpu = referenceCpu(role, registers);
      for (const level of levels) {
        for (const set of subsets(flags)) {
          for (const preset of [0n, A | D]) {
            const values = mapping.values.map((value, at) =>
              (at === level ? value & ~(P | W | U) | set : value) | preset
            );
            for (const access of ACCESSES) mapping.check(cpu, role, values, access);
            compared += ACCESSES.length;
          }
        }
      }
    }
  }
  return compared;
}

/** Name, mode, level of the leaf, levels whose flags vary, comparisons expected. */
const MATRIX: readonly [string, PagingMode, number, readonly number[], number][] = [
  ["32-bit paging, 4 KiB page", PagingMode.BITS32, 1, [1, 2], 15_360],
  ["32-bit paging, 4 MiB page", PagingMode.BITS32, 2, [2], 15_360],
  ["PAE paging, 4 KiB page", PagingMode.PAE, 1, [1, 2], 61_440],
  ["PAE paging, 2 MiB page", PagingMode.PAE, 2, [2], 30_720],
  ["4-level paging, 4 KiB page", PagingMode.LEVEL4, 1, [1, 2, 3, 4], 307_200],
  ["4-level paging, 2 MiB page", PagingMode.LEVEL4, 2, [2, 3, 4], 230_400],
  ["4-level paging, 1 GiB page", PagingMode.LEVEL4, 3, [3, 4], 153_600],
  ["5-level paging, 4 KiB page", PagingMode.LEVEL5, 1, [5, 1], 153_600],
  ["5-level paging, 2 MiB page", PagingMode.LEVEL5, 2, [5], 76_800],
  ["5-level paging, 1 GiB page", PagingMode.LEVEL5, 3, [5], 76_800],
];

for (const [name, mode, leaf, levels, expected] of MATRIX) {
  Deno.test(`the permission matrix of ${name} is the reference's`, () => {
    assertEquals(compare(mode, leaf, levels), expected);
  });
}

Deno.test("the matrix of guest EPT, rights by memory type by level, is the reference's", () => {
  const others = [0n, EPT_A, EPT_A | EPT_D, 1n << 7n, 1n << 45n, 1n << 12n, 1n << 29n];
  for (const mode of [PagingMode.EPT4, PagingMode.EPT5]) {
    for (const leaf of [1, 2, 3]) {
      const mapping = new Mapping(mode, leaf);
      for (const on of switches("eptAccessedDirty", "eptExecuteOnly", "gbPages")) {
        const role = roleOf({ mode, ...on });
        mapping.pair.walker.setRole(role);
        const ept = referenceEpt(role, BigInt(mapping.builder.root));
        for (let level = leaf; level <= mapping.top; level++) {
          for (let low = 0n; low < 64n; low++) {
            for (const other of others) {
              const values = [...mapping.values];
              values[level] = values[level] & ~0x3fn | low | other;
              for (const kind of ["read", "write", "fetch"] as const) {
                const access = { kind, cpl: 0, implicit: false, ac: false };
                mapping.check(ept, role, values, access);
              }
            }
          }
        }
      }
    }
  }
});
