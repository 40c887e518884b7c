/** The page: one HTML document that needs nothing else. */

import { causesChart } from "./causes_chart.ts";
import { mapCaption, mapChart } from "./map_chart.ts";
import { layOut, type MapLayout } from "./map_layout.ts";
import type { ReadTrace } from "./read_trace.ts";
import { SCRIPT } from "./script.ts";
import { Size, SIZES } from "./sizes.ts";
import { STYLE } from "./style.ts";
import type { Summary } from "./summary.ts";
import { count, escape, frames, percent, short, time } from "./text.ts";
import { timelineChart } from "./timeline_chart.ts";

/** No request leaves the page, whatever a trace holds. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** The HTML page for a trace that was read from `name`. */
export function reportPage(name: string, { summary, cutOffLine }: ReadTrace): string {
  const layout = layOut(summary.map, summary.slots);
  const { faults, events, counters } = summary;
  const cutOff = cutOffLine === undefined ? "" : ` Line ${cutOffLine} breaks off and is left out.`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>MMU trace ${escape(name)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>MMU trace</h1>
<p>${escape(name)}, ${count(summary.lines)} lines.${cutOff}</p>
${tiles(summary, layout)}
${
    faults.total === 0 ? section("Faults", "The trace has none.", "") : section(
      "Faults over time",
      `By the mapping that each left behind. One bar is ${time(summary.timeline.widthNs)}.`,
      legend(SIZES.map((_, size) => size).filter((size) => faults.ofSize(size) > 0), false) +
        `<div class="wide">${timelineChart(summary.timeline)}</div>`,
    ) + section(
      "Faults by level and cause",
      "Why the access faulted, and the size of the page that was mapped for it.",
      legend(SIZES.map((_, size) => size).filter((size) => faults.ofSize(size) > 0), false) +
        causesChart(faults),
    )
  }
${
    section(
      "Guest memory by mapping size",
      mapCaption(layout, summary.map.left),
      legend(
        SIZES.map((_, size) => size).filter((size) => (layout.mapped[size] ?? 0) > 0),
        summary.slots.length > 0,
      ) + mapChart(layout),
    )
  }
${section("Counters", "", `<div class="two">${counterTable(counters)}${eventTable(events)}</div>`)}
<div id="tip" hidden></div>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function section(title: string, text: string, body: string): string {
  return `<section><h2>${title}</h2><p>${text}</p>${body}</section>\n`;
}

function tiles(summary: Summary, { mapped }: MapLayout): string {
  const { faults, timeline, endNs } = summary;
  const ram = mapped[Size.PAGE_4K] + mapped[Size.PAGE_2M] + mapped[Size.PAGE_1G];
  const peak = Math.max(
    0,
    ...Array.from(
      { length: timeline.buckets },
      (_, bucket) => SIZES.reduce((sum, _, size) => sum + timeline.count(bucket, size), 0),
    ),
  );
  const rows = [
    [count(faults.total), "faults"],
    [time(endNs), "from the first line to the last"],
    // The rate of a single fault depends on nothing but the width of a bucket.
    [peak < 2 ? "–" : `${amount(peak / (timeline.widthNs / 1e9))}/s`, "faults at the peak"],
    [frames(ram), "of RAM mapped at the end"],
    [percent(mapped[Size.PAGE_2M] + mapped[Size.PAGE_1G], ram), "of that by large pages"],
    [count(faults.ofSize(Size.MMIO)), "faults for MMIO"],
  ];
  return `<div class="tiles">${
    rows.map(([value, label]) => `<div><b>${value}</b><span>${label}</span></div>`).join("")
  }</div>`;
}

/** 1234567 as "1.23 M". */
function amount(value: number): string {
  if (value >= 1e6) return `${short(value / 1e6)} M`;
  return value >= 1e3 ? `${short(value / 1e3)} k` : short(value);
}

function legend(sizes: readonly number[], untouched: boolean): string {
  const parts = sizes.map((size) =>
    `<span><i class="${SIZES[size].style}"></i>${SIZES[size].name}</span>`
  );
  if (untouched) parts.push('<span><i class="untouched"></i>RAM, not mapped</span>');
  return parts.length === 0 ? "" : `<div class="legend">${parts.join("")}</div>`;
}

function counterTable(counters: ReadonlyMap<string, number>): string {
  if (counters.size === 0) {
    return "<div><p>The trace has no counters: its last line, stats, is missing.</p></div>";
  }
  return `<div><p>Of KVM's debugfs</p>${table(counters)}</div>`;
}

function eventTable(events: ReadonlyMap<string, number>): string {
  return `<div><p>Lines of the trace by event</p>${
    table(new Map([...events].sort(([, a], [, b]) => b - a)))
  }</div>`;
}

function table(rows: ReadonlyMap<string, number>): string {
  return `<table>${
    [...rows].map(([name, value]) =>
      `<tr${value === 0 ? ' class="zero"' : ""}><th>${escape(name)}</th><td>${
        count(value)
      }</td></tr>`
    ).join("")
  }</table>`;
}
