/** Which branches backward become WebAssembly's loops. */

import { assertEquals } from "@std/assert";
import { Insn } from "../../../../../src/engine/wasm/insn.ts";
import { ROWS } from "../../../../../src/engine/wasm/isa/table.ts";
import { findLoops, NO_LOOP } from "../../../../../src/engine/wasm/jit/loops.ts";
import type { PlannedBlock } from "../../../../../src/engine/wasm/jit/plan.ts";

const JCC = ROWS.find(({ mnemonic, operands }) => mnemonic === "j" && operands[0] === "Jb")!;
/** Bytes of a block. */
const SIZE = 16;

/** A block that branches to `targets` when their conditions hold, and else goes on. */
function block(position: number, targets: readonly number[], isEntry = false): PlannedBlock {
  const insns = targets.map((target, i) => {
    const insn = new Insn();
    insn.row = JCC;
    insn.offset = position * SIZE + i;
    insn.next = i === targets.length - 1 ? (position + 1) * SIZE : insn.offset + 1;
    insn.immLo = target * SIZE - insn.next;
    return insn;
  });
  return { offset: position * SIZE, insns, steps: false, falls: true, isEntry };
}

/** The loops of blocks with these branches; those in `entries` are entered from outside. */
function loopsOf(branches: readonly (readonly number[])[], entries: readonly number[] = [0]) {
  return findLoops(branches.map((targets, i) => block(i, targets, entries.includes(i))));
}

/** A branch that leaves the region. */
const OUT = 99;

Deno.test("a block that branches to itself is a loop", () => {
  assertEquals(loopsOf([[OUT], [1], [OUT]]), { ends: [NO_LOOP, 1, NO_LOOP], others: false });
});

Deno.test("a loop reaches to the last branch to its beginning", () => {
  assertEquals(loopsOf([[OUT], [1], [1], [OUT]]), {
    ends: [NO_LOOP, 2, NO_LOOP, NO_LOOP],
    others: false,
  });
});

Deno.test("loops are inside of each other", () => {
  assertEquals(loopsOf([[OUT], [OUT], [2], [1], [OUT]]), {
    ends: [NO_LOOP, 3, 2, NO_LOOP, NO_LOOP],
    others: false,
  });
});

Deno.test("loops that overlap are made one in the other", () => {
  // 1 to 3 by the branch of 3, 2 to 4 by the branch of 4: the outer one takes in all.
  assertEquals(loopsOf([[OUT], [OUT], [OUT], [1], [2], [OUT]]).ends.slice(1, 3), [4, 4]);
});

Deno.test("a branch into the middle from outside makes it none", () => {
  assertEquals(loopsOf([[2], [OUT], [1], [OUT]]), {
    ends: [NO_LOOP, NO_LOOP, NO_LOOP, NO_LOOP],
    others: true,
  });
});

Deno.test("an entry from another region in the middle makes it none, at the beginning does not", () => {
  assertEquals(loopsOf([[OUT], [OUT], [1], [OUT]], [2]).others, true);
  assertEquals(loopsOf([[OUT], [OUT], [1], [OUT]], [1]).ends[1], 2);
});

Deno.test("a loop around what is none is none", () => {
  const inner = [[OUT], [3], [OUT], [2], [1], [OUT]]; // 2 to 3 is entered at 3
  assertEquals(loopsOf(inner), { ends: new Array(6).fill(NO_LOOP), others: true });
});
