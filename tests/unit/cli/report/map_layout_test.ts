import { assert, assertEquals } from "@std/assert";
import { layOut, type MapLayout, MAPPED_SIZES } from "../../../../src/cli/report/map_layout.ts";
import { MemoryMap } from "../../../../src/cli/report/memory_map.ts";
import { Size } from "../../../../src/cli/report/sizes.ts";

const MIB = 256;

function slot(baseGfn: number, frames: number) {
  return { id: 0, baseGfn, frames };
}

/** Frames of `size` over all cells. */
function sum({ stretches }: MapLayout, size: number): number {
  return stretches.reduce(
    (all, { cells }) =>
      all + cells.filter((_, at) => at % MAPPED_SIZES === size)
        .reduce((a, b) => a + b, 0),
    0,
  );
}

Deno.test("a map of 256 MiB has cells of 128 KiB, each with its frames", () => {
  const map = new MemoryMap();
  for (const gfn of [0, 1, 1, 31, 32]) map.map(gfn, 1);
  map.map(512, 2);
  map.mapMmio(40);
  const layout = layOut(map, [slot(0, 256 * MIB)]);
  const [{ start, cells, ram }] = layout.stretches;
  assertEquals([layout.stretches.length, start, layout.cellFrames, ram.length], [1, 0, 32, 2048]);
  assertEquals([...cells.subarray(0, 8)], [3, 0, 0, 0, 1, 0, 0, 1]);
  assertEquals([...cells.subarray(16 * 4 - 4, 17 * 4)], [0, 0, 0, 0, 0, 32, 0, 0]);
  assertEquals(layout.mapped, [4, 512, 0, 1]);
});

Deno.test("close stretches are one, others stand by themselves", () => {
  const map = new MemoryMap();
  map.map(0xffff0, 1);
  map.mapMmio(0xfee00);
  const layout = layOut(map, [slot(0, 160), slot(256, 1024), slot(0xfffc0, 64)]);
  assertEquals(layout.stretches.map(({ start }) => start), [0, 0xfee00, 0xffe00]);
  assertEquals([sum(layout, Size.PAGE_4K), sum(layout, Size.MMIO)], [1, 1]);
  // RAM is where slots are: not between the two first.
  assertEquals(layout.cellFrames, 2);
  const { ram } = layout.stretches[0];
  assertEquals([ram[79], ram[80], ram[127], ram[128], ram[639]], [1, 0, 0, 1, 1]);
});

Deno.test("a 1 GiB page fills its cells, and what is mapped in it later replaces it", () => {
  const map = new MemoryMap();
  map.map(2 ** 18, 3);
  assertEquals(sum(layOut(map, []), Size.PAGE_1G), 2 ** 18);
  map.map(2 ** 18 + 7, 1);
  const layout = layOut(map, []);
  assertEquals([sum(layout, Size.PAGE_1G), sum(layout, Size.PAGE_4K)], [0, 1]);
});

Deno.test("a large page takes the place of small ones, and the other way round", () => {
  const map = new MemoryMap();
  map.map(3, 1);
  map.map(0, 2);
  assertEquals(layOut(map, []).mapped, [0, 512, 0, 0]);
  map.map(4, 1);
  assertEquals(layOut(map, []).mapped, [1, 0, 0, 0]);
});

Deno.test("a map of memory that is scattered everywhere keeps its bounds", () => {
  const map = new MemoryMap();
  for (let n = 0; n < 70_000; n++) map.map(n * 2 ** 23 + n, 1);
  assertEquals([map.blocks.size, map.left], [65_536, 70_000 - 65_536]);
  map.map(2 ** 40 - 2 ** 18, 3);
  const layout = layOut(map, [slot(2 ** 39, 2 ** 39)]);
  const cells = layout.stretches.reduce((all, { ram }) => all + ram.length, 0);
  assert(cells <= 2048, `${cells} cells`);
  assert(layout.stretches.length <= 8);
});
