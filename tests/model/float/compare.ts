/** Running one operation of the library and of the CPU on the same operands. */

import { EXCEPTIONS } from "../../../src/cpu/float/mod.ts";
import { Random, seed } from "../../support/random.ts";
import type { Answer, Oracle, Question } from "./oracle.ts";

/** Questions about each operation: DENOVISOR_CASES, or few enough for every run of the tests. */
export const CASES = Number(Deno.env.get("DENOVISOR_CASES") ?? 4000);

/** One operation: what to ask and how to see that the library says the same. */
export interface Trial {
  /** Its name in oracle.c. */
  readonly name: string;
  /** Fills in random operands and a control word. */
  readonly fill: (random: Random, question: Question) => void;
  /** Runs the library; what it gives, as text. */
  readonly ours: (question: Question) => string;
  /** The CPU's answer as the same kind of text. */
  readonly theirs: (answer: Answer, question: Question) => string;
  /** Whether two different texts are as good as the same; none are without it. */
  readonly isClose?: (ours: string, theirs: string) => boolean;
}

/** Asks random questions; throws when an answer differs, with the first that does. */
export async function compareWithCpu(oracle: Oracle, trial: Trial): Promise<void> {
  const random = new Random(seed(0xf10a7) + hash(trial.name));
  const questions = Array.from({ length: CASES }, () => {
    const question = { control: 0, a: new Int32Array(4), b: new Int32Array(4) };
    trial.fill(random, question);
    return question;
  });
  const answers = await oracle.ask(trial.name, questions);
  let differences = 0;
  let first = "";
  questions.forEach((question, i) => {
    const ours = trial.ours(question);
    const theirs = trial.theirs(answers[i], question);
    if (ours === theirs || trial.isClose?.(ours, theirs)) return;
    if (differences++ === 0) first = `${describe(question)}: ours ${ours}, the CPU's ${theirs}`;
  });
  if (differences !== 0) {
    throw new Error(
      `${trial.name} differs in ${differences} of ${CASES} (DENOVISOR_SEED=${
        seed(0xf10a7)
      }); ${first}`,
    );
  }
}

function describe({ control, a, b }: Question): string {
  return `control 0x${control.toString(16)}, a ${words(a, 3)}, b ${words(b, 3)}`;
}

/** The first `count` words in hexadecimal, the highest first. */
export function words(values: ArrayLike<number>, count: number): string {
  let text = "";
  for (let i = count - 1; i >= 0; i--) {
    text += (values[i] >>> 0).toString(16).padStart(8, "0") + " ";
  }
  return text.trimEnd();
}

/** Flags of the exceptions among the bits of a status word or MXCSR. */
export function flagsOf(status: number): string {
  return `flags ${(status & EXCEPTIONS).toString(16)}`;
}

function hash(name: string): number {
  let value = 0;
  for (const char of name) value = Math.imul(value, 31) + char.charCodeAt(0) | 0;
  return value;
}
