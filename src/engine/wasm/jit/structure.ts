/**
 * How a region's blocks become WebAssembly's nested ones: which are entered from outside, which are
 * loops, and behind which other block each one stands (N. Ramsey, "Beyond Relooper", ICFP 2022).
 *
 * A block that only one branch leads to is written right there. Any other one has a label: it stands
 * behind the block that all ways to it come through (its dominator), or behind the loop that those
 * ways leave. Branches backward to a loop's first block, which dominates the loop, go to the beginning
 * of WebAssembly's `loop`; others enter the function's switch again.
 */

/** No block. */
export const NO_BLOCK = -1;

/** The graph of a region: blocks by number. */
export interface Graph {
  /** By block: where each of its branches in the region leads, and where it goes on. */
  readonly successors: readonly (readonly number[])[];
  /** The block that the region is made for. */
  readonly start: number;
  /** Others to which control is known to come from outside. */
  readonly wanted: readonly number[];
}

/** See above. */
export interface Structure {
  /** Blocks that the switch leads to. */
  readonly entries: readonly number[];
  /** Blocks that stand side by side in the function, in their order. */
  readonly top: readonly number[];
  /** By block: those that stand behind it, in their order, inside of its loop if it begins one. */
  readonly behind: readonly (readonly number[])[];
  /** By block that begins a loop: those that stand behind the loop, in their order. */
  readonly outside: readonly (readonly number[])[];
  /** By block: whether a loop begins there. */
  readonly isLoop: readonly boolean[];
  /** By block: whether it is in a loop that has no other loop in it. */
  readonly isInner: readonly boolean[];
  /** By block: whether it has a label; else it stands where the only branch to it is. */
  readonly hasLabel: readonly boolean[];
  /** By block: its place in the order in which control comes to them; `NO_BLOCK` when it never does. */
  readonly order: readonly number[];
  /** Some branch enters the switch again. */
  readonly again: boolean;
}

/** Finds the structure of a region. */
export function structureOf(graph: Graph): Structure {
  const entries = entriesOf(graph);
  for (;;) {
    const flow = new Flow(graph.successors, entries);
    const more = flow.missingEntries();
    if (more.length === 0) return flow.structure();
    entries.push(...more);
  }
}

/**
 * The start, and of the others those that do not make a loop one that is entered at two places: they
 * get regions of their own, which go over to the loop's.
 */
function entriesOf({ successors, start, wanted }: Graph): number[] {
  const entries = [start];
  const reached = new Uint8Array(successors.length);
  const reach = (from: number, marks: Uint8Array) => {
    const stack = [from];
    while (stack.length > 0) {
      for (const to of successors[stack.pop()!]) {
        if (marks[to] !== 0) continue;
        marks[to] = 1;
        stack.push(to);
      }
    }
  };
  reach(start, reached);
  reached[start] = 1;
  for (const block of wanted) {
    if (block === start) continue;
    if (reached[block] !== 0) {
      const marks = new Uint8Array(successors.length);
      reach(block, marks);
      if (marks[block] !== 0) continue;
    }
    entries.push(block);
    reach(block, reached);
    reached[block] = 1;
  }
  return entries;
}

/** Control flow from given entries. */
class Flow {
  readonly #successors: readonly (readonly number[])[];
  readonly #entries: readonly number[];
  /** Blocks in reverse postorder: all ways but those backward lead from earlier ones to later ones. */
  readonly #sorted: number[] = [];
  /** By block: its position in `sorted`. */
  readonly #order: number[];
  /** By block: where control comes from, once for each branch. */
  readonly #predecessors: readonly number[][];
  /** By block: the last block that all ways to it come through; NO_BLOCK: there is none. */
  readonly #dominators: number[];
  /** By block: the innermost loop that it is in, by the loop's first block, which is in it itself. */
  readonly #loops: number[];
  /** By loop: the one around it. */
  readonly #around: number[];
  #again = false;

  constructor(successors: readonly (readonly number[])[], entries: readonly number[]) {
    const count = successors.length;
    this.#successors = successors;
    this.#entries = entries;
    this.#order = new Array<number>(count).fill(NO_BLOCK);
    this.#predecessors = successors.map(() => []);
    this.#dominators = new Array<number>(count).fill(NO_BLOCK);
    this.#loops = new Array<number>(count).fill(NO_BLOCK);
    this.#around = new Array<number>(count).fill(NO_BLOCK);
    this.#sort();
    for (const block of this.#sorted) {
      for (const to of successors[block]) this.#predecessors[to].push(block);
    }
    this.#findDominators();
    this.#findLoops();
  }

