/**
 * A file that is being loaded, read with bounds: whatever lies outside of it is one clear error.
 */

import { DenovisorError, type ErrorDetails } from "../base/errors.ts";
import { hex, join32 } from "../base/u64.ts";
import type { NamedBytes } from "./boot.ts";

/** The error of every loader: one line that begins with the file it is about. */
export function imageError(
  file: { readonly name: string },
  problem: string,
  details: ErrorDetails = {},
  action = "load",
): DenovisorError {
  const message = `Cannot ${action} ${file.name}: ${problem}`;
  return new DenovisorError("image", message, { file: file.name, ...details });
}

/** Little-endian reads from a file. `what` names the field for the error when it is cut off. */
export class Image {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly #view: DataView;
  readonly #action: string;

  /** `action` is what is being done with the file, for errors. */
  constructor(file: NamedBytes, action = "load") {
    this.#action = action;
    this.name = file.name;
    this.bytes = file.bytes;
    this.sizeBytes = file.bytes.length;
    this.#view = new DataView(file.bytes.buffer, file.bytes.byteOffset, file.bytes.length);
  }

  u8(offset: number, what: string): number {
    this.#check(offset, 1, what);
    return this.#view.getUint8(offset);
  }
  u16(offset: number, what: string): number {
    this.#check(offset, 2, what);
    return this.#view.getUint16(offset, true);
  }
  u32(offset: number, what: string): number {
    this.#check(offset, 4, what);
    return this.#view.getUint32(offset, true);
  }
  /** 64 bits as a number: exact below 2^53, and from there on still above every limit. */
  u64(offset: number, what: string): number {
    this.#check(offset, 8, what);
    return join32(this.#view.getUint32(offset, true), this.#view.getUint32(offset + 4, true));
  }

  /** `sizeBytes` of the file from `offset` on, not copied. */
  slice(offset: number, sizeBytes: number, what: string): Uint8Array {
    this.#check(offset, sizeBytes, what);
    return this.bytes.subarray(offset, offset + sizeBytes);
  }

  /** True when the file has `magic` at `offset`. */
  startsWith(magic: ArrayLike<number>, offset = 0): boolean {
    if (offset + magic.length > this.sizeBytes) return false;
    for (let i = 0; i < magic.length; i++) {
      if (this.bytes[offset + i] !== magic[i]) return false;
    }
    return true;
  }

  /** An error about this file. */
  error(problem: string, details: ErrorDetails = {}): DenovisorError {
    return imageError(this, problem, details, this.#action);
  }

  #check(offset: number, sizeBytes: number, what: string): void {
    if (offset + sizeBytes > this.sizeBytes) {
      throw this.error(
        `it is truncated: ${what} needs ${sizeBytes} bytes at offset ${hex(offset)}, ` +
          `the file has ${this.sizeBytes} bytes`,
        { offset, sizeBytes, fileBytes: this.sizeBytes },
      );
    }
  }
}

/** Text from a file as it may be shown on a terminal: printable ASCII up to the first other byte. */
export function printable(bytes: Uint8Array, limit: number): string {
  let text = "";
  for (let i = 0; i < bytes.length && i < limit; i++) {
    if (bytes[i] < 0x20 || bytes[i] > 0x7e) break;
    text += String.fromCharCode(bytes[i]);
  }
  return text;
}

/** A zero-terminated copy of `text` in UTF-8. */
export function zeroTerminated(text: string): Uint8Array {
  return new TextEncoder().encode(text + "\0");
}
