/**
 * Runs a differential oracle: KVM against the interpreter, in ring 3 or in ring 0; in ring 3 also KVM
 * or the interpreter against translated code (`--sides`).
 * `deno run -A tools/oracle.ts [--cases N] [--seed N] [--bits 32|64] [--only REGEXP] [--stop N] [--inputs yes]
 * [--sides native-interpreted|native-translated|interpreted-translated]`
 * `deno run -A tools/oracle.ts --ring 0 [--cases N] [--seed N] [--only REGEXP] [--stop N] [--inputs yes]`
 */

import { ring0Text, runRing0 } from "../tests/support/ring0_oracle/oracle.ts";
import { mismatchText, runOracle, SIDES, type Sides } from "../tests/support/oracle/oracle.ts";

/** Lines for each instruction and kind of difference. */
const LINES = 3;

const options = new Map<string, string>();
for (let i = 0; i < Deno.args.length; i += 2) {
  options.set(Deno.args[i].replace(/^--/, ""), Deno.args[i + 1]);
}
const number = (name: string, fallback: number) => Number(options.get(name) ?? fallback);
const seed = number("seed", Date.now() % 2 ** 31);
const only = options.get("only");
const sides = options.get("sides") ?? SIDES[0];
if (!SIDES.includes(sides as Sides)) throw new RangeError(`--sides is one of ${SIDES.join(", ")}`);
const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
const seen = new Map<string, number>();
const start = performance.now();
print(`seed ${seed}`);
if (options.get("ring") === "0") runInRing0();
const result = runOracle({
  seed,
  bits: number("bits", 64) === 32 ? 32 : 64,
  cases: number("cases", 1_000_000),
  sides: sides as Sides,
  mismatches: number("stop", Infinity),
  ...only === undefined ? {} : { only: new RegExp(only) },
  report: (mismatch) => {
    const { test, differences } = mismatch;
    const fields = differences.map(({ field }) => field.replace(/^\[.*\]$/, "[]"));
    const last = test.forms[test.forms.length - 1].row;
    const key = `${test.forms.length > 1} ${last.mnemonic} ${last.operands} ${[
      ...new Set(fields),
    ]}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    if (count <= LINES) {
      print(mismatchText(mismatch));
      if (options.has("inputs")) print(`  ${mismatch.inputs}`);
    }
  },
});
const seconds = (performance.now() - start) / 1000;
for (const [key, count] of [...seen].sort((a, b) => b[1] - a[1])) print(`${count} × ${key}`);
const ends = [...result.ends].sort(([a], [b]) => a - b)
  .map(([end, count]) =>
    `${end >= 16 ? `#${end - 16}` : ["none", "through", "taken"][end]} ${count}`
  );
print(`ends: ${ends.join(", ")}`);
print(`${result.mnemonics.size} mnemonics`);
const translated = [...result.translated].sort(([a], [b]) => a < b ? -1 : 1)
  .map(([mnemonic, count]) => `${mnemonic} ${count}`);
if (translated.length > 0) print(`translated: ${translated.join(", ")}`);
print(
  `${result.cases} cases in ${
    seconds.toFixed(1)
  } s, seed ${seed}: ${result.mismatches} differences, ${result.unrepeated} not repeated`,
);
Deno.exit(result.mismatches === 0 ? 0 : 1);

/** The oracle of ring 0; `--only` names families of instructions and modes ("iret", "64-bit"). */
function runInRing0(): never {
  const done = runRing0({
    seed,
    cases: number("cases", 1_000_000),
    mismatches: number("stop", Infinity),
    ...only === undefined ? {} : { only: new RegExp(only) },
    report: (mismatch) => {
      print(ring0Text(mismatch));
      if (options.has("inputs")) print(`  ${mismatch.inputs}`);
    },
  });
  for (const [what, count] of [...done.explained].sort(([, a], [, b]) => b - a)) {
    print(`known: ${count} × ${what}`);
  }
  for (const [name, { cases, notShown }] of done.families) {
    print(`${name}: ${cases} cases, ${notShown} not shown here`);
  }
  print(`modes not shown here: ${done.modesNotShown.join(", ") || "none"}`);
  print(`ends: ${[...done.ends].map(([end, count]) => `${end} ${count}`).join(", ")}`);
  const took = ((performance.now() - start) / 1000).toFixed(1);
  print(`${done.cases} cases in ${took} s, seed ${seed}: ${done.mismatches} differences`);
  Deno.exit(done.mismatches === 0 ? 0 : 1);
}
