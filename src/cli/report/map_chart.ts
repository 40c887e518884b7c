/** The map of guest memory: a grid of cells for each stretch, coloured by the size of its pages. */

import { type MapLayout, MAPPED_SIZES, type Stretch } from "./map_layout.ts";
import { Size, SIZES } from "./sizes.ts";
import { address, count, frames } from "./text.ts";

const COLUMNS = 64;
/** Distance from cell to cell, and what of it is drawn. */
const PITCH = 13;
const CELL = 11;
const LEFT = 124;
const WIDTH = LEFT + COLUMNS * PITCH;
/** Shades of a colour: a cell that is mapped by a quarter, a half, … */
const SHADES = 4;
/** Rows from one address to the next. */
const LABEL_ROWS = 4;

/** The grids, as SVG. */
export function mapChart(layout: MapLayout): string {
  return layout.stretches.map((stretch) =>
    `<div class="wide">${grid(stretch, layout.cellFrames)}</div>`
  ).join("");
}

function grid(stretch: Stretch, cellFrames: number): string {
  const cellCount = stretch.ram.length;
  const rows = Math.ceil(cellCount / COLUMNS);
  const paths = new Map<string, string>();
  const numbers: string[] = [];
  for (let cell = 0; cell < cellCount; cell++) {
    const look = lookOf(stretch, cell, cellFrames);
    if (look === undefined) continue;
    const x = LEFT + cell % COLUMNS * PITCH;
    const y = Math.floor(cell / COLUMNS) * PITCH;
    paths.set(look, `${paths.get(look) ?? ""}M${x} ${y}h${CELL}v${CELL}h-${CELL}z`);
    const counts = stretch.cells.subarray(cell * MAPPED_SIZES, (cell + 1) * MAPPED_SIZES);
    if (counts.some((value) => value > 0)) numbers.push(`${cell}:${counts.join(",")}`);
  }
  const labels: string[] = [];
  for (let row = 0; row < rows; row += LABEL_ROWS) {
    const at = address(stretch.start + row * COLUMNS * cellFrames);
    labels.push(`<text x="${LEFT - 10}" y="${row * PITCH + CELL / 2}">${at}</text>`);
  }
  const cells = [...paths].map(([look, path]) => `<path class="${look}" d="${path}"/>`);
  const height = rows * PITCH;
  const end = stretch.start + cellCount * cellFrames;
  return `<svg class="map" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Guest memory ` +
    `from ${address(stretch.start)} to ${address(end)}" data-start="${stretch.start}" ` +
    `data-frames="${cellFrames}" data-count="${cellCount}" data-cells="${numbers.join(";")}">` +
    `${labels.join("")}${cells.join("")}` +
    `<rect class="hit" x="${LEFT}" y="0" width="${COLUMNS * PITCH}" height="${height}"/>` +
    `<rect class="mark" width="${CELL}" height="${CELL}" visibility="hidden"/></svg>`;
}

/** The classes of a cell; undefined for one that is neither RAM nor mapped. */
function lookOf({ cells, ram }: Stretch, cell: number, cellFrames: number): string | undefined {
  let sum = 0;
  let most = 0;
  for (let size = 0; size < MAPPED_SIZES; size++) {
    const frames = cells[cell * MAPPED_SIZES + size];
    sum += frames;
    if (frames > cells[cell * MAPPED_SIZES + most]) most = size;
  }
  if (sum === 0) return ram[cell] !== 0 ? "untouched" : undefined;
  return `${SIZES[most].style} s${Math.min(SHADES, Math.ceil(sum / cellFrames * SHADES))}`;
}

/** What the page's script must know to say what is under the pointer. */
export const MAP_GEOMETRY = { columns: COLUMNS, pitch: PITCH, left: LEFT } as const;

/** A few words about the map. @param left Mappings that it had no room for. */
export function mapCaption({ cellFrames, mapped, hidden }: MapLayout, left: number): string {
  const parts = SIZES.slice(0, MAPPED_SIZES).flatMap(({ name }, size) => {
    if (mapped[size] === 0) return [];
    const amount = frames(mapped[size]);
    return [size === Size.MMIO ? `${amount} of MMIO` : `${amount} in pages of ${name}`];
  });
  return [
    `At the end of the trace: ${parts.length === 0 ? "nothing" : parts.join(", ")}.`,
    `One cell is ${frames(cellFrames)}; the stronger its colour, the more of it is mapped.`,
    ...hidden === 0 ? [] : [`${count(hidden)} smaller stretches are not shown.`],
    ...left === 0 ? [] : [`${count(left)} mappings are too scattered to be counted.`],
  ].join(" ");
}
