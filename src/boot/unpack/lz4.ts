/**
 * LZ4 in its legacy frame, the only one that Linux uses (lz4_Frame_format.md, "Legacy frame";
 * lz4_Block_format.md). The format is a few rules, fewer than a library would bring.
 */

const HEADER_BYTES = 4;
/** What one block unpacks to at most. */
const BLOCK_BYTES = 8 * 1024 * 1024;
/** A match is never shorter. */
const MIN_MATCH = 4;
/** A length in a token's nibble that goes on in the bytes that follow. */
const LONG = 15;

export function unlz4(packed: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  return Promise.try(() => unpackFrame(packed, sizeBytes));
}

function unpackFrame(packed: Uint8Array, sizeBytes: number): Uint8Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const out = new Uint8Array(sizeBytes);
  let length = 0;
  for (let at = HEADER_BYTES; at < packed.length;) {
    if (at + 4 > packed.length) throw new Error(`it ends at byte ${at} inside a block size`);
    const blockBytes = view.getUint32(at, true);
    at += 4;
    if (blockBytes > packed.length - at) {
      throw new Error(`a block of ${blockBytes} bytes at byte ${at}, ${packed.length - at} follow`);
    }
    const room = out.subarray(length, length + BLOCK_BYTES);
    length += unpackBlock(packed.subarray(at, at + blockBytes), room);
    at += blockBytes;
  }
  if (length !== sizeBytes) throw new Error(`it unpacks to ${length} bytes and names ${sizeBytes}`);
  return out;
}

/** Unpacks sequences of literals and a match each; returns how many bytes they gave. */
function unpackBlock(block: Uint8Array, out: Uint8Array): number {
  let from = 0;
  let to = 0;
  while (from < block.length) {
    const token = block[from++];
    let literals = token >> 4;
    if (literals === LONG) {
      const more = longLength(block, from);
      literals += more;
      from += longLengthBytes(more);
    }
    if (literals > block.length - from || literals > out.length - to) throw tooLong("literals", to);
    out.set(block.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    // The last sequence of a block has no match.
    if (from >= block.length) break;
    if (from + 2 > block.length) throw new Error("a block ends inside a match offset");
    const distance = block[from] + block[from + 1] * 256;
    from += 2;
    let length = (token & 15) + MIN_MATCH;
    if (length === LONG + MIN_MATCH) {
      const more = longLength(block, from);
      length += more;
      from += longLengthBytes(more);
    }
    if (distance === 0 || distance > to) {
      throw new Error(`a match ${distance} bytes back, ${to} bytes into a block`);
    }
    if (length > out.length - to) throw tooLong("a match", to);
    copyMatch(out, to, distance, length);
    to += length;
  }
  return to;
}

/** What the bytes from `at` on add to a length of 15: their sum, up to the first one below 255. */
function longLength(block: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = at; i < block.length; i++) {
    sum += block[i];
    if (block[i] < 255) break;
  }
  return sum;
}

/** How many bytes gave that sum. */
function longLengthBytes(sum: number): number {
  return Math.floor(sum / 255) + 1;
}

/** Repeats the last `distance` bytes before `to` for `length` bytes: the two may overlap. */
function copyMatch(out: Uint8Array, to: number, distance: number, length: number): void {
  if (distance >= length && length > 32) {
    out.copyWithin(to, to - distance, to - distance + length);
    return;
  }
  for (let i = 0; i < length; i++) out[to + i] = out[to - distance + i];
}

function tooLong(what: string, at: number): Error {
  return new Error(`${what} run over the end, ${at} bytes into a block`);
}
