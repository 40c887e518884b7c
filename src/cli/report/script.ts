/** The page's script: tells what is under the pointer. Everything else is there without it. */

import { PAGE_SIZE } from "../../base/u64.ts";
import { MAP_GEOMETRY } from "./map_chart.ts";
import { MAPPED_SIZES } from "./map_layout.ts";
import { SIZES } from "./sizes.ts";

const NAMES = SIZES.slice(0, MAPPED_SIZES).map(({ name }) => name);

/** JavaScript for the end of the page. */
export const SCRIPT = `
"use strict";
(() => {
  const tip = document.getElementById("tip");
  const names = ${JSON.stringify(NAMES)};
  const { columns, pitch, left } = ${JSON.stringify(MAP_GEOMETRY)};
  const show = (text, event) => {
    tip.hidden = false;
    tip.textContent = text;
    const { width, height } = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, innerWidth - width - 8);
    const below = event.clientY + 18;
    const y = below + height > innerHeight ? event.clientY - height - 10 : below;
    tip.style.left = Math.max(8, x) + "px";
    tip.style.top = y + "px";
  };
  const hide = () => { tip.hidden = true; };
  const bytes = (frames) => {
    let amount = frames * ${PAGE_SIZE / 1024};
    let unit = 0;
    for (; amount >= 1024 && unit < 4; unit++) amount /= 1024;
    return +amount.toFixed(2) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB"][unit];
  };
  const hex = (frame) => "0x" + (frame * ${PAGE_SIZE}).toString(16);
  addEventListener("pointermove", (event) => {
    const holder = event.target.closest?.("[data-tip]");
    if (holder) show(holder.dataset.tip, event);
    else if (!event.target.closest?.(".map .hit")) hide();
  });
  document.documentElement.addEventListener("pointerleave", hide);
  addEventListener("scroll", hide, { passive: true });
  for (const map of document.querySelectorAll("svg.map")) {
    const { start, frames, count, cells } = map.dataset;
    const counts = new Map(cells.split(";").filter(Boolean).map((cell) => {
      const [number, rest] = cell.split(":");
      return [+number, rest.split(",").map(Number)];
    }));
    const hit = map.querySelector(".hit");
    const mark = map.querySelector(".mark");
    hit.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(map.getScreenCTM().inverse());
      const column = Math.min(columns - 1, Math.max(0, Math.floor((at.x - left) / pitch)));
      const row = Math.max(0, Math.floor(at.y / pitch));
      const cell = row * columns + column;
      mark.setAttribute("visibility", cell < count ? "visible" : "hidden");
      if (cell >= count) return hide();
      mark.setAttribute("x", left + column * pitch);
      mark.setAttribute("y", row * pitch);
      const first = +start + cell * frames;
      const lines = (counts.get(cell) ?? []).flatMap((value, size) =>
        value > 0 ? [names[size] + ": " + bytes(value)] : []);
      const range = hex(first) + " – " + hex(first + +frames);
      show([range, ...(lines.length > 0 ? lines : ["nothing mapped"])].join("\\n"), event);
    });
    hit.addEventListener("pointerleave", () => mark.setAttribute("visibility", "hidden"));
  }
  hide();
})();
`;
