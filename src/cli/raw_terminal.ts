/** The terminal in raw mode, and back to what it was. */

/** Raw mode for as long as this lives: every key goes to the guest, Ctrl-C too. */
export class RawTerminal implements Disposable {
  readonly #restore = () => this[Symbol.dispose]();
  #raw = true;

  private constructor() {
    Deno.stdin.setRaw(true);
    // Runs on Deno.exit, wherever that is called from.
    globalThis.addEventListener("unload", this.#restore);
  }

  /** Makes the terminal raw when stdin is one. */
  static enter(): RawTerminal | undefined {
    return Deno.stdin.isTerminal() ? new RawTerminal() : undefined;
  }

  [Symbol.dispose](): void {
    if (!this.#raw) return;
    this.#raw = false;
    globalThis.removeEventListener("unload", this.#restore);
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // The terminal itself has gone (hang-up): there is nothing to restore.
    }
  }
}
