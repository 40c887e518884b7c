/** From a trace file to what the page shows of it. */

import { DenovisorError } from "../../base/errors.ts";
import { readLines } from "./lines.ts";
import { Summary } from "./summary.ts";
import { TraceLine } from "./trace_line.ts";

/** A trace that has been read. */
export interface ReadTrace {
  readonly summary: Summary;
  /** Number of a last line that breaks off in the middle, as whoever is killed while writing leaves it. */
  readonly cutOffLine: number | undefined;
}

/** @throws DenovisorError `file` when it cannot be read, is empty or a line is malformed. */
export function readTrace(path: string): ReadTrace {
  const summary = new Summary();
  const take = (line: string, number: number) => summary.add(new TraceLine(line, path, number));
  let cutOffLine: number | undefined;
  readLines(path, take, (rest, number) => {
    if (number > 1 && !isWhole(rest)) cutOffLine = number;
    else take(rest, number);
  });
  summary.end();
  if (summary.lines === 0) {
    throw new DenovisorError(
      "file",
      `Cannot read the trace ${path}: it is empty, expected one JSON object a line`,
      { path },
    );
  }
  return { summary, cutOffLine };
}

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
