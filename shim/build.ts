/**
 * Builds libkvm-shim into shim/build/ when its sources, the flags or the compiler have changed.
 * Without a C compiler everything that needs no KVM still works, so that is not a failure.
 */

import { sha256Hex } from "../src/base/sha256.ts";

/** Where the library lies; `src/engine/kvm/shim.ts` loads it from there. */
export const SHIM_LIBRARY = new URL("build/libkvm_shim.so", import.meta.url);

/** What `buildShim` did. */
export type ShimBuild =
  | { readonly status: "current" }
  | { readonly status: "built"; readonly compiler: string }
  | { readonly status: "no-compiler" }
  /** `reason` is what the compiler said. */
  | { readonly status: "failed"; readonly compiler: string; readonly reason: string };

const SOURCES = ["kvm_shim.c", "kvm_shim.h"].map((name) => new URL(name, import.meta.url));
const COMPILERS = ["cc", "gcc", "clang"];
/** `nodelete`: the kick signal's handler must stay mapped when the last user closes the library. */
const FLAGS = [
  ...["-std=c11", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden"],
  ...["-Wall", "-Wextra", "-Werror", "-Wl,-z,nodelete", "-Wl,-z,defs"],
];

/** Builds the library unless it is up to date. Several processes may do so at once. */
export async function buildShim(): Promise<ShimBuild> {
  const stamp = new URL("build/libkvm_shim.stamp", import.meta.url);
  const wanted = await fingerprint();
  if (await readText(stamp) === wanted && await exists(SHIM_LIBRARY)) return { status: "current" };
  await Deno.mkdir(new URL("build/", import.meta.url), { recursive: true });
  const draft = `${SHIM_LIBRARY.pathname}.${Deno.pid}`;
  for (const compiler of COMPILERS) {
    const reply = await run(compiler, [...FLAGS, "-o", draft, SOURCES[0].pathname]);
    if (reply === undefined) continue;
    if (reply !== "") return { status: "failed", compiler, reason: reply };
    await Deno.rename(draft, SHIM_LIBRARY);
    await Deno.writeTextFile(stamp, wanted);
    return { status: "built", compiler };
  }
  return { status: "no-compiler" };
}

/** SHA-256 over everything that the library depends on. */
async function fingerprint(): Promise<string> {
  const texts = await Promise.all(SOURCES.map((source) => Deno.readTextFile(source)));
  const input = new TextEncoder().encode([Deno.build.target, ...FLAGS, ...texts].join("\0"));
  return await sha256Hex(input);
}

/** The compiler's complaints ("" when it succeeded); undefined when there is no such compiler. */
async function run(compiler: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(compiler, { args, stdout: "null" }).output();
    const said = new TextDecoder().decode(stderr).trim();
    return success ? "" : said || `${compiler} failed without a message`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function readText(file: URL): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function exists(file: URL): Promise<boolean> {
  try {
    return (await Deno.stat(file)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (import.meta.main) {
  const say = (line: string) => Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
  const done = await buildShim();
  if (done.status === "built") say(`Built libkvm-shim with ${done.compiler}`);
  if (done.status === "no-compiler") {
    say(`Cannot build libkvm-shim: no ${COMPILERS.join(", ")} on the PATH; running without KVM`);
  }
  if (done.status === "failed") {
    say(`Cannot build libkvm-shim with ${done.compiler}: ${done.reason}`);
    Deno.exit(1);
  }
}
