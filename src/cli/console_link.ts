/** Between the guest's console and denovisor's own stdin and stdout. */

import { DenovisorError } from "../base/errors.ts";
import type { Console } from "../vm/console.ts";
import { MAX_TIMEOUT_MS } from "../vm/options.ts";
import { reason } from "./atomic_write.ts";
import { ESCAPE_HELP, EscapeKeys } from "./escape_keys.ts";
import type { Voice } from "./voice.ts";

/** Keys typed ahead of a guest that does not read; more are dropped. */
const MAX_TYPED_BYTES = 64 * 1024;
const INPUT_CHUNK_BYTES = 16 * 1024;
/** How long a guest may take to see the end of its input before it is told again, in milliseconds. */
const END_AGAIN_MS = 2000;
const LINE_FEED = 10;

/**
 * Writes all the guest's output to stdout, each piece after a call of `onOutput`. Resolves with true at its end, with false when nobody
 * reads stdout any more.
 * @throws DenovisorError `file` when stdout cannot be written: a full disk.
 */
export async function forwardOutput(
  from: Console,
  voice: Voice,
  onOutput: () => void,
): Promise<boolean> {
  const shared = Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  try {
    for await (const chunk of from.readable) {
      onOutput();
      for (let at = 0; at < chunk.length;) at += await Deno.stdout.write(chunk.subarray(at));
      if (shared) voice.insideLine = chunk.at(-1) !== LINE_FEED;
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return false;
    throw new DenovisorError("file", `Cannot write to stdout: ${reason(error)}`, {}, error);
  }
}

/**
 * Sends what is typed to the guest for as long as the terminal and the guest last. It reads on while
 * the guest does not, so that Ctrl-A x always works.
 */
export async function forwardKeys(to: Console, voice: Voice, quit: () => void): Promise<void> {
  const keys = new EscapeKeys();
  let unsent = 0;
  for await (const typed of input()) {
    const forGuest = keys.take(typed, (command) => {
      if (command === "quit") quit();
      else voice.say(ESCAPE_HELP);
    });
    if (forGuest.length === 0 || unsent + forGuest.length > MAX_TYPED_BYTES) continue;
    unsent += forGuest.length;
    to.send(forGuest).then(() => unsent -= forGuest.length, () => {}); // fails when the guest ended
  }
}

/** How a stdin that is no terminal reaches the guest. */
export interface PipedInput {
  /** Console output to wait for: what a guest gets before it reads its console may be lost. */
  readonly after: string | undefined;
  /** Sent at the end of stdin, and again until the guest has ended: a command may have read it away. */
  readonly atEnd: string;
}

/** Sends all of stdin to the guest, as fast as it reads. */
export async function forwardInput(to: Console, { after, atEnd }: PipedInput): Promise<void> {
  try {
    if (after !== undefined) await to.expect(after, { timeoutMs: MAX_TIMEOUT_MS });
    for await (const chunk of input()) await to.send(chunk);
    if (atEnd !== "") await repeatUntilEnded(to, atEnd, END_AGAIN_MS);
  } catch {
    // The guest has ended: its outcome tells the user, input that it did not read does not matter.
  }
}

/**
 * Sends `text` again and again.
 * @throws DenovisorError `guest-ended`: nothing else ends it.
 */
export async function repeatUntilEnded(
  to: Pick<Console, "send">,
  text: string,
  everyMs: number,
): Promise<never> {
  for (;;) {
    await to.send(text);
    await delay(everyMs);
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Stdin in chunks; a stdin that is closed or cannot be read is at its end. */
async function* input(): AsyncGenerator<Uint8Array, void, void> {
  const chunk = new Uint8Array(INPUT_CHUNK_BYTES);
  for (;;) {
    const length = await Deno.stdin.read(chunk).catch(() => null);
    if (length === null) return;
    yield chunk.subarray(0, length);
  }
}
