/**
 * How long a user waits: from starting the program to the first guest instruction and to the
 * built-in guest's power-off, and how much memory it takes beside the guest's RAM. The executable
 * and `deno run` are measured in turns, so that both meet the same host.
 */

import { builtinGuest } from "../src/boot/builtin_guest.ts";
import { compile } from "../tools/compile.ts";
import { ROOT } from "../tools/run.ts";
import { besideRam } from "./guest/resident.ts";
import { type BenchResult, leaveOut, median } from "./result.ts";

const RUNS = 11;
/** An odd size of guest RAM, by which its mapping is found among all others. */
const RAM_MIB = 203;

/** A program line that is measured. */
interface Subject {
  readonly name: string;
  readonly program: readonly string[];
}

/** Times of one run in milliseconds from starting the program. */
interface Times {
  readonly firstInstructionMs: number;
  readonly endMs: number;
}

/** Measures what is described above. */
export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const kernel = `${folder}/guest`;
    await Deno.writeFile(kernel, builtinGuest().bytes);
    const subjects = await makeSubjects(folder);
    const times = subjects.map((): Times[] => []);
    for (let i = 0; i <= RUNS; i++) {
      for (const [at, { program }] of subjects.entries()) {
        const one = await timeRun([...program, "boot", "--kernel", kernel, "--append", "auto"]);
        if (i > 0) times[at].push(one); // the first run of each fills caches
      }
    }
    const results: BenchResult[] = [];
    for (const [at, { name, program }] of subjects.entries()) {
      results.push(
        {
          name: `${name}: start to the first guest instruction`,
          value: median(times[at].map((one) => one.firstInstructionMs)),
          unit: "ms",
        },
        {
          name: `${name}: start to the end of a run of the built-in guest`,
          value: median(times[at].map((one) => one.endMs)),
          unit: "ms",
        },
        {
          name: `${name}: memory beside the guest's RAM`,
          value: await memoryBesideRam([...program, "boot", "--kernel", kernel]),
          unit: "MiB",
        },
      );
    }
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function makeSubjects(folder: string): Promise<Subject[]> {
  const run = { name: "deno run", program: [Deno.execPath(), "run", "-A", `${ROOT}src/main.ts`] };
  const wrong = await compile(`${folder}/denovisor`);
  if (wrong === undefined) return [{ name: "executable", program: [`${folder}/denovisor`] }, run];
  leaveOut("executable", wrong);
  return [run];
}

async function timeRun([program, ...args]: readonly string[]): Promise<Times> {
  const startMs = epochMs();
  const child = new Deno.Command(program, {
    args: [...args, "--stats=json"],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
  const { success, stderr } = await child.output();
  const endMs = epochMs();
  const said = new TextDecoder().decode(stderr).trimEnd();
  if (!success) throw new Error(`Cannot measure a run that fails: ${said}`);
  const { firstInstructionEpochMs } = JSON.parse(said.split("\n").at(-1) ?? "");
  return { firstInstructionMs: firstInstructionEpochMs - startMs, endMs: endMs - startMs };
}

/** Most resident memory so far, less what is resident of guest RAM, while the guest waits for input. */
async function memoryBesideRam([program, ...args]: readonly string[]): Promise<number> {
  const child = new Deno.Command(program, {
    args: [...args, "--memory", `${RAM_MIB}M`],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const screen = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("Type a line")) {
    const { done, value } = await screen.read();
    if (done) throw new Error(`Cannot measure a guest that ends early: ${text}`);
    text += value;
  }
  const { peakMib } = await besideRam(child.pid, RAM_MIB);
  const quit = child.stdin.getWriter();
  await quit.write(new TextEncoder().encode("\x04"));
  await Promise.all([quit.close(), screen.cancel(), child.status]);
  return peakMib;
}

function epochMs(): number {
  return performance.timeOrigin + performance.now();
}
