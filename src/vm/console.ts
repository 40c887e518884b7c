/**
 * The guest's console as the main thread sees it: output to read and to wait for, input to send.
 */

import { DenovisorError } from "../base/errors.ts";
import type { RingReader, RingWriter } from "../base/ring.ts";
import { type ConsoleMatch, Expecter, type ExpectOptions } from "./expect.ts";
import { GuestOutput } from "./guest_output.ts";

/** The guest's serial console. */
export class Console extends GuestOutput {
  readonly #input: RingWriter;
  readonly #onInput: () => void;
  readonly #expecter: Expecter;
  /** The sends so far, one after the other. */
  #sending: Promise<void> = Promise.resolve();

  /**
   * Starts to read the console. The Vm does that.
   * @param output bytes from the guest.
   * @param input bytes to the guest.
   * @param onInput tells the machine that there are new bytes in `input`.
   */
  constructor(output: RingReader, input: RingWriter, onInput: () => void) {
    super(output);
    this.#input = input;
    this.#onInput = onInput;
    this.#expecter = new Expecter(this.bytes);
  }

  /**
   * Sends text (as UTF-8) or bytes to the guest. Resolves when the console has taken all of it,
   * which it does as fast as the guest reads.
   * @throws DenovisorError `guest-ended` when the guest ended before.
   */
  send(input: string | Uint8Array): Promise<void> {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input.slice();
    const sent = this.#sending.then(() => this.#write(bytes));
    this.#sending = sent.catch(() => {}); // the caller has the error; the next one gets its own
    return sent;
  }

  /** Sends `line` and a carriage return, as the Enter key does. Errors as of `send`. */
  sendLine(line: string): Promise<void> {
    return this.send(line + "\r");
  }

  /**
   * Waits for `pattern` in the output. The first call looks from the start of the run, later ones
   * from the end of the last match, so that nothing in between is missed.
   * @throws DenovisorError `expect-timeout` after `timeoutMs`, `guest-ended` when the guest has
   * ended without it (both with the last output), `usage` for an empty pattern or a bad timeout.
   */
  expect(pattern: string | RegExp, options?: ExpectOptions): Promise<ConsoleMatch> {
    return this.#expecter.expect(pattern, options);
  }

  /** Ends the console; `how` says how the guest ended. The Vm calls it. */
  end(how: string): void {
    this.finish();
    this.#input.close();
    this.#expecter.end(how);
  }

  /** Looks for what `expect` waits for. */
  protected override onBytes(): void {
    this.#expecter.advance();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      if (!await this.#input.writable()) {
        throw new DenovisorError(
          "guest-ended",
          `Cannot send to the console: the guest ended with ${bytes.length - done} bytes not sent`,
        );
      }
      done += this.#input.writeSome(bytes.subarray(done));
      this.#onInput();
    }
  }
}
