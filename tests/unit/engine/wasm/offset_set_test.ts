/** Sets of offsets in a page. */

import { assertEquals } from "@std/assert";
import { OffsetSet } from "../../../../src/engine/wasm/offset_set.ts";

/** Offsets of a page that the set has. */
function membersOf(set: OffsetSet): number[] {
  return [...new Array(4096).keys()].filter((offset) => set.has(offset));
}

Deno.test("a set has what has been added to it, and no other set has", () => {
  const set = new OffsetSet();
  const other = new OffsetSet();
  const offsets = [0, 31, 32, 33, 2047, 4095];
  for (const offset of [...offsets, 33]) set.add(offset);
  assertEquals(membersOf(set), offsets);
  assertEquals(membersOf(other), []);
});

Deno.test("a set that has been cleared is empty, and can be filled again", () => {
  const set = new OffsetSet();
  set.add(5);
  set.clear();
  assertEquals(membersOf(set), []);
  set.add(4095);
  assertEquals(membersOf(set), [4095]);
});
