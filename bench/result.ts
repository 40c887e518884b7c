/** What a file of bench/ measures; `tools/bench.ts` prints it and checks the promises. */

/** One figure. */
export interface BenchResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** A bound that the README states, and one that we would like to keep. */
  readonly promise?: {
    readonly atLeast?: number;
    readonly atMost?: number;
    readonly aim?: number;
  };
}

/** Says what is not measured here, and why. */
export function leaveOut(what: string, why: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`  ${what}: left out, ${why}\n`));
}

/** The middle of `values`, of which there is at least one. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
