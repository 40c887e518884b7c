/** Running denovisor as its users do: as a program, with its output and exit status. */

const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;

/** How a run ended. */
export interface CliResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run it. */
export interface CliOptions {
  /** Given to stdin, which then ends. Default: nothing. */
  readonly input?: string;
  /** Stdin stays open, silent, until the program has ended. */
  readonly silentInput?: boolean;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A run that takes longer is killed and fails the test. Default 60,000. */
  readonly timeoutMs?: number;
  /** The program and its first arguments. Default: this Deno with src/main.ts. */
  readonly program?: readonly string[];
}

/** Deno's own cache, which XDG_CACHE_HOME would move with denovisor's. */
const DENO_DIR = Deno.env.get("DENO_DIR") ??
  `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;

/** This Deno with src/main.ts; `flags` in place of -A. */
export function denovisor(...flags: readonly string[]): string[] {
  return [Deno.execPath(), "run", "-q", ...(flags.length === 0 ? ["-A"] : flags), MAIN];
}

/** Runs `denovisor` with `args` to its end. */
export async function cli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const { input = "", env = {}, cwd, timeoutMs = 60_000, program = denovisor() } = options;
  const child = new Deno.Command(program[0], {
    args: [...program.slice(1), ...args],
    env: { DENO_DIR, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const writer = child.stdin.getWriter();
  const close = () => writer.close().catch(() => {}); // a program may end without reading all
  const written = writer.write(new TextEncoder().encode(input)).catch(() => {});
  if (!options.silentInput) written.then(close);
  const { code, signal, stdout, stderr } = await child.output();
  if (options.silentInput) await close();
  clearTimeout(timer);
  const result = {
    status: code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
  if (signal === "SIGKILL") {
    throw new Error(`denovisor ${args.join(" ")} ran over ${timeoutMs} ms:\n${result.stderr}`);
  }
  return result;
}

/** The lines that denovisor itself said. */
export function said(result: CliResult): string[] {
  return result.stderr.split("\n").filter((line) => line !== "");
}

/** A folder, below `dir` if that is given, that is gone after the block. */
export async function temporaryFolder(
  dir?: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({
    prefix: "denovisor-test-",
    ...(dir === undefined ? {} : { dir }),
  });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