  #sort(): void {
    const seen = new Uint8Array(this.#successors.length);
    const visit = (block: number) => {
      seen[block] = 1;
      for (const to of this.#successors[block]) if (seen[to] === 0) visit(to);
      this.#sorted.push(block);
    };
    for (const block of this.#entries) if (seen[block] === 0) visit(block);
    this.#sorted.reverse();
    this.#sorted.forEach((block, position) => this.#order[block] = position);
  }

  /** Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm". */
  #findDominators(): void {
    const order = this.#order;
    const dominators = this.#dominators;
    const isEntry = new Uint8Array(order.length);
    for (const block of this.#entries) isEntry[block] = 1;
    const found = new Uint8Array(order.length);
    const common = (a: number, b: number) => {
      while (a !== b) {
        if (a === NO_BLOCK || b === NO_BLOCK) return NO_BLOCK;
        if (order[a] > order[b]) a = dominators[a];
        else b = dominators[b];
      }
      return a;
    };
    for (let changed = true; changed;) {
      changed = false;
      for (const block of this.#sorted) {
        let dominator = NO_BLOCK;
        if (isEntry[block] === 0) {
          let first = true;
          for (const from of this.#predecessors[block]) {
            if (found[from] === 0) continue;
            dominator = first ? from : common(dominator, from);
            first = false;
          }
        }
        if (found[block] !== 0 && dominators[block] === dominator) continue;
        found[block] = 1;
        dominators[block] = dominator;
        changed = true;
      }
    }
  }

  #dominates(block: number, other: number): boolean {
    while (other !== NO_BLOCK && this.#order[other] > this.#order[block]) {
      other = this.#dominators[other];
    }
    return other === block;
  }

  #isBackward(from: number, to: number): boolean {
    return this.#order[to] <= this.#order[from];
  }

  /** Inner loops first: what is in one already is in the outer one by its first block. */
  #findLoops(): void {
    for (const header of this.#sorted.toReversed()) {
      const inside = this.#predecessors[header].filter((from) =>
        this.#isBackward(from, header) && this.#dominates(header, from)
      );
      if (inside.length === 0) continue;
      this.#loops[header] = header;
      while (inside.length > 0) {
        let block = inside.pop()!;
        for (let loop = this.#loops[block]; loop !== NO_BLOCK; loop = this.#around[loop]) {
          block = loop;
        }
        if (block === header) continue;
        if (this.#loops[block] === block) this.#around[block] = header;
        else this.#loops[block] = header;
        inside.push(...this.#predecessors[block].filter((from) => this.#order[from] !== NO_BLOCK));
      }
    }
  }

  #isIn(block: number, loop: number): boolean {
    for (let at = this.#loops[block]; at !== NO_BLOCK; at = this.#around[at]) {
      if (at === loop) return true;
    }
    return false;
  }

  /** Blocks that have to be entries, too: targets of branches backward that close no loop. */
  missingEntries(): number[] {
    const missing = new Set<number>();
    for (const block of this.#sorted) {
      for (const to of this.#successors[block]) {
        if (!this.#isBackward(block, to) || this.#dominates(to, block)) continue;
        this.#again = true;
        if (!this.#entries.includes(to)) missing.add(to);
      }
    }
    // Who has left a loop comes back at its beginning.
    for (const block of this.#sorted) {
      const outermost = this.#loops[block] === block && this.#around[block] === NO_BLOCK;
      if (outermost && !this.#entries.includes(block)) missing.add(block);
    }
    return [...missing];
  }

  structure(): Structure {
    const isLoop = this.#loops.map((loop, block) => loop === block);
    const hasLabel = isLoop.map(() => false);
    const top: number[] = [];
    const behind = isLoop.map((): number[] => []);
    const outside = isLoop.map((): number[] => []);
    for (const block of this.#sorted) {
      hasLabel[block] = this.#needsLabel(block);
      if (!hasLabel[block]) continue;
      // Out of the loops that it is not in.
      let place = this.#dominators[block];
      let loop = NO_BLOCK;
      while (place !== NO_BLOCK) {
        const innermost = this.#loops[place] === place && loop === place
          ? this.#around[place]
          : this.#loops[place];
        if (innermost === NO_BLOCK || this.#isIn(block, innermost)) break;
        place = loop = innermost;
      }
      if (place === NO_BLOCK) top.push(block);
      else if (loop === NO_BLOCK) behind[place].push(block);
      else outside[place].push(block);
    }
    return {
      entries: this.#entries,
      top,
      behind,
      outside,
      isLoop,
      isInner: this.#loops.map((loop) => loop !== NO_BLOCK && !this.#around.includes(loop)),
      hasLabel,
      order: this.#order,
      again: this.#again,
    };
  }

  #needsLabel(block: number): boolean {
    if (this.#entries.includes(block)) return true;
    const from = this.#predecessors[block].filter((one) => !this.#isBackward(one, block));
    if (from.length !== 1) return true;
    const loop = this.#loops[from[0]];
    return loop !== NO_BLOCK && !this.#isIn(block, loop);
  }
}
