/**
 * What goes where in guest RAM. A loader first plans: every range is claimed, and a claim outside
 * RAM or over another one is an error. Only a plan without errors is carried out, so that a bad
 * image leaves guest memory as it was.
 */

import { alignDown, alignUp, gpa, hex } from "../base/u64.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { Address } from "../platform/layout.ts";
import type { NamedBytes } from "./boot.ts";
import { imageError } from "./image.ts";
import { type MapEntry, MapType } from "./memory_map.ts";

/** Where a range may go: [from, to), its start a multiple of `align` bytes. */
export interface Window {
  readonly from: number;
  readonly to: number;
  readonly align: number;
}

/**
 * Boot structures go into conventional memory, above the first 64 KiB: operating systems put their
 * real-mode trampolines below while they still read what the loader left.
 */
const LOW_FROM = 0x1_0000;
const LOW_TO = Address.EBDA;

interface Claim {
  readonly what: string;
  readonly start: number;
  readonly end: number;
}

/** The plan of one load. */
export class LoadPlan {
  /** The map that the guest gets. */
  readonly map: readonly MapEntry[];
  readonly #memory: GuestMemory;
  readonly #kernel: NamedBytes;
  readonly #claims: Claim[] = [];
  readonly #writes: { address: number; bytes: Uint8Array }[] = [];
  /** What RAM is not claimed, in ascending order. */
  #free: { start: number; end: number }[];

  constructor(memory: GuestMemory, map: readonly MapEntry[], kernel: NamedBytes) {
    this.map = map;
    this.#memory = memory;
    this.#kernel = kernel;
    this.#free = this.#ram();
  }

  /**
   * Takes [start, start + sizeBytes) for `what`.
   * @throws DenovisorError `image` when that is not RAM or is taken.
   */
  claim(what: string, start: number, sizeBytes: number, file: NamedBytes = this.#kernel): void {
    if (sizeBytes === 0) return;
    const end = start + sizeBytes;
    const at = this.#free.findIndex((range) => range.start <= start && end <= range.end);
    if (at < 0) throw this.#whyNot(what, start, sizeBytes, file);
    const range = this.#free[at];
    const rest = [{ start: range.start, end: start }, { start: end, end: range.end }];
    this.#free.splice(at, 1, ...rest.filter((part) => part.start < part.end));
    this.#claims.push({ what, start, end });
  }

  /** The lowest free address for `sizeBytes` in `window`. */
  lowest(sizeBytes: number, window: Window): number | undefined {
    for (const range of this.#free) {
      const start = alignUp(Math.max(range.start, window.from), window.align);
      if (start + sizeBytes <= Math.min(range.end, window.to)) return start;
    }
    return undefined;
  }

  /** The highest free address for `sizeBytes` in `window`. */
  highest(sizeBytes: number, window: Window): number | undefined {
    for (const range of this.#free.toReversed()) {
      const latest = Math.min(range.end, window.to) - sizeBytes;
      if (latest < 0) continue;
      const start = alignDown(latest, window.align);
      if (start >= Math.max(range.start, window.from)) return start;
    }
    return undefined;
  }

  /** Claims room for a boot structure in conventional memory; returns its address. */
  placeLow(what: string, sizeBytes: number, align: number): number {
    const start = this.lowest(sizeBytes, { from: LOW_FROM, to: LOW_TO, align });
    if (start === undefined) {
      throw imageError(
        this.#kernel,
        `no room for ${what}: ${sizeBytes} bytes needed, ` +
          `expected them free between ${hex(LOW_FROM)} and ${hex(LOW_TO)}`,
        { sizeBytes },
      );
    }
    this.claim(what, start, sizeBytes);
    return start;
  }

  /** Claims room for `bytes` in conventional memory and has them written there. */
  putLow(what: string, bytes: Uint8Array, align: number): number {
    const start = this.placeLow(what, bytes.length, align);
    this.write(start, bytes);
    return start;
  }

  /** Has `bytes` written to `address`, which is claimed. */
  write(address: number, bytes: Uint8Array): void {
    this.#writes.push({ address, bytes });
  }

  /** Carries the plan out. */
  commit(): void {
    for (const { address, bytes } of this.#writes) this.#memory.write(gpa(address), bytes);
  }

  /** Bytes of the longest free run in [from, to): for messages. */
  longestFree(from: number, to: number): number {
    return this.#free.reduce(
      (longest, range) => Math.max(longest, Math.min(range.end, to) - Math.max(range.start, from)),
      0,
    );
  }

  /** Where the last claim below `limit` ends; 0 without one. */
  claimedEnd(limit: number): number {
    return this.#claims.reduce(
      (end, claim) => claim.end <= limit ? Math.max(end, claim.end) : end,
      0,
    );
  }

  #ram(): { start: number; end: number }[] {
    return this.map.filter((entry) => entry.type === MapType.RAM).map((entry) => ({
      start: entry.start,
      end: entry.start + entry.sizeBytes,
    }));
  }

  #whyNot(what: string, start: number, sizeBytes: number, file: NamedBytes): Error {
    const end = start + sizeBytes;
    const details = { start, sizeBytes };
    const needs = `${what} needs ${sizeBytes} bytes at ${hex(start)}`;
    const other = this.#claims.find((claim) => claim.start < end && start < claim.end);
    if (other !== undefined) {
      const taken = `${hex(other.start)} to ${hex(other.end)}`;
      return imageError(file, `${needs}, but ${other.what} has ${taken}`, details);
    }
    const ram = this.#ram().find((range) => range.start <= start && start < range.end);
    const found = ram === undefined ? "there is no RAM there" : `RAM there ends at ${hex(ram.end)}`;
    return imageError(file, `${needs}, ${found}`, details);
  }
}
