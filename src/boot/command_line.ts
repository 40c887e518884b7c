/**
 * A kernel command line as bytes, checked.
 */

import type { NamedBytes } from "./boot.ts";
import { imageError, zeroTerminated } from "./image.ts";

/**
 * `text` in UTF-8 with its terminating zero.
 * @throws DenovisorError `image` when it is longer than `limit` bytes or has a zero in it.
 */
export function commandLineBytes(kernel: NamedBytes, text: string, limit: number): Uint8Array {
  const bytes = zeroTerminated(text);
  const length = bytes.length - 1;
  if (length > limit) {
    throw imageError(
      kernel,
      `the command line has ${length} bytes, the kernel takes at most ${limit}`,
      { length, limit },
    );
  }
  if (bytes.indexOf(0) !== length) {
    throw imageError(kernel, "the command line has a zero byte in it, expected text");
  }
  return bytes;
}
