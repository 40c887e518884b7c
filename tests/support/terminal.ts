/** Programs on a terminal of their own, by script(1). */

import { programs } from "./requirement.ts";

/** script(1) of util-linux, and stty. */
export const terminals = programs("script", "stty", "sh");

/** No wait here takes longer: a bound against hanging, in milliseconds. */
const LIMIT_MS = 30_000;

/** A shell command whose stdin, stdout and stderr are one terminal. */
export class Terminal implements AsyncDisposable {
  /** Everything on the screen so far. */
  screen = "";
  readonly #child: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #news = Promise.withResolvers<void>();
  #ended = false;

  constructor(shellCommand: string) {
    this.#child = new Deno.Command("script", {
      args: ["-q", "-e", "-f", "-c", shellCommand, "/dev/null"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#keys = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Types `keys`. */
  type(keys: string): Promise<void> {
    return this.#keys.write(new TextEncoder().encode(keys));
  }

  /** Waits for `pattern` on the screen; fails when the command ends or the limit passes without it. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    const deadlineMs = performance.now() + LIMIT_MS;
    for (;;) {
      const match = pattern.exec(this.screen);
      if (match !== null) return match;
      const leftMs = deadlineMs - performance.now();
      if (this.#ended || leftMs <= 0) {
        throw new Error(`Cannot find ${pattern} on the screen:\n${this.screen}`);
      }
      await this.#newsWithin(leftMs);
    }
  }

  /** Waits for the end of the command, which it kills at the limit; gives the screen. */
  async end(): Promise<string> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), LIMIT_MS);
    await this.#reading;
    await this.#child.status;
    clearTimeout(timer);
    return this.screen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGTERM");
    await this.#keys.close().catch(() => {}); // it may have gone
    await this.end();
  }

  async #newsWithin(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([this.#news.promise, promise]);
    clearTimeout(timer);
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.screen += decoder.decode(chunk, { stream: true });
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
    this.#ended = true;
    this.#news.resolve();
  }
}
