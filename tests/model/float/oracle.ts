/** The host's own CPU as the oracle of floating point: `oracle.c`, built once for a test file. */

import { programs, type Requirement } from "../../support/requirement.ts";

/** Bytes of a record and of an answer of oracle.c. */
const RECORD_BYTES = 48;

/** A C compiler is here, and the CPU is one that the library imitates. */
export const nativeFloat: Requirement = Deno.build.arch === "x86_64" && Deno.build.os === "linux"
  ? programs("cc")
  : { missing: `the CPU is no x86-64 under Linux but ${Deno.build.arch} under ${Deno.build.os}` };

/** One operation to ask about: a control word and two operands of 16 bytes. */
export interface Question {
  control: number;
  /** Four 32-bit words, the lowest first. */
  readonly a: Int32Array;
  /** See `a`. */
  readonly b: Int32Array;
}

/** What the CPU answered. */
export interface Answer {
  /** First value: ST(0), XMM0 or memory. */
  readonly r: Int32Array;
  /** Second value: ST(1), or RAX. */
  readonly s: Int32Array;
  /** x87 status word or MXCSR. */
  readonly status: number;
  readonly rflags: number;
  /** Whether an SSE instruction raised #XM, so that nothing was stored. */
  readonly trapped: boolean;
}

/** The built program; disposing removes it. */
export class Oracle implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async build(): Promise<Oracle> {
    const folder = await Deno.makeTempDir({ prefix: "denovisor-float-" });
    const source = new URL("oracle.c", import.meta.url).pathname;
    // The inline assembly pushes, so nothing may lie below the stack pointer.
    const args = ["-Wall", "-Werror", "-O1", "-mno-red-zone", "-o", `${folder}/oracle`, source];
    const { success, stderr } = await new Deno.Command("cc", { args }).output();
    if (!success) throw new Error(`Cannot build oracle.c: ${new TextDecoder().decode(stderr)}`);
    return new Oracle(folder);
  }

  /** Asks the CPU. */
  async ask(operation: string, questions: readonly Question[]): Promise<Answer[]> {
    const input = new Int32Array(questions.length * RECORD_BYTES / 4);
    questions.forEach(({ control, a, b }, i) => {
      input[i * 12] = control;
      input.set(a, i * 12 + 4);
      input.set(b, i * 12 + 8);
    });
    const child = new Deno.Command(`${this.#folder}/oracle`, {
      args: [operation],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    const written = writer.write(new Uint8Array(input.buffer)).then(() => writer.close());
    const { success, stdout } = await child.output();
    await written;
    if (!success) throw new Error(`Cannot ask about ${operation}: the oracle failed`);
    const words = new Int32Array(stdout.buffer, stdout.byteOffset, stdout.byteLength / 4);
    return questions.map((_, i) => answerAt(words.subarray(i * 12, i * 12 + 12)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function answerAt(words: Int32Array): Answer {
  return {
    r: words.subarray(0, 4),
    s: words.subarray(4, 8),
    status: words[8],
    rflags: words[9],
    trapped: words[10] !== 0,
  };
}
