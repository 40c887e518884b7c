/**
 * What guest memory starts as: zeros, or the bytes of a file, which are read when they are needed.
 */

import { DenovisorError } from "../base/errors.ts";
import { alignUp, PAGE_SIZE } from "../base/u64.ts";

/** A file behind part of guest memory. Survives structured cloning. */
export interface FileBackingConfig {
  /** Where its first byte lies in the WebAssembly.Memory; a multiple of 4096. */
  readonly offset: number;
  readonly path: string;
  /** Length of the file in bytes, when the guest was built. */
  readonly fileBytes: number;
  /** The file itself is the memory, for this guest and for whoever else maps it. Default false. */
  readonly shared?: boolean;
}

/** Bytes of guest memory that a file takes: whole pages, with zeros after its end. */
export function backedBytes(file: FileBackingConfig): number {
  return alignUp(file.fileBytes, PAGE_SIZE);
}

/**
 * Length of the file at `path` in bytes.
 * @throws DenovisorError `file` when it is no regular file, is empty or cannot be looked at.
 */
export async function backingFileBytes(path: string): Promise<number> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw unusable(path, text(error), error);
  }
  if (!info.isFile) throw unusable(path, "expected a regular file");
  if (info.size === 0) throw unusable(path, "it is empty, expected at least one byte");
  return info.size;
}

/** An open file behind part of guest memory. It stays readable when its name goes away. */
export class FileBacking implements Disposable {
  readonly config: FileBackingConfig;
  readonly #file: Deno.FsFile;

  /** @throws DenovisorError `file` */
  constructor(config: FileBackingConfig) {
    this.config = config;
    try {
      this.#file = Deno.openSync(config.path);
    } catch (error) {
      throw unusable(config.path, text(error), error);
    }
  }

  /**
   * Fills `into` with the bytes from `offset` of the file on, and with zeros after the end that the
   * file had when the guest was built.
   * @returns why that cannot be done, in one clause, or undefined.
   */
  read(offset: number, into: Uint8Array): string | undefined {
    const wanted = Math.min(Math.max(this.config.fileBytes - offset, 0), into.length);
    let done = 0;
    try {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
      while (done < wanted) {
        const more = this.#readSome(into.subarray(done, wanted));
        if (more === null) return this.#endsEarly();
        done += more;
      }
    } catch (error) {
      return text(error);
    }
    into.fill(0, wanted);
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  #endsEarly(): string {
    const { size } = this.#file.statSync();
    return `it has ${size} bytes now, expected ${this.config.fileBytes} as at the start`;
  }

  #readSome(into: Uint8Array): number | null {
    for (;;) {
      try {
        return this.#file.readSync(into);
      } catch (error) {
        if (!(error instanceof Deno.errors.Interrupted)) throw error; // a signal came: again
      }
    }
  }
}

function unusable(path: string, reason: string, cause?: unknown): DenovisorError {
  const message = `Cannot use ${path} as guest memory: ${reason}`;
  return new DenovisorError("file", message, { path }, cause);
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
