/**
 * Runs random programs, interpreted and translated, until one differs.
 * `deno run -A tools/programs.ts [--runs N] [--seed N] [--bits 32|64] [--states N] [--threshold N]
 * [--modifying yes]`
 */

import { fuzzPrograms } from "../tests/support/programs/fuzz.ts";

const options = new Map<string, string>();
for (let i = 0; i < Deno.args.length; i += 2) {
  options.set(Deno.args[i].replace(/^--/, ""), Deno.args[i + 1]);
}
const number = (name: string, fallback: number) => Number(options.get(name) ?? fallback);
const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
const seed = number("seed", Date.now() % 2 ** 31);
const start = performance.now();
const { difference, runs, instructions, stats } = fuzzPrograms({
  seed,
  bits: number("bits", 64) === 32 ? 32 : 64,
  runs: number("runs", 100_000),
  states: number("states", 8),
  threshold: number("threshold", 3),
  modifying: options.has("modifying"),
});
const seconds = ((performance.now() - start) / 1000).toFixed(1);
if (difference !== undefined) print(difference);
const counters = Object.entries(stats).filter(([name]) => name.startsWith("jit_"));
print(counters.map(([name, value]) => `${name} ${value}`).join(", "));
print(`${runs} runs, ${instructions} instructions in ${seconds} s, seed ${seed}`);
Deno.exit(difference === undefined ? 0 : 1);
