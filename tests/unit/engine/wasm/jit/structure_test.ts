/** How the blocks of a region are nested, and which of them are entered. */

import { assert, assertEquals } from "@std/assert";
import { NO_BLOCK, structureOf } from "../../../../../src/engine/wasm/jit/structure.ts";
import { Random, seed } from "../../../../support/random.ts";

/** The structure of blocks with these branches, of which the first is the start. */
function structure(successors: readonly (readonly number[])[], wanted: readonly number[] = []) {
  return structureOf({ successors, start: 0, wanted });
}

Deno.test("a block with one branch to it stands there, one with several behind their dominator", () => {
  const { hasLabel, behind, top, again } = structure([[1, 2], [3], [3], []]);
  assertEquals(hasLabel, [true, false, false, true]);
  assertEquals(behind[0], [3]);
  assertEquals(top, [0]);
  assert(!again);
});

Deno.test("two branches from the same block make a label", () => {
  assertEquals(structure([[1, 1], []]).hasLabel, [true, true]);
});

Deno.test("what leaves a loop stands behind it, what is in it inside", () => {
  // 1 to 3 is a loop with two ways to 3; 4 is where it leads.
  const { isLoop, behind, outside } = structure([[1], [2, 3], [3, 4], [1], []]);
  assertEquals(isLoop, [false, true, false, false, false]);
  assertEquals(behind[1], [3]);
  assertEquals(outside[1], [4]);
});

Deno.test("a way out of two loops leads behind the outer one", () => {
  const { isLoop, outside } = structure([[1], [2], [2, 1, 3], []]);
  assertEquals(isLoop, [false, true, true, false]);
  assertEquals(outside[1], [3]);
  assertEquals(outside[2], []);
});

Deno.test("a loop that is entered at its last block begins there", () => {
  const { isLoop, again } = structure([[2], [2], [1, 3], []]);
  assertEquals(isLoop, [false, false, true, false]);
  assert(!again);
});

Deno.test("a loop is entered from outside at its first block, so that who has left it comes back", () => {
  const { entries } = structure([[1], [2], [1, 3], []]);
  assertEquals(entries, [0, 1]);
});

Deno.test("a wanted entry in the middle of a loop is none, elsewhere it is one", () => {
  assertEquals(structure([[1], [2], [1, 3], []], [2]).entries, [0, 1]);
  assertEquals(structure([[1, 2], [2], []], [2]).entries, [0, 2]);
});

Deno.test("a loop is wherever control comes back to the start in its middle", () => {
  const { isLoop, again } = structureOf({ successors: [[1], [2], [0, 1]], start: 1, wanted: [0] });
  assertEquals(isLoop, [false, true, false]);
  assert(!again);
});

Deno.test("what is entered at two places goes by the switch", () => {
  const { again, entries } = structure([[1, 2], [2], [1]]);
  assert(again);
  assert(entries.includes(1) || entries.includes(2));
});

/** All that control reaches from `from`, without `without`. */
function reachable(
  successors: readonly (readonly number[])[],
  from: readonly number[],
  without = NO_BLOCK,
): Set<number> {
  const found = new Set<number>(from.filter((block) => block !== without));
  for (const block of found) {
    for (const to of successors[block]) if (to !== without) found.add(to);
  }
  return found;
}

Deno.test("blocks at random: every branch finds its label open", () => {
  const random = new Random(seed(20261125));
  for (let i = 0; i < 20_000; i++) {
    const count = 1 + random.below(9);
    const successors = Array.from(
      { length: count },
      () => Array.from({ length: random.below(4) }, () => random.below(count)),
    );
    const wanted = Array.from({ length: random.below(3) }, () => random.below(count));
    const start = random.below(count);
    const text = `seed ${random.seed}, ${i}: ${JSON.stringify({ successors, start, wanted })}`;
    check(successors, start, wanted, text);
  }
});

function check(
  successors: readonly (readonly number[])[],
  start: number,
  wanted: readonly number[],
  text: string,
): void {
  const made = structureOf({ successors, start, wanted });
  const { entries, top, behind, outside, isLoop, hasLabel, order } = made;
  assertEquals(entries[0], start, text);
  const live = reachable(successors, entries);
  for (const block of [start, ...wanted]) assert(live.has(block), text);
  assertEquals(new Set(order.flatMap((at, block) => at === NO_BLOCK ? [] : [block])), live, text);
  for (const block of live) {
    // A loop is what comes back to a block that all ways to there come through.
    const comesBack = [...live].some((from) =>
      successors[from].includes(block) && order[from] >= order[block] &&
      !reachable(successors, entries, block).has(from)
    );
    assertEquals(isLoop[block], comesBack, `${text}: loop ${block}`);
  }
  const written = new Set<number>();
  const open = new Set<number>();
  const loops = new Set<number>();
  let again = false;
  const labelled = (blocks: readonly number[], first: () => void) => {
    for (const block of blocks) open.add(block);
    first();
    for (const block of blocks) {
      open.delete(block);
      tree(block);
    }
  };
  const tree = (block: number) => {
    assert(!written.has(block), `${text}: ${block} twice`);
    written.add(block);
    labelled(outside[block], () => {
      if (isLoop[block]) loops.add(block);
      labelled(behind[block], () => successors[block].forEach((to) => branch(block, to)));
      loops.delete(block);
    });
  };
  const branch = (from: number, to: number) => {
    if (order[to] > order[from]) {
      if (hasLabel[to]) assert(open.has(to), `${text}: ${from} to ${to}`);
      else tree(to);
    } else if (!loops.has(to)) {
      again = true;
      assert(entries.includes(to), `${text}: again from ${from} to ${to}`);
    }
  };
  labelled(top, () => entries.forEach((entry) => assert(open.has(entry), text)));
  assertEquals(written, live, text);
  assertEquals(made.again, again, text);
}
