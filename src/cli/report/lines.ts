/** Reading text files line by line in bounded memory. */

import { DenovisorError } from "../../base/errors.ts";
import { reason } from "../atomic_write.ts";

const CHUNK_BYTES = 1024 * 1024;
/** The longest line, in characters: far more than any event takes. */
const MAX_LINE_CHARACTERS = 64 * 1024;

/**
 * Gives `take` each line of the trace at `path`, without its end, and its number, from 1 on.
 * @param takeRest Gets what follows the last line end, if anything: a line that was cut off, or not.
 * @throws DenovisorError `file` when it cannot be read or a line is too long.
 */
export function readLines(
  path: string,
  take: (line: string, number: number) => void,
  takeRest: (line: string, number: number) => void,
): void {
  using file = open(path);
  const chunk = new Uint8Array(CHUNK_BYTES);
  const decoder = new TextDecoder();
  let number = 0;
  let rest = "";
  for (;;) {
    const count = attempt(path, () => file.readSync(chunk));
    if (count === null) break;
    const lines = (rest + decoder.decode(chunk.subarray(0, count), { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      number++;
      if (line.length > MAX_LINE_CHARACTERS) throw tooLong(path, number);
      take(line, number);
    }
    if (rest.length > MAX_LINE_CHARACTERS) throw tooLong(path, number + 1);
  }
  rest += decoder.decode();
  if (rest !== "") takeRest(rest, number + 1);
}

function open(path: string): Deno.FsFile {
  return attempt(path, () => {
    const file = Deno.openSync(path);
    if (file.statSync().isDirectory) {
      file.close();
      throw new Error("it is a directory");
    }
    return file;
  });
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new DenovisorError(
      "file",
      `Cannot read the trace ${path}: ${reason(cause)}`,
      { path },
      cause,
    );
  }
}

function tooLong(path: string, line: number): DenovisorError {
  return new DenovisorError(
    "file",
    `Cannot read the trace ${path}: line ${line}: found more than ${MAX_LINE_CHARACTERS} ` +
      "characters, expected a JSON object",
    { path, line },
  );
}
