/** The keys that denovisor keeps for itself while the terminal is raw: Ctrl-A and one more. */

const CTRL_A = 0x01;

/** What the user asked denovisor, not the guest. */
export type EscapeCommand = "quit" | "help";

/** The text that Ctrl-A h shows. */
export const ESCAPE_HELP = "Ctrl-A x quits, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this line";

/** Splits what is typed into bytes for the guest and commands. Keeps a Ctrl-A across chunks. */
export class EscapeKeys {
  #escaped = false;

  /** The bytes of `typed` that are for the guest; `onCommand` gets the rest in order. */
  take(typed: Uint8Array, onCommand: (command: EscapeCommand) => void): Uint8Array {
    const forGuest = new Uint8Array(typed.length);
    let length = 0;
    for (const byte of typed) {
      if (!this.#escaped && byte === CTRL_A) {
        this.#escaped = true;
      } else if (!this.#escaped || byte === CTRL_A) {
        this.#escaped = false;
        forGuest[length++] = byte;
      } else {
        this.#escaped = false;
        const command = commandOf(byte);
        if (command !== undefined) onCommand(command);
      }
    }
    return forGuest.subarray(0, length);
  }
}

function commandOf(byte: number): EscapeCommand | undefined {
  switch (String.fromCharCode(byte)) {
    case "x":
    case "X":
      return "quit";
    case "h":
    case "H":
    case "?":
      return "help";
    default:
      return undefined; // an unknown key after Ctrl-A does nothing
  }
}
