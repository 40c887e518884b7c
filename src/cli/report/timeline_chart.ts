/** The chart of faults over time: stacked bars. */

import { SIZES } from "./sizes.ts";
import { count, short, ticks, time } from "./text.ts";
import type { Timeline } from "./timeline.ts";

const WIDTH = 960;
const HEIGHT = 250;
const LEFT = 52;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 26;
/** The widest bar, for traces of few buckets. */
const MAX_BAR = 40;

/** The chart, as SVG. */
export function timelineChart(timeline: Timeline): string {
  const { buckets, widthNs } = timeline;
  const totals = Array.from({ length: buckets }, (_, bucket) => total(timeline, bucket));
  const highest = Math.max(1, ...totals);
  const barWidth = Math.min(MAX_BAR, (WIDTH - LEFT - RIGHT) / buckets);
  const scaleY = (HEIGHT - TOP - BOTTOM) / highest;
  const base = HEIGHT - BOTTOM;
  const parts: string[] = [];
  for (const tick of ticks(highest, 4)) {
    if (!Number.isInteger(tick)) continue;
    const y = fixed(base - tick * scaleY);
    parts.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}"/>`);
    parts.push(`<text class="y" x="${LEFT - 8}" y="${y}">${compact(tick)}</text>`);
  }
  const spanNs = (WIDTH - LEFT - RIGHT) / barWidth * widthNs;
  for (const tick of ticks(spanNs, 8)) {
    const x = fixed(LEFT + tick / widthNs * barWidth);
    if (x > WIDTH - 30) continue;
    parts.push(`<text class="x" x="${x}" y="${HEIGHT - 8}">${time(tick)}</text>`);
  }
  const gap = barWidth > 3 ? 1 : 0;
  for (let bucket = 0; bucket < buckets; bucket++) {
    if (totals[bucket] === 0) continue;
    const x = fixed(LEFT + bucket * barWidth);
    let y = base;
    const segments: string[] = [];
    SIZES.forEach(({ style }, size) => {
      const height = timeline.count(bucket, size) * scaleY;
      if (height === 0) return;
      y -= height;
      segments.push(
        `<rect class="${style}" x="${x}" y="${fixed(y)}" width="${fixed(barWidth - gap)}" ` +
          `height="${fixed(Math.max(height, 0.5))}"/>`,
      );
    });
    const hit = `<rect class="hit" x="${x}" y="${TOP}" width="${fixed(barWidth)}" ` +
      `height="${base - TOP}"/>`;
    parts.push(`<g data-tip="${tip(timeline, bucket)}">${segments.join("")}${hit}</g>`);
  }
  parts.push(
    `<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${base}" y2="${base}"/>`,
  );
  return `<svg class="timeline" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
    `aria-label="Faults over time">${parts.join("")}</svg>`;
}

function total(timeline: Timeline, bucket: number): number {
  return SIZES.reduce((sum, _, size) => sum + timeline.count(bucket, size), 0);
}

function tip(timeline: Timeline, bucket: number): string {
  const { widthNs } = timeline;
  const counts = SIZES.flatMap(({ name }, size) => {
    const faults = timeline.count(bucket, size);
    return faults === 0 ? [] : [`${name}: ${count(faults)}`];
  });
  return [`${time(bucket * widthNs)} – ${time((bucket + 1) * widthNs)}`, ...counts].join("\n");
}

/** 12000 as "12k". */
function compact(value: number): string {
  if (value >= 1e6) return `${short(value / 1e6)}M`;
  return value >= 1e4 ? `${short(value / 1e3)}k` : count(value);
}

function fixed(value: number): number {
  return Math.round(value * 100) / 100;
}
