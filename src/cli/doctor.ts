/** `denovisor doctor`: what this host can run, and what would change what it cannot. */

import { command } from "./command.ts";
import {
  checkDeno,
  checkGuest,
  checkMemory,
  checkShim,
  checkUserfaultfd,
  type Finding,
} from "./doctor_checks.ts";
import { quote, usage } from "./options.ts";
import { print } from "./voice.ts";

/** The subcommand. */
export const doctor = command({
  name: "doctor",
  words: "",
  summary: "tell what this host can run, and the one line that would fix what is missing",
  details: ["Exit status: 0 when some engine can run guests here, else 1."],
  options: {},
  async run({ words }) {
    if (words.length > 0) throw usage(`Cannot use ${quote(words[0])}: expected no words`);
    const findings: Finding[] = [
      checkDeno(),
      checkShim(),
      checkUserfaultfd(),
      checkMemory(),
      await checkGuest(),
    ];
    for (const finding of findings) print(lineOf(finding));
    return 0;
  },
});

function lineOf({ ok, text, fix }: Finding): string {
  return `${ok ? "ok     " : "missing"}  ${text}${
    fix === undefined ? "" : `; to fix it: ${fix}`
  }\n`;
}
