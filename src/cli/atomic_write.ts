/** Writing files so that a reader sees the old contents or the new, never a part. */

import { DenovisorError } from "../base/errors.ts";

/**
 * Writes `bytes` to `path` by way of a temporary file beside it, which is renamed: readers, a
 * concurrent writer and an interruption all leave one whole file.
 * @throws DenovisorError `file`
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.part`;
  try {
    await Deno.writeFile(temporary, bytes, { createNew: true, mode: 0o644 });
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {}); // it may never have been made
    throw new DenovisorError("file", `Cannot write ${path}: ${reason(cause)}`, { path }, cause);
  }
}

/** What the operating system said, without Deno's repetition of the call and the path. */
export function reason(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return /^(.*?\(os error \d+\))/.exec(text)?.[1] ?? text;
}
