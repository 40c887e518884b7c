/** Traces in a few words. */

import { Summary } from "../../../../src/cli/report/summary.ts";
import { TraceLine } from "../../../../src/cli/report/trace_line.ts";

/** A line at `timeNs`. */
export function line(event: string, fields: object = {}, timeNs = 0): string {
  return JSON.stringify({ time_ns: timeNs, event, ...fields });
}

/** A fault that maps a page of `level` around `gfn`. */
export function mapping(gfn: number, level: number, timeNs = 0, code = 6): string[] {
  const address = `0x${(gfn * 4096).toString(16)}`;
  return [
    line(
      "kvm_page_fault",
      { fault_address: address, error_code: `0x${code.toString(16)}` },
      timeNs,
    ),
    line("kvm_mmu_set_spte", { gfn: `0x${gfn.toString(16)}`, level }, timeNs),
  ];
}

/** What the page shows of these lines. */
export function summaryOf(...lines: readonly string[]): Summary {
  const summary = new Summary();
  lines.forEach((text, index) => summary.add(new TraceLine(text, "trace", index + 1)));
  summary.end();
  return summary;
}
