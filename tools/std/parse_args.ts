/**
 * Stands in for `@std/cli/parse-args` where JSR is out of reach: the options that denovisor uses,
 * over `parseArgs` of `node:util`.
 */

import { parseArgs as nodeParseArgs } from "node:util";

/** The subset of @std/cli's options that the project uses. */
export interface ParseOptions {
  readonly boolean?: readonly string[];
  readonly string?: readonly string[];
  /** Options that may be given more than once; their values are arrays. */
  readonly collect?: readonly string[];
  readonly alias?: Readonly<Record<string, string>>;
  /** Called with each argument that no option takes; false drops it. */
  readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  /** Keep what follows `--` apart, in the field `--`. */
  readonly "--"?: boolean;
  readonly stopEarly?: boolean;
}

/** Parsed options by name; what is not an option is in `_`. */
export interface ParsedArgs {
  _: (string | number)[];
  // deno-lint-ignore no-explicit-any -- the type of @std/cli's result
  [name: string]: any;
}
