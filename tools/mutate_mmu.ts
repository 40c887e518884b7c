/**
 * Breaks src/mmu/ on purpose: makes single changes, one at a time and each in a temporary copy of
 * this repository, runs the tests of the MMU on each and prints which test caught it. A change that
 * no test catches is a test that is missing, or makes no difference.
 *
 *     deno run -A tools/mutate_mmu.ts [--count=80] [--seed=1] [--jobs=2] [--only=FILE:LINE[:N]]
 *
 * The same seed picks the same changes of the same sources. `--only` makes all changes of one line,
 * or its Nth. The exit code is 1 when a change survived without a known reason.
 */

import { Random } from "../tests/support/random.ts";
import { importFlags } from "./imports.ts";
import { applyMutation, lineOf, type Mutation, mutationsOf } from "./mutations.ts";
import { ROOT } from "./run.ts";

const SOURCES = "src/mmu";
/** What the tests need of the repository. */
const COPIED = ["src", "tests", "tools", "deno.json"];
/** The suite in the order of its speed: most changes end in the first. */
const STAGES = [
  "tests/unit/mmu",
  "tests/model/mmu/direct_model_test.ts",
  "tests/model/mmu/shadow_model_test.ts",
  "tests/model/mmu/walk",
];
/** A stage that takes this many times what it takes unchanged, and no less than three minutes, hangs. */
const PATIENCE = 5;
const LEAST_LIMIT_MS = 180_000;
/** One change in so many is of a constant: they are most of the text and the least of its sense. */
const CONSTANTS_ONE_IN = 5;

/** Lines that may change without a difference, and why; by their text, which moves less than numbers. */
const NO_DIFFERENCE: Readonly<Record<string, string>> = {
  "nestedTable = false;": "set before each fault of which it is valid",
  "writeProtected = false;": "set at the start of each leaf, and read only after one",
  "reserved = false;": "every host sets it when it answers",
  "unsyncChildren: Int32Array = new Int32Array(0);": "replaced before there is a table",
  "core.changes++;": "the guard only asks whether the count is another one",
  "const TABLES = 8;": "one table more is kept in reserve",
  "const WORDS = 4;": "descriptors that stand farther apart work alike",
  "let set = 0;": "what has no rights at all is refused to every access by guest EPT as it is",
  "writable = false;": "every host sets it when it answers",
  "if (behind > gfn && behind < end && this.typeOf(behind) !== type) return false;":
    "where a range ends as the block begins, the block's first type is compared with itself",
  "COLLAPSE: 7,": "a number that stands for a name",
  "TRIPLE_FAULT: 2,": "a number that stands for a name",
  ": Math.min(walker.result.level, core.maxPageLevel, context.isPae ? 2 : 3);":
    "the engine's own largest level is 3 at most",
  "let anyUnsync = false;": "where no page is unsync, synchronising finds none",
  "const low = this.#runs.find(({ firstGfn, firstWord }) => firstGfn === 0 && firstWord === 0);":
    "without the shortcut for low RAM the search finds the same word",
};

interface Target {
  readonly path: string;
  readonly source: string;
  readonly mutation: Mutation;
}

/** What became of a change: the test that failed, or undefined when none did. */
interface Verdict {
  readonly target: Target;
  readonly caughtBy: string | undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const option = (name: string, fallback: string) =>
    args.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? fallback;
  const seed = Number(option("seed", "1"));
  const only = option("only", "");
  const targets = only === ""
    ? await pickTargets(Number(option("count", "80")), seed)
    : await targetsAt(only);
  const flags = await importFlags();
  const copies = await Promise.all(
    Array.from({ length: Number(option("jobs", "2")) }, () => copyRepository()),
  );
  try {
    const limitsMs = await timeStages(copies[0], flags);
    const verdicts: Verdict[] = [];
    const queue = [...targets];
    await Promise.all(copies.map(async (copy) => {
      for (let target = queue.shift(); target !== undefined; target = queue.shift()) {
        const verdict = { target, caughtBy: await tryOut(target, copy, flags, limitsMs) };
        verdicts.push(verdict);
        print(`${row(verdict)}\n`);
      }
    }));
    const survivors = verdicts.filter(({ caughtBy }) => caughtBy === undefined);
    const unexplained = survivors.filter(({ target }) => explanation(target) === undefined);
    const files = new Set(targets.map(({ path }) => path)).size;
    const caught = verdicts.length - survivors.length;
    print(
      `\nseed ${seed}: ${verdicts.length} changes in ${files} files, ${caught} caught, ` +
        `${survivors.length} survived, ${unexplained.length} of them without a reason\n${
          survivors.map((verdict) => `${row(verdict)}\n`).join("")
        }`,
    );
    return unexplained.length === 0 ? 0 : 1;
  } finally {
    for (const copy of copies) await Deno.remove(copy, { recursive: true });
  }
}

