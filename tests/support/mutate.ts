/** Malformed images for fuzz tests: valid ones, damaged in ways that loaders have to notice. */

import type { Random } from "./random.ts";

/** Values at which bounds go wrong. */
const EDGES: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  0x7fn,
  0x80n,
  0xffn,
  0x1000n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x9_fc00n,
  0x10_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_f000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x20_0000_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0xffff_ffff_ffff_ffffn,
];

/** A damaged copy of `image`; `others` give parts to splice in. */
export function damaged(
  random: Random,
  image: Uint8Array,
  others: readonly Uint8Array[],
): Uint8Array {
  let bytes = image.slice();
  for (let left = 1 + random.below(6); left > 0; left--) bytes = damageOnce(random, bytes, others);
  return bytes;
}

function damageOnce(
  random: Random,
  bytes: Uint8Array<ArrayBuffer>,
  others: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return bytes;
  switch (random.below(10)) {
    case 0:
      return bytes.slice(0, random.below(bytes.length + 1));
    case 1: {
      const longer = new Uint8Array(bytes.length + random.below(4096));
      longer.set(bytes);
      return longer;
    }
    case 2: {
      const other = random.pick(others);
      const from = random.below(other.length);
      const part = other.subarray(from, from + random.below(256));
      const at = random.below(bytes.length);
      bytes.set(part.subarray(0, bytes.length - at), at);
      return bytes;
    }
    case 3:
      bytes[place(random, bytes)] = random.u32();
      return bytes;
    case 4:
      // An existing field, one off.
      bytes[place(random, bytes)] += random.oneIn(2) ? 1 : 255;
      return bytes;
    default:
      return withEdge(random, bytes);
  }
}

/** Overwrites a field of 1, 2, 4 or 8 bytes with a value at an edge. */
function withEdge(random: Random, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const size = random.pick([1, 2, 4, 8]);
  const at = place(random, bytes);
  const edge = random.oneIn(6) ? BigInt(bytes.length) : random.pick(EDGES);
  let value = BigInt.asUintN(64, edge + BigInt(random.below(3) - 1));
  for (let i = 0; i < size && at + i < bytes.length; i++, value >>= 8n) {
    bytes[at + i] = Number(value & 0xffn);
  }
  return bytes;
}

/** Where: mostly in headers, mostly on a boundary of 4. */
function place(random: Random, bytes: Uint8Array): number {
  const headers = random.pick([64, 256, 0x270, bytes.length]);
  const at = random.below(Math.min(headers, bytes.length));
  return random.oneIn(4) ? at : at - at % 4;
}
