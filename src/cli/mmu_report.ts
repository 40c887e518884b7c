/** `denovisor mmu report TRACE`: a trace of the MMU as a page to look at. */

import { DenovisorError } from "../base/errors.ts";
import { reason, writeAtomically } from "./atomic_write.ts";
import { command } from "./command.ts";
import { usage, value } from "./options.ts";
import { reportPage } from "./report/page.ts";
import { readTrace } from "./report/read_trace.ts";
import { path } from "./values.ts";
import { print } from "./voice.ts";

/** The subcommand. */
export const mmuReport = command({
  name: "mmu report",
  words: "TRACE",
  summary: "Turn a trace of the MMU into an HTML page",
  details: [
    "TRACE is what denovisor boot --trace mmu=TRACE writes: one JSON object a line. The page shows the " +
    "faults over time, by level and by cause, a map of guest memory by the size of its pages, and the " +
    "counters. It is one file that loads nothing else. Prints where it is.",
  ],
  examples: ["trace.jsonl", "trace.jsonl --output faults.html"],
  options: {
    output: value("FILE", "the page, - for stdout (default: TRACE.html)", path),
  },
  async run({ options, words }, voice) {
    if (words.length !== 1 || words[0] === "") {
      throw usage(
        `Cannot tell what to report on: found ${words.length} paths, expected one: TRACE`,
      );
    }
    const [from] = words;
    const to = options.output ?? `${from}.html`;
    const trace = readTrace(from);
    const page = reportPage(from.slice(from.lastIndexOf("/") + 1), trace);
    if (trace.cutOffLine !== undefined) {
      voice.say(`Line ${trace.cutOffLine} of ${from} breaks off in the middle: it is left out`);
    }
    if (to === "-") {
      print(page);
      return 0;
    }
    await writePage(to, new TextEncoder().encode(page));
    print(`${to}\n`);
    return 0;
  },
});

/** A pipe or a device is written as it is: replacing it would be a surprise. */
async function writePage(to: string, page: Uint8Array): Promise<void> {
  const info = await Deno.stat(to).catch(() => undefined);
  if (info === undefined || info.isFile || info.isDirectory) return await writeAtomically(to, page);
  try {
    await Deno.writeFile(to, page);
  } catch (cause) {
    throw new DenovisorError("file", `Cannot write ${to}: ${reason(cause)}`, { path: to }, cause);
  }
}
