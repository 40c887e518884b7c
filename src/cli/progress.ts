/** How far a fetch is: a line that rewrites itself on a terminal, else a line per file. */

import type { Progress } from "./debian/download.ts";
import type { Voice } from "./voice.ts";

/** The terminal's line is rewritten no more often than this. */
const INTERVAL_MS = 100;

/** A progress report on stderr. */
export function progressOn(voice: Voice): Progress {
  const terminal = Deno.stderr.isTerminal();
  let current = "";
  let nextMs = 0;
  return (file, receivedBytes, totalBytes) => {
    if (!terminal) {
      if (file !== current) voice.say(`Fetching ${file}, ${megabytes(totalBytes)}`);
      current = file;
      return;
    }
    if (file !== current) nextMs = 0;
    current = file;
    const done = receivedBytes >= totalBytes;
    if (!done && performance.now() < nextMs) return;
    nextMs = performance.now() + INTERVAL_MS;
    voice.rewrite(
      done ? "" : `Fetching ${file}: ${megabytes(receivedBytes)} of ${megabytes(totalBytes)}`,
    );
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
