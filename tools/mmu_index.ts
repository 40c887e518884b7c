/**
 * The table of the README's MMU chapter: each patch of the series and each check of the
 * specification with its test, read from the tests' names. `--write` puts it into the README; a
 * test compares the two.
 */

import { ROOT } from "./run.ts";

/** The table stands between these lines of the README. */
const BEGIN = "<!-- mmu tests: made by tools/mmu_index.ts -->";
const END = "<!-- end of mmu tests -->";

/** A test named after a patch or check. */
interface NamedTest {
  /** "patch 01", "check 57". */
  readonly id: string;
  /** What the test's name says. */
  readonly claim: string;
  /** Path from the top of the repository. */
  readonly file: string;
}

/** Every test whose name begins with `patch NN:` or `check NN:`, patches first, in order. */
export async function namedTests(): Promise<NamedTest[]> {
  const found: NamedTest[] = [];
  for await (const file of testFiles("tests")) {
    const source = await Deno.readTextFile(`${ROOT}${file}`);
    for (const [, id, claim] of source.matchAll(/["`]((?:patch|check) \d\d): ([^"`]+)["`]/g)) {
      found.push({ id, claim, file });
    }
  }
  const order = ({ id, file }: NamedTest) => `${id.startsWith("patch") ? 0 : 1}${id}${file}`;
  return found.sort((a, b) => order(a) < order(b) ? -1 : 1);
}

/** The README with the table as the tests have it now. */
export async function readmeWithTable(readme: string): Promise<string> {
  const start = readme.indexOf(BEGIN), end = readme.indexOf(END);
  if (start < 0 || end < start) throw new Error(`The README lacks ${BEGIN} or ${END}`);
  const rows = (await namedTests()).map(({ id, claim, file }) =>
    `| ${id} | ${claim.replaceAll("|", "\\|")} | [${file.replace(/^.*\//, "")}](${file}) |`
  );
  const table = ["| | what the test shows | where |", "| --- | --- | --- |", ...rows].join("\n");
  return `${readme.slice(0, start)}${BEGIN}\n\n${table}\n\n${readme.slice(end)}`;
}

async function* testFiles(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(`${ROOT}${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* testFiles(path);
    else if (entry.name.endsWith("_test.ts")) yield path;
  }
}

if (import.meta.main) {
  const path = `${ROOT}README.md`;
  const readme = await readmeWithTable(await Deno.readTextFile(path));
  if (Deno.args.includes("--write")) await Deno.writeTextFile(path, readme);
  else await Deno.stdout.write(new TextEncoder().encode(readme));
}
