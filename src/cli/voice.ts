/** What denovisor itself says: lines on stderr, so that stdout has nothing but the guest's bytes. */

const encoder = new TextEncoder();

/** Writes lines to stderr. A stderr that is closed or full of errors is not worth a failure. */
export class Voice {
  /** True when the guest's output or progress has left the cursor inside a line of the terminal. */
  insideLine = false;

  /** Says one line, with denovisor's name before it. */
  say(text: string): void {
    this.#write(`denovisor: ${oneLine(text)}`);
  }

  /** Writes one line as it is: for machines to read. */
  raw(text: string): void {
    this.#write(text);
  }

  /** Rewrites the terminal's current line: for progress. "" clears it. */
  rewrite(text: string): void {
    writeAll(Deno.stderr, encoder.encode(`\r\x1b[K${oneLine(text)}`));
    this.insideLine = text !== "";
  }

  #write(line: string): void {
    const start = this.insideLine ? "\n" : "";
    this.insideLine = false;
    writeAll(Deno.stderr, encoder.encode(`${start}${line}\n`));
  }
}

/** Writes text to stdout; a reader that has gone is no error. */
export function print(text: string): void {
  writeAll(Deno.stdout, encoder.encode(text));
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch {
    // Nobody reads any more: there is nobody left to tell.
  }
}

/**
 * `text` on one line, safe on a terminal: line breaks become spaces, other control characters (file
 * names and guests can have them) are shown by their code.
 */
export function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, " ").replace(
    // deno-lint-ignore no-control-regex -- control characters are what is looked for
    /[\x00-\x1f\x7f-\x9f]/g,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
