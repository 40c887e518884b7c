/** Random page tables: frames full of entries that mostly lead to one another. */

import { type Gfn, gpaOf } from "../../../../src/base/u64.ts";
import type { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { type CpuRole, PagingMode } from "../../../../src/mmu/role.ts";
import { isEpt, roleOf } from "../../../support/guest_tables.ts";
import type { Random } from "../../../support/random.ts";

/** A role of `mode` with everything else at random. */
export function randomRole(random: Random, mode: PagingMode): CpuRole {
  const bit = () => random.oneIn(2);
  return roleOf({
    mode,
    wp: bit(),
    smep: bit(),
    smap: bit(),
    pke: bit(),
    pse: bit(),
    pge: bit(),
    nxe: bit(),
    gbPages: bit(),
    amd: bit(),
    eptAccessedDirty: bit(),
    eptExecuteOnly: bit(),
    maxPhyAddrBits: random.pick([36, 39, 40, 46, 52]),
  });
}

/** Which frames a table may name: RAM from 0 on, other frames now and then. */
function randomFrame(random: Random, frames: number, strayIn: number): bigint {
  if (!random.oneIn(strayIn)) return BigInt(random.below(frames)) << 12n;
  return random.u64() & 0xf_ffff_ffff_f000n >> BigInt(random.pick([0, 6, 12, 16]));
}

/** An entry of `mode`; bit 7 may make it a large page at any level that has them. */
export function randomEntry(random: Random, mode: PagingMode, frames: number): bigint {
  const often = (bit: number, oneIn: number) => random.oneIn(oneIn) ? 0n : 1n << BigInt(bit);
  const seldom = (bit: number, oneIn: number) => random.oneIn(oneIn) ? 1n << BigInt(bit) : 0n;
  let entry = randomFrame(random, frames, 40);
  if (isEpt(mode)) {
    entry |= often(0, 30) | often(1, 8) | often(2, 8) | seldom(7, 8) | seldom(8, 2) | seldom(9, 2);
    if (random.oneIn(40)) entry |= BigInt(random.below(8)) << 3n;
  } else {
    entry |= often(0, 30) | often(1, 8) | often(2, 8) | seldom(5, 2) | seldom(6, 2) | seldom(7, 8);
    entry |= seldom(8, 20) | seldom(63, 12);
    if (mode !== PagingMode.PAE) entry |= BigInt(random.below(16)) << 59n;
  }
  // A large page without an offset in its frame number, so that not all of them are reserved.
  if ((entry & 0x80n) !== 0n && random.oneIn(2)) entry &= ~0x3fff_f000n;
  if (random.oneIn(60)) entry ^= 1n << BigInt(random.below(64));
  return mode === PagingMode.BITS32 ? entry & 0xffff_ffffn : entry;
}

/** Fills `frames` frames from gfn 0 on with entries, of which a whole image has 64 different ones. */
export function fillTables(
  random: Random,
  memory: GuestMemory,
  mode: PagingMode,
  frames: number,
): void {
  const entries = Array.from({ length: 64 }, () => randomEntry(random, mode, frames));
  for (let gfn = 0; gfn < frames; gfn++) {
    const base = gpaOf(gfn as Gfn);
    for (let offset = 0; offset < 4096; offset += 8) {
      const at = base + offset as typeof base;
      if (mode !== PagingMode.BITS32) memory.writeU64(at, random.pick(entries));
      else memory.writeU64(at, random.pick(entries) | random.pick(entries) << 32n);
    }
  }
}

/** Fills the table of PDPTEs that the 4 frames hold at `address`; reserved bits are rare. */
export function fillPdptes(
  random: Random,
  memory: GuestMemory,
  address: number,
  frames: number,
): void {
  for (let i = 0; i < 4; i++) {
    let pdpte = BigInt(random.below(frames)) << 12n | (random.oneIn(10) ? 0n : 1n);
    if (random.oneIn(30)) pdpte |= 1n << BigInt(random.below(64));
    memory.writeU64(address + i * 8 as never, pdpte);
  }
}

/** A canonical address of the mode. */
export function randomLinear(random: Random, mode: PagingMode): bigint {
  const address = random.u64();
  switch (mode) {
    case PagingMode.LEVEL4:
      return BigInt.asUintN(64, BigInt.asIntN(48, address));
    case PagingMode.LEVEL5:
      return BigInt.asUintN(64, BigInt.asIntN(57, address));
    case PagingMode.EPT4:
      return address & (random.oneIn(50) ? 0xf_ffff_ffff_ffffn : 0xffff_ffff_ffffn);
    case PagingMode.EPT5:
      return address & 0xf_ffff_ffff_ffffn;
    default:
      return address & 0xffff_ffffn;
  }
}
