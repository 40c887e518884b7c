/** Faults by cause, each bar divided by what they mapped; the same as a table. */

import { CAUSES, type FaultCounts } from "./fault_causes.ts";
import { SIZES } from "./sizes.ts";
import { count, percent } from "./text.ts";

/** The chart and the table, as HTML. */
export function causesChart(faults: FaultCounts): string {
  const causes = CAUSES.map((_, cause) => cause).filter((cause) => faults.ofCause(cause) > 0);
  const most = Math.max(...causes.map((cause) => faults.ofCause(cause)));
  const bars = causes.map((cause) => {
    const total = faults.ofCause(cause);
    const parts = SIZES.map(({ name, style }, size) => {
      const part = faults.count(cause, size);
      if (part === 0) return "";
      const tip = `${CAUSES[cause]}\n${name}: ${count(part)} (${percent(part, total)})`;
      const width = (part / most * 100).toFixed(3);
      return `<i class="${style}" style="width:${width}%" data-tip="${tip}"></i>`;
    });
    return `<div class="name">${CAUSES[cause]}</div><div class="bar">${parts.join("")}` +
      `<b>${count(total)}</b></div>`;
  });
  return `<div class="bars">${bars.join("")}</div>${table(faults, causes)}`;
}

function table(faults: FaultCounts, causes: readonly number[]): string {
  const sizes = SIZES.map((_, size) => size).filter((size) => faults.ofSize(size) > 0);
  const head = sizes.map((size) => `<th>${SIZES[size].name}</th>`).join("");
  const rows = causes.map((cause) => {
    const cells = sizes.map((size) => number(faults.count(cause, size))).join("");
    return `<tr><th>${CAUSES[cause]}</th>${cells}${number(faults.ofCause(cause))}</tr>`;
  });
  const totals = sizes.map((size) => number(faults.ofSize(size))).join("");
  return `<details><summary>As a table</summary><table class="matrix"><thead><tr><th></th>${head}` +
    `<th>all</th></tr></thead><tbody>${rows.join("")}</tbody><tfoot><tr><th>all</th>${totals}` +
    `${number(faults.total)}</tr></tfoot></table></details>`;
}

function number(value: number): string {
  return value === 0 ? '<td class="zero">0</td>' : `<td>${count(value)}</td>`;
}
