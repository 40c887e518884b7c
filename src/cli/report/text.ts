/** Numbers and names as the page shows them. */

import { PAGE_SIZE } from "../../base/u64.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** Text for HTML, also inside double-quoted attributes. */
export function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character]);
}

/** 1234567 as "1,234,567". */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** A share in percent, with a digit after the point where it matters. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  const value = part / whole * 100;
  return `${value === 0 || value === 100 ? value : value.toFixed(1)} %`;
}

/** A time in the unit that suits it. */
export function time(ns: number): string {
  if (ns === 0) return "0";
  if (ns < 1e3) return `${short(ns)} ns`;
  if (ns < 1e6) return `${short(ns / 1e3)} µs`;
  if (ns < 1e9) return `${short(ns / 1e6)} ms`;
  return `${short(ns / 1e9)} s`;
}

const BYTE_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** So many 4 KiB frames in the unit that suits them. */
export function frames(value: number): string {
  if (value === 0) return "0";
  let amount = value * PAGE_SIZE / 1024;
  let unit = 0;
  while (amount >= 1024 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${short(amount)} ${BYTE_UNITS[unit]}`;
}

/** The address of a frame. */
export function address(frame: number): string {
  return "0x" + (frame * PAGE_SIZE).toString(16);
}

/** Three digits that count, no zeros at the end. */
export function short(value: number): string {
  const text = value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Marks of an axis from 0 to `max` or a little below: about `wanted` of them, at 1, 2 or 5 times a power of ten. */
export function ticks(max: number, wanted: number): number[] {
  const power = 10 ** Math.floor(Math.log10(max / wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => max / size <= wanted) ??
    max;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, i) => i * step);
}
