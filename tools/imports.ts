/**
 * Prints the flags that let `@std/*` resolve here: nothing where JSR answers (deno.json's
 * imports hold), `--import-map=…/std_offline.json` where it does not. Usage:
 * `deno test $(deno run -A tools/imports.ts) …`.
 *
 * The answer is kept for a day, so that only the first task of a day asks the network.
 */

/** The flags, as arguments. */
export async function importFlags(): Promise<string[]> {
  if (await jsrAnswers()) return [];
  return [`--import-map=${new URL("std_offline.json", import.meta.url).pathname}`];
}

const CACHE = new URL("../.cache/jsr.json", import.meta.url);
const DAY_MS = 24 * 3600 * 1000;

async function jsrAnswers(): Promise<boolean> {
  const known = await readCache();
  if (known !== undefined && Date.now() - known.askedMs < DAY_MS) return known.answers;
  const answers = await askJsr();
  await Deno.mkdir(new URL(".", CACHE), { recursive: true });
  await Deno.writeTextFile(CACHE, JSON.stringify({ answers, askedMs: Date.now() }));
  return answers;
}

async function readCache(): Promise<{ answers: boolean; askedMs: number } | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(CACHE));
  } catch {
    return undefined; // absent or damaged: ask again
  }
}

async function askJsr(): Promise<boolean> {
  try {
    const reply = await fetch("https://jsr.io/@std/assert/meta.json", {
      signal: AbortSignal.timeout(3000),
    });
    await reply.body?.cancel();
    return reply.ok;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const flags = await importFlags();
  await Deno.stdout.write(new TextEncoder().encode(flags.join(" ")));
}
