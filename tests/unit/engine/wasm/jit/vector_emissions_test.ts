/** Moves, logic, integer lanes and shuffles of SSE: translated code does what the interpreter does. */

import { assert, assertEquals } from "@std/assert";
import { Cr0, Cr4 } from "../../../../../src/cpu/modes.ts";
import { State } from "../../../../../src/cpu/state.ts";
import { Random, seed } from "../../../../support/random.ts";
import { JitRig } from "../../../../support/jit_rig.ts";

const SEED = seed(0x55e1);
/** States for each form. */
const STATES = 40;

/** Opcodes behind 66 0F with both a register and a memory form of the second operand. */
const TWO_OPERANDS: Readonly<Record<string, readonly string[]>> = {
  logic: ["db", "df", "eb", "ef", "54", "55", "56", "57", "38 17"],
  sums: [
    "fc",
    "fd",
    "fe",
    "d4",
    "f8",
    "f9",
    "fa",
    "fb",
    "ec",
    "ed",
    "dc",
    "dd",
    "e8",
    "e9",
    "d8",
    "d9",
    "e0",
    "e3",
    "f6",
  ],
  products: ["d5", "e5", "e4", "f5", "f4", "38 40", "38 28"],
  "absolute values": ["38 1c", "38 1d", "38 1e"],
  comparisons: ["74", "75", "76", "38 29", "64", "65", "66", "38 37"],
  "minima and maxima": [
    "da",
    "de",
    "ea",
    "ee",
    "38 38",
    "38 39",
    "38 3a",
    "38 3b",
    "38 3c",
    "38 3d",
    "38 3e",
    "38 3f",
  ],
  packing: ["63", "67", "6b", "38 2b", "60", "61", "62", "68", "69", "6a", "6c", "6d", "14", "15"],
  "shifts by a register": ["d1", "d2", "d3", "e1", "e2", "f1", "f2", "f3"],
  "shuffles without an immediate": ["38 00", "38 10", "38 14", "38 15"],
  extensions: [
    "38 20",
    "38 21",
    "38 22",
    "38 23",
    "38 24",
    "38 25",
    "38 30",
    "38 31",
    "38 32",
    "38 33",
    "38 34",
    "38 35",
  ],
};
for (const [name, opcodes] of Object.entries(TWO_OPERANDS)) {
  check(
    name,
    opcodes.flatMap((opcode) =>
      ["ca", "c9", "0e", "46 10"].map((modrm) => `66 0f ${opcode} ${modrm}`)
    ),
  );
}

const SHUFFLES = [
  "66 0f 70",
  "f2 0f 70",
  "f3 0f 70",
  "0f c6",
  "66 0f c6",
  "66 0f 3a 0f",
  "66 0f 3a 0c",
  "66 0f 3a 0d",
  "66 0f 3a 0e",
];
check(
  "shuffles by an immediate",
  SHUFFLES.flatMap((opcode) =>
    ["ca 1b", "ca e4", "0e 72", "c9 0d", "ca 13", "0e 25"].map((rest) => `${opcode} ${rest}`)
  ),
);

check(
  "shifts by an immediate",
  ["71", "72", "73"].flatMap((opcode) =>
    (opcode === "73" ? ["d1", "f1", "d9", "f9"] : ["d1", "e1", "f1"]).flatMap((modrm) =>
      ["00", "03", "08", "0f", "10", "1f", "20", "3f", "40", "ff"].map((count) =>
        `66 0f ${opcode} ${modrm} ${count}`
      )
    )
  ),
);

/** Loads and stores, each with a register, memory, and memory at an odd place. */
const MOVES = [
  "0f 10",
  "66 0f 10",
  "f3 0f 10",
  "f2 0f 10",
  "0f 11",
  "66 0f 11",
  "f3 0f 11",
  "f2 0f 11",
  "0f 28",
  "66 0f 28",
  "0f 29",
  "66 0f 29",
  "66 0f 6f",
  "66 0f 7f",
  "f3 0f 6f",
  "f3 0f 7f",
  "f3 0f 12",
  "f2 0f 12",
  "f3 0f 16",
  "0f 12",
  "0f 16",
  "f3 0f 7e",
  "66 0f d6",
];
check(
  "moves",
  MOVES.flatMap((opcode) => ["ca", "c9", "0e", "4e 30"].map((modrm) => `${opcode} ${modrm}`)),
);
const MEMORY_MOVES = [
  "66 0f 12",
  "0f 13",
  "66 0f 13",
  "66 0f 16",
  "0f 17",
  "66 0f 17",
  "f2 0f f0",
  "0f 2b",
  "66 0f 2b",
  "66 0f e7",
  "66 0f 38 2a",
];
check(
  "moves with memory",
  MEMORY_MOVES.flatMap((opcode) => ["0e", "4e 30"].map((modrm) => `${opcode} ${modrm}`)),
);
check("moves with general registers", [
  "66 0f 6e ca",
  "66 48 0f 6e ca",
  "66 0f 6e 0e",
  "66 48 0f 6e 0e",
  "66 0f 7e ca",
  "66 48 0f 7e ca",
  "66 0f 7e 0e",
  "66 48 0f 7e 0e",
  "0f 50 d1",
  "66 0f 50 d1",
  "66 0f d7 d1",
  "66 44 0f d7 d1",
]);
check("single lanes", [
  "66 0f 3a 14 ca 05",
  "66 0f 3a 14 0e 0f",
  "66 0f 3a 15 ca 03",
  "66 0f 3a 15 0e 0f",
  "66 0f 3a 16 ca 02",
  "66 48 0f 3a 16 ca 03",
  "66 0f 3a 16 0e 01",
  "66 48 0f 3a 16 0e 00",
  "66 0f 3a 17 0e 03",
  "66 0f c5 d1 0b",
  "66 0f 3a 20 ca 1f",
  "66 0f 3a 20 0e 01",
  "66 0f 3a 22 ca 02",
  "66 48 0f 3a 22 ca 01",
  "66 0f 3a 22 0e 03",
  "66 0f c4 ca 06",
  "66 0f c4 0e 01",
]);

function check(name: string, forms: readonly string[]): void {
  Deno.test(`SSE ${name}: translated as interpreted (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (const form of forms) {
      const rig = new JitRig(form);
      for (let i = 0; i < STATES; i++) rig.check(random);
      assert(rig.bails < STATES, `${form} is never finished by translated code`);
    }
  });
}

Deno.test(`where SSE is disabled its instructions raise what they raise interpreted (seed ${SEED})`, () => {
  const random = new Random(SEED);
  const rig = new JitRig("66 0f ef ca");
  for (let i = 0; i < STATES; i++) {
    const before = rig.bails;
    const [offset, bits] = random.pick([[State.CR0, Cr0.TS], [State.CR0, Cr0.EM], [State.CR4, 0]]);
    rig.check(random, (state) => {
      if (bits === 0) state.set(offset, state.get(offset) & ~BigInt(Cr4.OSFXSR));
      else state.set(offset, state.get(offset) | BigInt(bits));
    });
    assertEquals(rig.bails, before + 1);
    rig.check(random);
    assertEquals(rig.bails, before + 1);
  }
});
