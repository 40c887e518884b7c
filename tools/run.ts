/** Running Deno and other programs from the project's tasks. */

import { importFlags } from "./imports.ts";

/** The top of the repository. */
export const ROOT = new URL("..", import.meta.url).pathname;

/** Runs a program with inherited output; gives its exit code. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const child = new Deno.Command(program, { args: [...args], cwd: ROOT, env: childEnv() }).spawn();
  return (await child.status).code;
}

/** Runs this Deno; gives its exit code. */
export function deno(...args: readonly string[]): Promise<number> {
  return run(Deno.execPath(), args);
}

/** Runs this Deno with the import flags of this machine after the subcommand. */
export async function denoWithImports(
  subcommand: string,
  ...args: readonly string[]
): Promise<number> {
  return await deno(subcommand, ...await importFlags(), ...args);
}

/** Certificates that the system trusts are trusted too: networks with a proxy of their own need it. */
function childEnv(): Record<string, string> {
  return { DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "system,mozilla" };
}
