/**
 * `deno task compile`: makes dist/denovisor, one executable with the shim, the workers and the
 * built-in guest inside. `deno compile` fetches the Deno runtime for it from dl.deno.land once;
 * where that is out of reach, DENORT_BIN names a `denort` of the same version.
 */

import { buildShim, SHIM_LIBRARY } from "../shim/build.ts";
import { ROOT } from "./run.ts";

/** Where the task puts the executable. */
export const EXECUTABLE = `${ROOT}dist/denovisor`;

/**
 * Decoded instructions outlive V8's young generation, which would grow because of that, to 50 MB that
 * are of no use.
 */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=8";

/**
 * Compiles denovisor into `output`. Gives undefined when all went well, else why not.
 */
export async function compile(output: string): Promise<string | undefined> {
  const shim = await buildShim();
  if (shim.status === "failed") return `${shim.compiler}: ${shim.reason}`;
  if (shim.status === "no-compiler") {
    return "no C compiler on the PATH, and libkvm-shim is not built";
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      // All permissions: libkvm-shim needs --allow-ffi, beside which the others protect nothing, and
      // without them Deno refuses paths below /dev and /proc, such as /dev/fd/63 for a kernel.
      ...["compile", "--quiet", "--no-check", "--allow-all", V8_FLAGS, "--output", output],
      ...[SHIM_LIBRARY.pathname, ...await workers()].map((path) => `--include=${path}`),
      `${ROOT}src/main.ts`,
    ],
    cwd: ROOT,
    env: {
      NO_COLOR: "1",
      DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "system,mozilla",
    },
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stderr } = await child.output();
  return success ? undefined : whyNot(new TextDecoder().decode(stderr));
}

/** What went wrong: the cause behind Deno's message, without its stack, on one line. */
function whyNot(said: string): string {
  const cause = /^ +1: ([^<].*)$/m.exec(said) ?? /^error: (.*)$/m.exec(said);
  return (cause?.[1] ?? said).replace(/\s+/g, " ").trim();
}

/** Modules that run in a thread of their own: `deno compile` does not see them by itself. */
async function workers(folder = `${ROOT}src`): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await workers(path));
    else if (entry.name.endsWith("worker.ts")) found.push(path);
  }
  return found.sort();
}

if (import.meta.main) {
  await Deno.mkdir(`${ROOT}dist`, { recursive: true });
  const wrong = await compile(EXECUTABLE);
  const say = (line: string) => Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
  if (wrong !== undefined) {
    say(`Cannot compile denovisor: ${wrong}`);
    Deno.exit(1);
  }
  const { size } = await Deno.stat(EXECUTABLE);
  say(`Made ${EXECUTABLE}, ${(size / 1e6).toFixed(0)} MB`);
}
