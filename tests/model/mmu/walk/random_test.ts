/** The walker against the reference over random tables, roles, addresses and accesses. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { PagingMode } from "../../../../src/mmu/role.ts";
import { NestedWalk, RegionTables, Walker, WalkFault } from "../../../../src/mmu/walk/mod.ts";
import { isEpt } from "../../../support/guest_tables.ts";
import { Random, seed } from "../../../support/random.ts";
import {
  ACCESSES,
  describeAnswer,
  describeRole,
  describeWalk,
  Pair,
  referenceCpu,
  referenceEpt,
  referenceMemory,
  wordOf,
} from "./pair.ts";
import { fillPdptes, fillTables, randomLinear, randomRole } from "./random_tables.ts";
import {
  type ReferenceAccess,
  type ReferenceEpt,
  referenceEptWalk,
  type ReferenceMemory,
  referencePdptes,
  referenceWalk,
} from "./reference_walker.ts";

const FRAMES = 16;
const IMAGES = 60;
const WALKS = 250;

/** What became of the walks, so that a test can see that it tested something. */
interface Tally {
  reached: number;
  faulted: number;
}

function compareImages(mode: PagingMode, random: Random): Tally {
  const tally = { reached: 0, faulted: 0 };
  const pair = new Pair(FRAMES * 4096);
  for (let image = 0; image < IMAGES; image++) {
    fillTables(random, pair.memory, mode, FRAMES);
    const cr3 = random.below(FRAMES) * 4096;
    if (mode === PagingMode.PAE) fillPdptes(random, pair.memory, cr3, FRAMES);
    pair.synchronise();
    const role = randomRole(random, mode);
    const { walker } = pair;
    walker.setRole(role);
    walker.setRoot(cr3, 0);
    const pdpte = referencePdptes(BigInt(cr3), pair.reference, BigInt(role.maxPhyAddrBits));
    if (mode === PagingMode.PAE) {
      assertEquals(walker.loadPdptrs(cr3), pdpte !== undefined, `seed ${random.seed}`);
      if (pdpte === undefined) continue;
    }
    for (let i = 0; i < WALKS; i++) {
      const linear = randomLinear(random, mode);
      const access = random.pick(ACCESSES);
      walker.pkru = random.u32();
      const cpu = isEpt(mode)
        ? referenceEpt(role, BigInt(cr3))
        : referenceCpu(role, { cr3: BigInt(cr3), pkru: walker.pkru, pdpte: pdpte ?? [] });
      // Twice: the first walk sets flags, the second mostly finds all as it should be.
      for (let times = 0; times < 2; times++) {
        const expected = pair.expected(cpu, linear, access);
        const where = `seed ${random.seed}, image ${image}, walk ${i}, ${linear.toString(16)}, ` +
          `${JSON.stringify(access)}, pkru ${walker.pkru}, ${describeRole(role)}`;
        if (!pair.agrees(expected, linear, access)) {
          assertEquals(describeWalk(walker, linear), describeAnswer(expected), where);
        }
        if ("errorCode" in expected) tally.faulted++;
        else tally.reached++;
      }
      if (i % 10 === 0) {
        assertEquals(pair.difference(), undefined, `seed ${random.seed}, walk ${i}`);
      }
    }
    assertEquals(pair.difference(), undefined, `seed ${random.seed}, image ${image}`);
  }
  return tally;
}

for (const [name, mode] of Object.entries(PagingMode)) {
  Deno.test(`random tables in mode ${name} are walked as the reference walks them`, () => {
    const tally = compareImages(mode, new Random(seed(0x3a1 + mode)));
    if (mode === PagingMode.NONE) return;
    assert(tally.reached > 1000, `only ${tally.reached} addresses were translated`);
    assert(tally.faulted > 1000, `only ${tally.faulted} faults`);
  });
}

/** The second translation refused an address. */
class NestedFault {
  constructor(readonly address: bigint) {}
}