/** `count` changes: one of each file, then another of each, as long as there are. */
async function pickTargets(count: number, seed: number): Promise<Target[]> {
  const random = new Random(seed);
  const pools = [];
  for (const path of await sourceFiles(SOURCES)) {
    const source = await Deno.readTextFile(`${ROOT}${path}`);
    const all = mutationsOf(source);
    const constants = all.filter(isConstant);
    pools.push({ path, source, constants, logic: all.filter((it) => !isConstant(it)) });
  }
  const targets: Target[] = [];
  while (targets.length < count) {
    const left = pools.filter((pool) => pool.constants.length + pool.logic.length > 0);
    if (left.length === 0) break;
    shuffle(left, random);
    for (const { path, source, constants, logic } of left.slice(0, count - targets.length)) {
      const ofConstants = logic.length === 0 ||
        constants.length > 0 && random.oneIn(CONSTANTS_ONE_IN);
      const pool = ofConstants ? constants : logic;
      const [mutation] = pool.splice(random.below(pool.length), 1);
      targets.push({ path, source, mutation });
    }
  }
  return targets;
}

function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
}

function isConstant({ from }: Mutation): boolean {
  return /^\d/.test(from);
}

/** The changes that `--only` names. */
async function targetsAt(place: string): Promise<Target[]> {
  const [path, line, number] = place.split(":");
  const source = await Deno.readTextFile(`${ROOT}${path}`);
  const here = mutationsOf(source).filter(({ at }) => lineOf(source, at) === Number(line));
  return here.map((mutation) => ({ path, source, mutation }))
    .filter((_, index) => number === undefined || index + 1 === Number(number));
}

async function sourceFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(`${ROOT}${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await sourceFiles(path));
    else if (path.endsWith(".ts")) found.push(path);
  }
  return found.sort();
}

async function copyRepository(): Promise<string> {
  const copy = await Deno.makeTempDir({ prefix: "denovisor-mutate-" });
  const paths = COPIED.map((name) => `${ROOT}${name}`);
  const { success } = await new Deno.Command("cp", { args: ["-r", ...paths, copy] }).output();
  if (!success) throw new Error(`Copying the repository to ${copy}: cp failed`);
  return copy;
}

/** Runs the suite without a change; gives the limit of each stage in milliseconds. */
async function timeStages(copy: string, flags: readonly string[]): Promise<number[]> {
  const limitsMs: number[] = [];
  for (const stage of STAGES) {
    const start = performance.now();
    const failure = await runStage(stage, copy, flags, Infinity);
    if (failure !== undefined) throw new Error(`The tests fail without a change: ${failure}`);
    limitsMs.push(Math.max(LEAST_LIMIT_MS, (performance.now() - start) * PATIENCE));
  }
  return limitsMs;
}

/** Makes one change in `copy`, runs the suite until something fails, and takes the change back. */
async function tryOut(
  { path, source, mutation }: Target,
  copy: string,
  flags: readonly string[],
  limitsMs: readonly number[],
): Promise<string | undefined> {
  await Deno.writeTextFile(`${copy}/${path}`, applyMutation(source, mutation));
  try {
    for (const [index, stage] of STAGES.entries()) {
      const failure = await runStage(stage, copy, flags, limitsMs[index]);
      if (failure !== undefined) return failure;
    }
    return undefined;
  } finally {
    await Deno.writeTextFile(`${copy}/${path}`, source);
  }
}

/** Runs one part of the suite; gives the name of what failed first, or undefined. */
async function runStage(
  stage: string,
  copy: string,
  flags: readonly string[],
  limitMs: number,
): Promise<string | undefined> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--fail-fast", ...flags, stage],
    cwd: copy,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = limitMs === Infinity ? undefined : setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, limitMs);
  const { success, stdout, stderr } = await child.output();
  clearTimeout(timer);
  if (late) return `no end within ${Math.round(limitMs / 1000)} s of ${stage}`;
  if (success) return undefined;
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return text.match(/^(.+) => \.\/tests\//m)?.[1] ?? `${stage} ends with an error`;
}

/** Why a change of this line makes no difference, when that is known. */
function explanation({ source, mutation }: Target): string | undefined {
  const line = source.split("\n")[lineOf(source, mutation.at) - 1].trim();
  return NO_DIFFERENCE[line];
}

function row({ target, caughtBy }: Verdict): string {
  const { path, source, mutation } = target;
  const survived = () => ["SURVIVED", explanation(target) ?? []].flat().join(": ");
  const { at, from, to } = mutation;
  const change = `${from} → ${to === "" ? "(gone)" : to}`.replaceAll(/\s+/g, " ");
  return `${path}:${lineOf(source, at)} | ${change} | ${caughtBy ?? survived()}`;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
