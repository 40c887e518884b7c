/** What the guest's memory has before each case: handlers, descriptor tables, TSSs, page tables. */

import { gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { descriptor, FLAT, gate, type Words } from "./descriptors.ts";
import {
  At,
  HANDLER_BYTES,
  LANDING_CODE,
  LDT_LIMIT,
  RAM_BYTES,
  Selector,
  TABLES_BYTES,
} from "./layout.ts";

/** Page tables, one for each form of paging; PAE's and IA-32e mode's lower levels are the same. */
export const Table = {
  PML4: At.TABLES,
  PDPT: At.TABLES + 0x1000,
  PD: At.TABLES + 0x2000,
  PT: At.TABLES + 0x3000,
  PAE_PDPT: At.TABLES + 0x4000,
  LEGACY_PD: At.TABLES + 0x5000,
  LEGACY_PT: At.TABLES + 0x6000,
} as const;

/** Page-table entry bits: present, writable, user, accessed, dirty. */
const P = 1, W = 2, U = 4, AD = 0x60;
const VECTORS = 256;

/** Offsets in TSSs (SDM 3A §7.2.1, §7.7). */
export const Tss = { STACKS: 4, CR3: 28, EIP: 32, IST1: 36, EFLAGS: 36, ESP: 56, ES: 72 } as const;
/** Limit of a TSS, which has no I/O permission bitmap. */
export const TSS_LIMIT = 0x67;

/** Memory with all that does not change: landing places and page tables. */
export function buildMemory(): GuestMemory {
  const landing = { gpa: gpa(At.LANDING), sizeBytes: At.TABLES - At.LANDING, readOnly: true };
  const tables = { gpa: gpa(At.TABLES), sizeBytes: TABLES_BYTES, readOnly: true };
  const memory = GuestMemory.allocate(RAM_BYTES, 0, [landing, tables]);
  memory.write(landing.gpa, landingCode(landing.sizeBytes));
  buildTables(memory);
  return memory;
}

function landingCode(bytes: number): Uint8Array {
  const code = new Uint8Array(bytes);
  code.set(LANDING_CODE);
  for (let done = LANDING_CODE.length; done < bytes; done *= 2) code.copyWithin(done, 0, done);
  return code;
}

function buildTables(memory: GuestMemory): void {
  const entry = (table: number, index: number, value: number) =>
    memory.writeU64(gpa(table + index * 8), value);
  const table = P | W | U | AD;
  entry(Table.PML4, 0, Table.PDPT | table);
  entry(Table.PDPT, 0, Table.PD | table);
  entry(Table.PD, 0, Table.PT | table);
  entry(Table.PAE_PDPT, 0, Table.PD | P);
  memory.writeU32(gpa(Table.LEGACY_PD), Table.LEGACY_PT | table);
  for (let at = 0; at < At.TABLES; at += PAGE_SIZE) {
    if (at === At.ABSENT) continue;
    const user = at === At.SUPERVISOR ? 0 : U;
    const flags = P | AD | user | (at === At.READ_ONLY ? 0 : W);
    entry(Table.PT, at / PAGE_SIZE, at | flags);
    memory.writeU32(gpa(Table.LEGACY_PT + at / PAGE_SIZE * 4), at | flags);
  }
}

/** RAM, for legacy or for IA-32e mode. */
export function buildImage(long: boolean): Uint8Array {
  const bytes = landingCode(RAM_BYTES);
  const image = new Image(bytes, long);
  image.build();
  return bytes;
}

class Image {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #long: boolean;

  constructor(bytes: Uint8Array, long: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#long = long;
  }

  build(): void {
    for (const from of [At.GDT, At.TSS]) this.#bytes.fill(0, from, from + PAGE_SIZE);
    for (const [selector, words] of FLAT) this.#put(At.GDT + selector, words);
    this.#put(At.GDT, { lo: 0, hi: 0 });
    this.#put(At.GDT + Selector.TSS, descriptor(0x8b, 0, At.TSS, TSS_LIMIT));
    this.#put(At.GDT + Selector.LDT, descriptor(0x82, 0, At.LDT, LDT_LIMIT));
    for (let vector = 0; vector < VECTORS; vector++) this.#vector(vector);
    for (const at of [At.TSS, At.TSS_OTHER]) {
      if (this.#long) this.#tss64(at);
      else this.#tss32(at);
    }
  }

  #put(at: number, { lo, hi }: Words): void {
    this.#view.setInt32(at, lo, true);
    this.#view.setInt32(at + 4, hi, true);
  }

  /** Real mode's vector and a gate to the same handler; from 32 on the gates are of many kinds. */
  #vector(vector: number): void {
    const handler = At.HANDLERS + vector * HANDLER_BYTES;
    this.#view.setUint32(At.IVT + vector * 4, handler, true);
    const code = this.#long ? Selector.CODE64 : Selector.CODE32;
    const fixed = vector < 32;
    const access = fixed ? (vector === 3 || vector === 4 ? 0xee : 0x8e) : GATES[vector % 16];
    const selector = fixed ? code : [...new Array(8).fill(code), ...TARGETS][vector % 19];
    const ist = this.#long && !fixed ? [0, 0, 0, 1, 2][vector % 5] : 0;
    const size = this.#long ? 16 : 8;
    this.#put(At.IDT + vector * size, gate(access, selector, handler, ist));
    if (this.#long) this.#put(At.IDT + vector * size + 8, { lo: 0, hi: 0 });
  }

  #tss64(at: number): void {
    const set = (offset: number, value: number) =>
      this.#view.setBigUint64(at + offset, BigInt(value), true);
    [At.STACK0, At.STACK1, At.STACK2].forEach((stack, i) => set(Tss.STACKS + 8 * i, stack));
    set(Tss.IST1, At.IST);
    this.#view.setUint16(at + 0x66, TSS_LIMIT + 1, true);
  }

  /** A task that starts at a landing place, too. */
  #tss32(at: number): void {
    const set = (offset: number, value: number) => this.#view.setUint32(at + offset, value, true);
    const { DATA32, CODE32, FREE } = Selector;
    const stacks = [[At.STACK0, DATA32], [At.STACK1, FREE | 1], [At.STACK2, FREE + 16 | 2]];
    stacks.forEach(([esp, ss], i) => {
      set(Tss.STACKS + 8 * i, esp);
      set(Tss.STACKS + 8 * i + 4, ss);
    });
    set(Tss.EIP, At.LANDING);
    set(Tss.EFLAGS, 2);
    set(Tss.ESP, At.STACK);
    [DATA32, CODE32, DATA32, DATA32, 0, 0].forEach((selector, i) => set(Tss.ES + 4 * i, selector));
    this.#view.setUint16(at + 0x66, TSS_LIMIT + 1, true);
  }
}

/** Gates by vector: levels, traps, absent ones, 16-bit ones, and what is no gate for events. */
const GATES: readonly number[] = [
  ...[0x8e, 0xee, 0x8f, 0xef, 0x6e, 0xe6, 0x86, 0xec],
  ...[0xae, 0xee, 0xcf, 0x0e, 0xe7, 0xe2, 0xee, 0x9e],
];
/** Code segments that gates name beside the usual one. */
const TARGETS: readonly number[] = [
  ...[Selector.CODE16, Selector.CODE64, Selector.USER_CODE32, Selector.DATA32, 3],
  ...[Selector.FREE, Selector.FREE + 0x20, Selector.FREE + 0x30, Selector.END, Selector.CODE32 | 3],
  Selector.USER_CODE64,
];