/** L1 memory as a nested guest's tables see it: each address goes through EPT. */
function throughEpt(memory: ReferenceMemory, ept: ReferenceEpt): ReferenceMemory {
  const translate = (address: bigint, kind: ReferenceAccess["kind"]): bigint => {
    const answer = referenceEptWalk(ept, memory, address, kind);
    if ("errorCode" in answer) throw new NestedFault(address);
    return answer.address;
  };
  return {
    // SDM 3C §28.3.3.2: with accessed and dirty flags, reads of paging structures count as writes.
    read: (address, bytes) =>
      memory.read(translate(address, ept.accessedDirty ? "write" : "read"), bytes),
    write: (address, bytes, value) => memory.write(translate(address, "write"), bytes, value),
    writable: () => true,
    translatePage: translate,
  };
}

Deno.test("random nested tables are walked as the reference walks them through its EPT", () => {
  const random = new Random(seed(0x3b0));
  const tally = { reached: 0, guest: 0, nested: 0 };
  const pair = new Pair(2 * FRAMES * 4096);
  for (let image = 0; image < 4 * IMAGES; image++) {
    const mode = random.pick([PagingMode.BITS32, PagingMode.LEVEL4, PagingMode.LEVEL5]);
    // Outer tables in the upper frames, inner ones below; the outer ones map mostly small pages.
    fillTables(random, pair.memory, mode, FRAMES);
    const [inner, outer] = [randomRole(random, mode), randomRole(random, PagingMode.EPT4)];
    const eptRoot = identityEpt(random, pair, FRAMES);
    pair.synchronise();
    const tables = new RegionTables(pair.memory);
    const outerWalker = new Walker(tables);
    outerWalker.setRole(outer);
    outerWalker.setRoot(eptRoot, 0);
    const walker = new Walker(tables, new NestedWalk(outerWalker));
    const cr3 = random.below(FRAMES) * 4096;
    walker.setRole(inner);
    walker.setRoot(cr3, 0);
    const cpu = referenceCpu(inner, { cr3: BigInt(cr3) });
    const nested = throughEpt(referenceMemory(pair.copy), referenceEpt(outer, BigInt(eptRoot)));
    for (let i = 0; i < WALKS / 4; i++) {
      const linear = randomLinear(random, mode);
      const access = random.pick(ACCESSES);
      walker.walk(Number(linear & 0xffff_ffffn), Number(linear >> 32n), wordOf(access));
      let expected: string;
      try {
        expected = describeAnswer(referenceWalk(cpu, nested, linear, access));
      } catch (fault) {
        if (!(fault instanceof NestedFault)) throw fault;
        expected = `nested fault at 0x${fault.address.toString(16)}`;
      }
      const where = `seed ${random.seed}, image ${image}, walk ${i}, ${linear.toString(16)}, ` +
        `${JSON.stringify(access)}, ${describeRole(inner)}, ${describeRole(outer)}`;
      assertEquals(describeWalk(walker, linear), expected, where);
      if (walker.result.fault === WalkFault.NONE) tally.reached++;
      else if (walker.result.fault === WalkFault.NESTED) tally.nested++;
      else tally.guest++;
    }
    assertEquals(pair.difference(), undefined, `seed ${random.seed}, image ${image}`);
  }
  assert(tally.reached > 300 && tally.guest > 300 && tally.nested > 300, JSON.stringify(tally));
});

/** EPT tables in the frames above `frames` that map the frames below it one to one, mostly. */
function identityEpt(random: Random, pair: Pair, frames: number): number {
  const { memory } = pair;
  const [pml4, pdpt, pd, pt] = [0, 1, 2, 3].map((index) => (frames + index) * 4096);
  memory.fill(gpa(pml4), 4 * 4096, 0);
  const flags = () => BigInt(0x7 | random.pick([0, 0x100, 0x300]));
  for (let index = 0; index < 512; index++) {
    const at = (table: number) => gpa(table + index * 8);
    // High parts of random addresses all come down to the one table at each level.
    memory.writeU64(at(pml4), BigInt(pdpt) | flags());
    memory.writeU64(at(pdpt), BigInt(pd) | flags());
    memory.writeU64(at(pd), BigInt(pt) | flags());
    const rights = random.pick([7, 7, 7, 7, 7, 5, 3, 1, 4, 0, 2]);
    const frame = BigInt(index < frames || random.oneIn(2) ? index % frames : random.u32());
    memory.writeU64(at(pt), frame << 12n | flags() & ~7n | BigInt(rights));
  }
  return pml4;
}
