/** What a subcommand is, and the text of its `--help`. */

import type { CommandLine, OptionTable } from "./options.ts";
import type { Voice } from "./voice.ts";

/** A subcommand. `Table` types what `run` gets. */
export interface Command<Table extends OptionTable = OptionTable> {
  /** The words that name it: "boot", "guest pull". */
  readonly name: string;
  /** The words that follow the options in the usage line: "BZIMAGE FILE"; "" for none. */
  readonly words: string;
  /** One line for the list of subcommands. */
  readonly summary: string;
  /** Paragraphs between the usage line and the options. */
  readonly details: readonly string[];
  /** Command lines for `--help`, without "denovisor" and the name. */
  readonly examples: readonly string[];
  readonly options: Table;
  /** Does the work and gives the exit status. Errors are thrown, for main.ts to report. */
  run(line: CommandLine<Table>, voice: Voice): Promise<number>;
}

/** A command in a list of commands of any tables. */
export function command<Table extends OptionTable>(definition: Command<Table>): Command {
  return definition as unknown as Command;
}

const WIDTH = 100;

/** The text of `denovisor NAME --help`. */
export function helpText(command: Command): string {
  const usage = ["denovisor", command.name, "[OPTION]…", command.words].filter((part) =>
    part !== ""
  );
  const rows = [
    ...Object.entries(command.options).map(([name, row]) =>
      [
        row.placeholder === undefined
          ? `--${name}`
          : row.valueOptional
          ? `--${name}[=${row.placeholder}]`
          : `--${name} ${row.placeholder}`,
        row.help,
      ] as const
    ),
    ["--help", "print this text"] as const,
  ];
  const paragraphs = [command.summary, ...command.details].map((text) => wrap(text, WIDTH));
  const examples = command.examples.map((args) => `  denovisor ${command.name} ${args}`.trimEnd());
  return [
    `Usage: ${usage.join(" ")}`,
    ...paragraphs.map((lines) => lines.join("\n")),
    `Options:\n${columns(rows)}`,
    ...command.examples.length === 0 ? [] : [`Examples:\n${examples.join("\n")}`],
  ].join("\n\n") + "\n";
}

/** Two columns, the second wrapped. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const left = Math.max(...rows.map(([name]) => name.length)) + 4;
  return rows.flatMap(([name, help]) =>
    wrap(help, WIDTH - left).map((line, i) => (i === 0 ? `  ${name}` : "").padEnd(left) + line)
  ).join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}
