/**
 * The command `denovisor`: finds the subcommand, runs it and exits with its status. Whatever goes
 * wrong becomes one line on stderr.
 */

import config from "../deno.json" with { type: "json" };
import { DenovisorError } from "./base/errors.ts";
import { boot } from "./cli/boot.ts";
import { columns, type Command, helpText } from "./cli/command.ts";
import { doctor } from "./cli/doctor.ts";
import { guestPull } from "./cli/guest_pull.ts";
import { guestUnpack } from "./cli/guest_unpack.ts";
import { environment } from "./cli/environment.ts";
import { mmuReport } from "./cli/mmu_report.ts";
import { nearest } from "./cli/nearest.ts";
import { parseCommandLine, quote, usage } from "./cli/options.ts";
import { print, Voice } from "./cli/voice.ts";

const COMMANDS: readonly Command[] = [boot, guestPull, guestUnpack, mmuReport, doctor];

/** The exit status of every failure that has no status of its own. */
const FAILED = 1;
/** The exit status of a mistake in the command line. */
const USAGE = 2;

/** Runs denovisor with `args`; gives the exit status. */
export async function main(args: readonly string[], voice: Voice = new Voice()): Promise<number> {
  try {
    return await dispatch(args, voice);
  } catch (error) {
    return report(error, voice);
  }
}

async function dispatch(args: readonly string[], voice: Voice): Promise<number> {
  const [first] = args;
  if (first === "--version" || first === "-V") {
    print(`denovisor ${config.version}\n`);
    return 0;
  }
  if (first === "--help" || first === "-h") {
    print(overview(COMMANDS));
    return 0;
  }
  const found = COMMANDS.find((command) => startsWith(args, command.name.split(" ")));
  if (found === undefined) return unknownCommand(args);
  const line = parseCommandLine(found.options, args.slice(found.name.split(" ").length));
  if (line === "help") {
    print(helpText(found));
    return 0;
  }
  return await found.run(line, voice);
}

/** The first words name a group of commands ("guest"), or none. */
function unknownCommand(args: readonly string[]): number {
  const [first, second] = args;
  const group = COMMANDS.filter((command) => command.name.startsWith(`${first} `));
  if (group.length > 0 && (second === "--help" || second === "-h")) {
    print(overview(group));
    return 0;
  }
  const within = group.length > 0 ? group : COMMANDS;
  const given = group.length > 0 ? args.slice(0, 2).join(" ") : first;
  const names = within.map((command) => command.name);
  const expected = `expected one of ${names.join(", ")} (denovisor --help tells more)`;
  if (given === undefined || given === first && group.length > 0) {
    throw usage(`Cannot tell what to do: found no subcommand, ${expected}`);
  }
  const near = nearest(given, names);
  throw usage(
    `Unknown subcommand ${quote(given)}: ` +
      (near === undefined ? expected : `did you mean denovisor ${near}?`),
  );
}

function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, words, summary }) =>
    [words === "" ? name : `${name} ${words}`, summary] as const
  );
  return [
    "Usage: denovisor SUBCOMMAND [OPTION]…",
    "A hypervisor for x86-64 guests. Subcommands:",
    columns(rows),
    "denovisor SUBCOMMAND --help tells the options of one, denovisor --version the version.",
    "Exit status: 0 when all went well, 2 for a mistake in the command line, 1 for other failures;\n" +
    "denovisor boot --help tells the ones of a guest's run.",
  ].join("\n\n") + "\n";
}

function startsWith(args: readonly string[], words: readonly string[]): boolean {
  return words.every((word, i) => args[i] === word);
}

/** Says what went wrong, in one line; DENOVISOR_DEBUG=1 adds where. Gives the exit status. */
function report(thrown: unknown, voice: Voice): number {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  // A permission that Deno was not given is the user's choice; anything else unknown is a defect.
  const expected = thrown instanceof DenovisorError || thrown instanceof Deno.errors.NotCapable;
  voice.say(expected ? text : `Internal error: ${text}`);
  if (environment("DENOVISOR_DEBUG") === "1") {
    for (const line of traceOf(thrown)) voice.say(line);
  }
  return thrown instanceof DenovisorError && thrown.code === "usage" ? USAGE : FAILED;
}

function traceOf(thrown: unknown): string[] {
  if (!(thrown instanceof Error)) return [];
  const cause = thrown.cause === undefined ? [] : ["caused by:", ...traceOf(thrown.cause)];
  return [...(thrown.stack ?? thrown.message).split("\n"), ...cause];
}

if (import.meta.main) {
  const voice = new Voice();
  // What escapes a worker or a forgotten promise ends the run like any other failure; exiting
  // restores the terminal.
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    Deno.exit(report(event.error, voice));
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    Deno.exit(report(event.reason, voice));
  });
  Deno.exit(await main(Deno.args, voice));
}
