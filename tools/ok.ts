/** `deno task ok`: the one gate. Format, lint, types, docs lint, tests; stops at the first that fails. */

import { deno, denoWithImports } from "./run.ts";

const PUBLIC_API = "src/mod.ts";

const steps: readonly [name: string, step: () => Promise<number>][] = [
  ["format", () => deno("fmt", "--check", "-q")],
  ["lint", () => deno("lint", "-q")],
  [
    "types",
    () => denoWithImports("check", "-q", "src", "tools", "tests", "bench", "examples", "shim"),
  ],
  ["docs", () => denoWithImports("doc", "--lint", "-q", PUBLIC_API)],
  ["tests", () => deno("run", "-A", "tools/test.ts")],
];

for (const [name, step] of steps) {
  const status = await step();
  if (status !== 0) {
    Deno.stderr.writeSync(new TextEncoder().encode(`ok: ${name} failed\n`));
    Deno.exit(status);
  }
}
