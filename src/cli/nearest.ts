/** Suggestions for a misspelt name. */

/** The name nearest to `given`, or undefined when none is near enough to be meant. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const short = given.slice(0, 64); // bounds the work on absurdly long arguments
  const most = Math.max(1, Math.floor(short.replace(/^-+/, "").length / 3));
  let best: string | undefined;
  let bestDistance = most + 1;
  for (const name of names) {
    const distance = editDistance(short, name);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** Fewest single-character insertions, deletions, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
      }
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length];
}
