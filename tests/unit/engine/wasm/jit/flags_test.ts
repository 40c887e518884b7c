/** Status flags of translated code: any instruction's, kept or replaced by another, under all conditions. */

import { JitRig } from "../../../../support/jit_rig.ts";
import { Random, seed } from "../../../../support/random.ts";

const SEED = seed(0xf1a6);
/** States for each form. */
const STATES = 20;

/** By name: what sets all flags. RAX, RBX, RCX and RDX are anything; RSI points to data. */
const SETTERS: Readonly<Record<string, readonly string[]>> = {
  "ADD and XADD": ["00 d8", "66 01 d8", "01 d8", "48 01 d8", "0f c1 d8"],
  "SUB, CMP and NEG": ["28 d8", "66 29 d8", "39 d8", "48 39 d8", "f7 d8", "48 f7 d8"],
  "ADC and SBB": [
    "f9 10 d8",
    "f9 11 d8",
    "f9 48 11 d8",
    "f9 19 d8",
    "f9 48 19 d8",
    "f9 19 c0",
    "f5 48 19 db",
    "f5 66 19 c0",
  ],
  "logic and SAHF": ["21 d8", "48 21 d8", "84 c0", "66 85 c0", "9e"],
  "SHL": ["c0 e0 03", "c0 e0 0b", "66 d1 e0", "66 c1 e0 13", "d1 e0", "c1 e0 1f", "48 c1 e0 28"],
  "SHR": ["c0 e8 03", "c0 e8 0b", "66 d1 e8", "66 c1 e8 13", "d1 e8", "c1 e8 1f", "48 c1 e8 28"],
  "SAR": ["c0 f8 03", "c0 f8 0b", "66 d1 f8", "66 c1 f8 13", "d1 f8", "c1 f8 1f", "48 c1 f8 28"],
  "shifts by CL": ["d2 e0", "66 d3 e0", "d3 e0", "48 d3 e0", "d2 e8", "66 d3 e8", "48 d3 f8"],
  "SHLD and SHRD": ["0f a4 d8 05", "48 0f a4 d8 25", "0f ac d8 05", "48 0f ac d8 25"],
  "MUL and IMUL": ["f6 e3", "66 f7 e3", "f7 e3", "48 f7 e3", "f7 eb", "0f af c3", "48 0f af c3"],
  "bits": ["0f bc c3", "48 0f bd c3", "f3 0f bc c3", "f3 48 0f bd c3", "f3 0f b8 c3"],
};

/** What keeps some flags: INC, DEC, BT and BTS, CLC, STC, CMC, rotations. */
const KEEPERS: readonly string[] = [
  "90",
  "ff c1",
  "48 ff c9",
  "66 ff c1",
  "fe c9",
  "ff c1 ff c2",
  "ff c9 48 ff c2",
  "0f a3 d1",
  "48 0f ab d1",
  "f8",
  "f9",
  "f5",
  "c1 c2 05",
  "48 c1 ca 07",
  "d3 c2",
  "c1 c2 05 0f a3 d1",
  "0f a3 d1 ff c9",
  "c1 ca 09 48 ff c2",
  "0f a3 d1 f5",
  "f9 c1 c2 05",
];
/** A jump to what follows: the next block knows nothing of the flags. */
const JUMP = "eb 00";

/** SETcc [RSI + at + cc]. */
function conditions(at: number): string {
  const all = Array.from({ length: 16 }, (_, cc) => [0x0f, 0x90 | cc, 0x86, at + cc, 0, 0, 0]);
  return all.flat().map((byte) => byte.toString(16)).join(" ");
}

for (const [name, setters] of Object.entries(SETTERS)) {
  for (const where of ["in one block", "in another block"]) {
    Deno.test(`${name}: flags kept ${where} fulfil the conditions as interpreted (seed ${SEED})`, () => {
      const random = new Random(SEED);
      const between = where === "in one block" ? [] : [JUMP];
      for (const setter of setters) {
        for (let first = 0; first < KEEPERS.length; first += 6) {
          const code = KEEPERS.slice(first, first + 6).flatMap((keeper, i) => [
            setter,
            ...between,
            keeper,
            conditions(i * 16),
          ]);
          const rig = new JitRig(code.join(" "));
          for (let i = 0; i < STATES; i++) rig.check(random);
        }
      }
    });
  }
}
