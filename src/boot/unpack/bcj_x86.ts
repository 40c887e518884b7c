/**
 * The x86 branch filter of xz (xz-file-format.txt §5.3.2), undone. Before compressing, the filter
 * replaces the relative target of CALL (e8) and JMP (e9) by an absolute one, which repeats more
 * often. It has no way of telling instructions from other bytes that look like them, so both
 * directions follow the same rules on what to take for a branch.
 */

/** Opcode, 4 bytes of target. */
const BRANCH_BYTES = 5;

/** Turns absolute branch targets in `code`, which starts at address 0, back into relative ones. */
export function undoX86Filter(code: Uint8Array): void {
  /**
   * Opcode bytes among the last three that were not taken for a branch: bit n stands for the byte
   * n + 1 before this one. Their targets would overlap this one's.
   */
  let skipped = 0;
  let previous = -BRANCH_BYTES;
  for (let at = 0; at + BRANCH_BYTES <= code.length; at++) {
    if ((code[at] & 0xfe) !== 0xe8) continue;
    const distance = at - previous;
    skipped = distance > 3 ? 0 : skipped << (distance - 1) & 7;
    previous = at;
    // With one such byte before, the byte that is both its target's highest and in this target
    // decides; with several, this is no branch.
    const highest = 3 - overlap(skipped);
    const refused = skipped !== 0 && (!oneBit(skipped) || isSignByte(code[at + 1 + highest]));
    if (refused || !isSignByte(code[at + 4])) {
      skipped = skipped << 1 | 1;
      continue;
    }
    writeTarget(code, at + 1, relative(readTarget(code, at + 1), at + BRANCH_BYTES, skipped));
    at += BRANCH_BYTES - 1;
  }
}

/** The relative target for an absolute one. */
function relative(absolute: number, end: number, skipped: number): number {
  let target = absolute;
  for (;;) {
    const result = target - end | 0;
    if (skipped === 0) return result;
    // The filter went on as long as its result had a sign byte where the earlier opcode's target
    // has its own, so that undoing it meets the same bytes.
    const bits = overlap(skipped) * 8;
    if (!isSignByte(result >>> (24 - bits) & 255)) return result;
    target = result ^ (2 ** (32 - bits) - 1);
  }
}

/** How many bytes of this target the opcode in `skipped` has in its own, less one. */
function overlap(skipped: number): number {
  if (skipped > 3) return 3;
  return skipped > 1 ? 2 : skipped;
}

function oneBit(bits: number): boolean {
  return (bits & (bits - 1)) === 0;
}

/** Only targets within 16 MiB are converted: their highest byte is all zeros or all ones. */
function isSignByte(byte: number): boolean {
  return byte === 0 || byte === 255;
}

function readTarget(code: Uint8Array, at: number): number {
  return code[at] | code[at + 1] << 8 | code[at + 2] << 16 | code[at + 3] << 24;
}

/** Stores 25 bits, the highest of them as the sign of the others. */
function writeTarget(code: Uint8Array, at: number, target: number): void {
  code[at] = target;
  code[at + 1] = target >>> 8;
  code[at + 2] = target >>> 16;
  code[at + 3] = (target & 0x100_0000) === 0 ? 0 : 255;
}
