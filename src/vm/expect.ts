/**
 * Waiting for text on the console. A mark runs through the output: `expect` looks at everything
 * after it, however the output was cut into pieces, and a match moves the mark to its end.
 */

import { DenovisorError } from "../base/errors.ts";
import { MAX_TIMER_MS } from "../base/timer.ts";
import type { Transcript } from "./transcript.ts";

/** Characters of unmatched output that are searched; older ones are forgotten. */
const TEXT_CHARS = 1024 ** 2;
/** How much of the last output an error quotes, in characters. */
const QUOTE_CHARS = 400;
/** Default of `timeoutMs`. */
const DEFAULT_TIMEOUT_MS = 60_000;

/** Options of `expect`. */
export interface ExpectOptions {
  /** Milliseconds until the wait fails; default 60,000. */
  readonly timeoutMs?: number | undefined;
}

/** Text that matched. */
export interface ConsoleMatch {
  /** The matching text. */
  readonly text: string;
  /** Capture groups of a regular expression, from the first on; undefined where one did not take part. */
  readonly groups: readonly (string | undefined)[];
  /** The output between the mark and the match: at most the last 1 Mi characters of it. */
  readonly before: string;
}

interface Pending {
  readonly pattern: string | RegExp;
  /** Character position from which this wait looks. */
  readonly from: number;
  /** Character position before which a string cannot match any more. */
  searched: number;
  readonly resolve: (match: ConsoleMatch) => void;
  readonly reject: (error: DenovisorError) => void;
  readonly timer: number;
}

/** The mark, and who waits for what. */
export class Expecter {
  readonly #transcript: Transcript;
  readonly #pending = new Set<Pending>();
  #decoder = new TextDecoder();
  /** Position in the transcript, in bytes, up to which the output is decoded. */
  #at = 0;
  /** Decoded output from character position `#base` on. */
  #text = "";
  #base = 0;
  #mark = 0;
  /** How the run ended, once it has. */
  #ended: string | undefined;

  constructor(transcript: Transcript) {
    this.#transcript = transcript;
  }

  /**
   * Resolves with the first match after the mark, and moves the mark behind it. Calls that wait at
   * the same time all look from the mark as it was when they were made.
   * @throws DenovisorError `expect-timeout` after `timeoutMs`, `guest-ended` when the guest has
   * ended without it, `usage` for an empty pattern or a bad timeout.
   */
  expect(pattern: string | RegExp, options: ExpectOptions = {}): Promise<ConsoleMatch> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { promise, resolve, reject } = Promise.withResolvers<ConsoleMatch>();
    try {
      const wanted = checkPattern(pattern);
      checkTimeout(timeoutMs);
      const timer = setTimeout(
        () => this.#fail(pending, "expect-timeout", `: it did not come within ${timeoutMs} ms`),
        timeoutMs,
      );
      const from = this.#mark;
      const pending = { pattern: wanted, from, searched: from, resolve, reject, timer };
      this.#pending.add(pending);
    } catch (error) {
      reject(error);
      return promise;
    }
    this.advance();
    return promise;
  }

  /** Looks at what has come since the last call. */
  advance(): void {
    if (this.#pending.size === 0) return;
    this.#decode();
    for (const pending of this.#pending) this.#try(pending);
    if (this.#ended !== undefined) {
      for (const pending of this.#pending) {
        this.#fail(pending, "guest-ended", `, which has ended: ${this.#ended}`);
      }
    }
    this.#forget();
  }

  /** The guest has ended, as `how` says: whoever still waits fails. */
  end(how: string): void {
    this.#ended = how;
    this.advance();
  }

  #decode(): void {
    if (this.#at < this.#transcript.start) { // nobody waited while output was dropped
      this.#decoder = new TextDecoder();
      this.#at = this.#transcript.start;
    }
    const bytes = this.#transcript.slice(this.#at);
    this.#at += bytes.length;
    this.#text += this.#decoder.decode(bytes, { stream: !this.#transcript.ended });
  }

  /** Settles `pending` when its pattern is there. */
  #try(pending: Pending): void {
    const { pattern } = pending;
    const from = Math.max(pending.from - this.#base, 0);
    let found: ConsoleMatch | undefined;
    if (typeof pattern === "string") {
      const start = Math.max(pending.searched - this.#base, from);
      const index = this.#text.indexOf(pattern, start);
      if (index >= 0) {
        found = { text: pattern, groups: [], before: this.#text.slice(from, index) };
      }
      pending.searched = this.#base + this.#text.length - (pattern.length - 1);
    } else {
      const searched = this.#text.slice(from);
      const match = pattern.exec(searched);
      if (match !== null) {
        found = { text: match[0], groups: match.slice(1), before: searched.slice(0, match.index) };
      }
    }
    if (found === undefined) return;
    const end = this.#base + from + found.before.length + found.text.length;
    this.#mark = Math.max(this.#mark, end);
    this.#settle(pending);
    pending.resolve(found);
  }

  #fail(pending: Pending, code: "expect-timeout" | "guest-ended", why: string): void {
    this.#settle(pending);
    const pattern = show(pending.pattern);
    const lastOutput = this.#lastOutput();
    pending.reject(
      new DenovisorError(
        code,
        `Cannot find ${pattern} on the console${why}; ` +
          `the last output was ${JSON.stringify(lastOutput)}`,
        { pattern, lastOutput },
      ),
    );
  }

  #settle(pending: Pending): void {
    clearTimeout(pending.timer);
    this.#pending.delete(pending);
  }

  #lastOutput(): string {
    const bytes = this.#transcript.slice(this.#transcript.end - QUOTE_CHARS);
    return new TextDecoder().decode(bytes).trimEnd();
  }

  /** Drops text that no wait needs, and the oldest where there is too much. */
  #forget(): void {
    let needed = this.#mark;
    for (const pending of this.#pending) needed = Math.min(needed, pending.from);
    const oldest = this.#base + this.#text.length - TEXT_CHARS;
    // In large steps: a slice costs as much as what it keeps.
    if (needed > this.#base || oldest > this.#base + TEXT_CHARS) {
      const keep = Math.max(needed, oldest);
      this.#text = this.#text.slice(keep - this.#base);
      this.#base = keep;
    }
  }
}

/** The pattern, as a regular expression without the flags that make `exec` remember a place. */
function checkPattern(pattern: string | RegExp): string | RegExp {
  if (pattern === "" || (typeof pattern !== "string" && !(pattern instanceof RegExp))) {
    throw new DenovisorError(
      "usage",
      `Cannot expect ${
        JSON.stringify(pattern)
      } on the console: expected text or a regular expression`,
    );
  }
  if (typeof pattern === "string") return pattern;
  return new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
}

function checkTimeout(timeoutMs: number): void {
  if (timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) return;
  throw new DenovisorError(
    "usage",
    `Cannot expect with the option timeoutMs: found ${timeoutMs}, ` +
      `expected milliseconds, above 0, at most ${MAX_TIMER_MS}`,
    { timeoutMs },
  );
}

function show(pattern: string | RegExp): string {
  return typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern);
}
