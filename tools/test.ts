/**
 * `deno task test [--guests] [PATH…] [-- FLAG…]`: builds what tests need, runs every test that can
 * run here and says at the end what was skipped and why. `--guests` runs the slow tests with stock
 * guests (`*_slow_test.ts`) instead.
 */

import { deno, denoWithImports, ROOT } from "./run.ts";

/** Tests that count this process's threads, files and mappings run alone; the rest side by side. */
const PARALLEL = ["tests/unit", "tests/model"];
const SERIAL = ["tests/kvm", "tests/guest", "tests/cli"];
const SLOW = "**/*_slow_test.ts";

interface Tally {
  passed: number;
  failed: string[];
  skipped: string[];
}

async function main(args: readonly string[]): Promise<number> {
  await deno("run", "-A", "shim/build.ts");
  await deno("run", "-A", "tools/guests.ts");
  const split = args.indexOf("--");
  const flags = split < 0 ? [] : args.slice(split + 1);
  const words = split < 0 ? args : args.slice(0, split);
  const paths = words.filter((word) => word !== "--guests");
  const tally: Tally = { passed: 0, failed: [], skipped: [] };
  let status = 0;
  if (words.includes("--guests")) {
    status = await runGroup(paths.length > 0 ? paths : await slowTests(), flags, tally);
  } else if (paths.length > 0) {
    status = await runGroup(paths, flags, tally);
  } else {
    const ignore = `--ignore=${SLOW}`;
    status = await runGroup(PARALLEL, ["--parallel", ignore, ...flags], tally);
    status = await runGroup(SERIAL, [ignore, ...flags], tally) || status;
  }
  report(tally);
  return status;
}

/** Runs one `deno test`; adds its results to `tally`. */
async function runGroup(
  paths: readonly string[],
  flags: readonly string[],
  tally: Tally,
): Promise<number> {
  const junit = await Deno.makeTempFile({ prefix: "denovisor-test-", suffix: ".xml" });
  try {
    const status = await denoWithImports(
      "test",
      "-q",
      "-A",
      `--junit-path=${junit}`,
      ...flags,
      ...paths,
    );
    count(await Deno.readTextFile(junit), tally);
    return status;
  } finally {
    await Deno.remove(junit);
  }
}

/** Reads the results that `deno test` wrote in JUnit's format. */
function count(junit: string, tally: Tally): void {
  const cases = junit.matchAll(/<testcase name="([^"]*)"[^>]*?(\/>|>([\s\S]*?)<\/testcase>)/g);
  for (const [, name, , body] of cases) {
    if (body?.includes("<skipped")) tally.skipped.push(unescapeXml(name));
    else if (body?.includes("<failure")) tally.failed.push(unescapeXml(name));
    else tally.passed++;
  }
}

function unescapeXml(text: string): string {
  return text.replaceAll("&quot;", '"').replaceAll("&apos;", "'").replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function report({ passed, failed, skipped }: Tally): void {
  const lines = [
    ...skipped.map((name) => `skipped: ${name}`),
    ...failed.map((name) => `failed: ${name}`),
    `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`,
  ];
  Deno.stdout.writeSync(new TextEncoder().encode(`\n${lines.join("\n")}\n`));
}

async function slowTests(folder = `${ROOT}tests`): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await slowTests(path));
    else if (entry.name.endsWith("_slow_test.ts")) found.push(path);
  }
  return found.sort();
}

if (import.meta.main) Deno.exit(await main(Deno.args));
