/**
 * `deno task bench [NAME…]`: runs bench/NAME.ts (all of them without a name), prints each figure
 * and whether it keeps its promise. A broken promise makes the exit code 1.
 */

import type { BenchResult } from "../bench/result.ts";
import { deno, denoWithImports, ROOT } from "./run.ts";

/** A file of bench/ that answers one question. */
interface Bench {
  run(): Promise<BenchResult[]>;
}

async function main(names: readonly string[]): Promise<number> {
  let broken = 0;
  for (const name of names.length > 0 ? names : await allBenches()) {
    print(`${name}\n`);
    const bench: Bench = await import(new URL(`../bench/${name}.ts`, import.meta.url).href);
    for (const result of await bench.run()) {
      if (!keepsPromise(result)) broken++;
      print(`  ${line(result)}\n`);
    }
  }
  return broken === 0 ? 0 : 1;
}

async function allBenches(): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(`${ROOT}bench`)) {
    if (entry.isFile && entry.name.endsWith(".ts") && entry.name !== "result.ts") {
      names.push(entry.name.slice(0, -".ts".length));
    }
  }
  return names.sort();
}

function keepsPromise({ value, promise }: BenchResult): boolean {
  return value >= (promise?.atLeast ?? -Infinity) && value <= (promise?.atMost ?? Infinity);
}

function line(result: BenchResult): string {
  const { name, value, unit, promise } = result;
  const figure = `${name}: ${Number(value.toPrecision(4))} ${unit}`;
  if (promise === undefined) return figure;
  const { atLeast, aim } = promise;
  const side = atLeast === undefined ? "at most" : "at least";
  const kept = keepsPromise(result) ? "" : "; NOT KEPT";
  const wish = aim === undefined ? "" : `, aim ${aim}${reaches(value, promise) ? " reached" : ""}`;
  return `${figure} (promised ${side} ${atLeast ?? promise.atMost}${wish}${kept})`;
}

function reaches(value: number, { atLeast, aim = 0 }: NonNullable<BenchResult["promise"]>) {
  return atLeast === undefined ? value <= aim : value >= aim;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

/** Benches need the import flags of this machine, so the task starts itself again with them. */
if (import.meta.main) {
  if (Deno.args[0] === "--here") Deno.exit(await main(Deno.args.slice(1)));
  await deno("run", "-A", "shim/build.ts");
  Deno.exit(
    await denoWithImports("run", "-q", "-A", import.meta.filename!, "--here", ...Deno.args),
  );
}
