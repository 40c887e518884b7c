/**
 * Option tables. One table per subcommand drives the parsing, the text of `--help` and the messages
 * for what is wrong. A row is one option; what a value may be is said by its `Reader`.
 *
 * The arguments are cut into tokens by `parseArgs` of node:util, which is part of Deno; what the
 * tokens may be is decided here, since its own checks neither name the expected value nor tell an
 * option given twice.
 */

import { parseArgs } from "node:util";
import { DenovisorError } from "../base/errors.ts";
import { nearest } from "./nearest.ts";

/** What an option's value may be. */
export interface Reader<T> {
  /** For messages: "expected …". */
  readonly expected: string;
  /** The value, or undefined when `text` is not acceptable. */
  read(text: string): T | undefined;
}

/** One row of an option table; `T` is what the subcommand gets. */
export interface Option<T> {
  /** What stands for the value in `--help`; undefined when the option takes none. */
  readonly placeholder: string | undefined;
  /** The value may be left out; if given, it follows `=`. */
  readonly valueOptional: boolean;
  readonly repeatable: boolean;
  readonly help: string;
  /** What is acceptable as the value, for messages. */
  readonly expected: string;
  /** From the values given, in order, to the result; undefined for a value that is wrong. */
  take(texts: readonly string[]): { readonly value: T } | { readonly wrong: string };
}

/** Rows by option name, without dashes, in the order of `--help`. */
export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** What parsing by a table gives: a field per row, under its name. */
export type Parsed<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never;
};

/** An option without a value: true when given. */
export function flag(help: string): Option<boolean> {
  return {
    placeholder: undefined,
    valueOptional: false,
    repeatable: false,
    help,
    expected: "no value",
    take: (texts) => ({ value: texts.length > 0 }),
  };
}

/** An option with a value: undefined when not given. */
export function value<T>(
  placeholder: string,
  help: string,
  reader: Reader<T>,
): Option<T | undefined> {
  return {
    placeholder,
    valueOptional: false,
    repeatable: false,
    help,
    expected: reader.expected,
    take: (texts) => texts.length === 0 ? { value: undefined } : readOne(reader, texts[0]),
  };
}

/** An option with a value: `fallback`, read like a given one, when not given. */
export function valueOr<T>(
  placeholder: string,
  fallback: string,
  help: string,
  reader: Reader<T>,
): Option<T> {
  return {
    placeholder,
    valueOptional: false,
    repeatable: false,
    help: `${help} (default: ${fallback})`,
    expected: reader.expected,
    take: (texts) => readOne(reader, texts[0] ?? fallback),
  };
}

/** An option that may be given without a value (then `bare` is what it means) or as `--name=VALUE`. */
export function optionalValue<T>(
  placeholder: string,
  bare: T,
  help: string,
  reader: Reader<T>,
): Option<T | undefined> {
  return {
    placeholder,
    valueOptional: true,
    repeatable: false,
    help,
    expected: reader.expected,
    take: (texts) => {
      if (texts.length === 0) return { value: undefined };
      return texts[0] === "" ? { value: bare } : readOne(reader, texts[0]);
    },
  };
}

/** An option that may be given several times: all its values, in order. */
export function values<T>(
  placeholder: string,
  help: string,
  reader: Reader<T>,
): Option<readonly T[]> {
  return {
    placeholder,
    valueOptional: false,
    repeatable: true,
    help: `${help} (may be given several times)`,
    expected: reader.expected,
    take: (texts) => {
      const all: T[] = [];
      for (const text of texts) {
        const one = readOne(reader, text);
        if ("wrong" in one) return one;
        all.push(one.value);
      }
      return { value: all };
    },
  };
}

function readOne<T>(
  reader: Reader<T>,
  text: string,
): { readonly value: T } | { readonly wrong: string } {
  const read = reader.read(text);
  return read === undefined ? { wrong: text } : { value: read };
}

/** Options by the table, the other words, and whether `--help` was among them. */
export interface CommandLine<Table extends OptionTable> {
  readonly options: Parsed<Table>;
  readonly words: readonly string[];
}

/**
 * Reads `args` by `table`.
 * @returns "help" when `--help` or `-h` is among them, whatever else is wrong.
 * @throws DenovisorError `usage` for the first argument that is wrong.
 */
export function parseCommandLine<Table extends OptionTable>(
  table: Table,
  args: readonly string[],
): CommandLine<Table> | "help" {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries([
      ...Object.entries(table).map(([name, row]) => [name, { type: tokenType(row) }]),
      ["help", { type: "boolean", short: "h" }],
    ]),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (tokens.some((token) => token.kind === "option" && token.name === "help")) return "help";
  const given = new Map<string, string[]>();
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const row = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
    if (row === undefined) throw unknownOption(token.rawName, Object.keys(table));
    const text = checkedText(token.rawName, row, token.value, token.inlineValue ?? false);
    const before = given.get(token.name);
    if (before !== undefined && !row.repeatable) throw givenTwice(token.rawName, before[0], text);
    given.set(token.name, [...before ?? [], text]);
  }
  return { options: takeAll(table, given), words };
}

/** An option whose value may be left out never takes the next word, like one without a value. */
function tokenType(row: Option<unknown>): "string" | "boolean" {
  return row.placeholder === undefined || row.valueOptional ? "boolean" : "string";
}

/** The text given as the option's value; "" for an option without one. */
function checkedText(
  rawName: string,
  row: Option<unknown>,
  text: string | undefined,
  inline: boolean,
): string {
  if (row.placeholder === undefined) {
    if (text === undefined) return "";
    throw usage(`Cannot read ${rawName}: found the value ${quote(text)}, expected no value`);
  }
  if (row.valueOptional) {
    if (text !== "") return text ?? "";
    throw usage(`Cannot read ${rawName}: found "" after the =, expected ${row.expected}`);
  }
  if (text === undefined) {
    throw usage(`Cannot read ${rawName}: found no value, expected ${row.expected}`);
  }
  if (!inline && text.startsWith("-") && text !== "-") {
    throw usage(
      `Cannot read ${rawName}: found ${quote(text)} after it, expected ${row.expected} ` +
        `(a value that begins with a dash is written ${rawName}=VALUE)`,
    );
  }
  return text;
}

function takeAll<Table extends OptionTable>(
  table: Table,
  given: ReadonlyMap<string, readonly string[]>,
): Parsed<Table> {
  const options: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(table)) {
    const taken = row.take(given.get(name) ?? []);
    if ("wrong" in taken) {
      throw usage(`Cannot read --${name}: found ${quote(taken.wrong)}, expected ${row.expected}`);
    }
    options[name] = taken.value;
  }
  return options as Parsed<Table>;
}

function unknownOption(rawName: string, names: readonly string[]): DenovisorError {
  const known = [...names, "help"].map((name) => `--${name}`);
  const near = nearest(rawName, known);
  return usage(
    `Unknown option ${quote(rawName)}: ` +
      (near === undefined ? `expected one of ${known.join(", ")}` : `did you mean ${near}?`),
  );
}

function givenTwice(rawName: string, first: string, second: string): DenovisorError {
  const found = first === "" && second === "" ? "" : `: found ${quote(first)} and ${quote(second)}`;
  return usage(`Cannot take ${rawName} twice${found}, expected it once`);
}

/** An error in the command line. */
export function usage(message: string): DenovisorError {
  return new DenovisorError("usage", message);
}

/** A word of the command line as messages show it: short, and never more than one line. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
