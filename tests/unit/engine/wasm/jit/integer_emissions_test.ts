/** General instructions: translated code does to every state what the interpreter does. */

import { assert } from "@std/assert";
import { State } from "../../../../../src/cpu/state.ts";
import { Random, seed } from "../../../../support/random.ts";
import { DATA_AT, JitRig } from "../../../../support/jit_rig.ts";

const SEED = seed(0x51a7);
/** States for each form. */
const STATES = 100;

/** By name: the forms; [esi] with 67, [rsi] else; RSI and RDI point to data. */
const FORMS: Readonly<Record<string, readonly string[]>> = {
  "XADD": [
    "0f c0 c8",
    "0f c0 e0",
    "66 0f c1 c8",
    "0f c1 c8",
    "48 0f c1 c0",
    "f0 48 0f c1 0e",
    "0f c1 0e",
    "66 0f c1 0e",
    "0f c0 2e",
  ],
  "BT and its kin with an offset in a register": [
    "0f a3 c8",
    "66 0f ab c8",
    "48 0f b3 c8",
    "0f bb c8",
    "0f ba e8 1f",
  ],
  "BMI": [
    "c4 e2 60 f2 c1",
    "c4 e2 e0 f2 06",
    "c4 e2 60 f3 c9",
    "c4 e2 e0 f3 c9",
    "c4 e2 60 f3 d1",
    "c4 e2 e0 f3 16",
    "c4 e2 60 f3 d9",
    "c4 e2 e0 f3 d9",
    "c4 e2 70 f7 c3",
    "c4 e2 f0 f7 c3",
    "c4 e2 70 f5 c3",
    "c4 e2 f0 f5 c3",
  ],
  "BMI2 without flags": [
    "c4 e2 63 f6 c1",
    "c4 e2 e3 f6 c1",
    "c4 e2 e3 f6 d9",
    "c4 e3 7b f0 c3 07",
    "c4 e3 fb f0 c3 27",
    "c4 e2 72 f7 c3",
    "c4 e2 f2 f7 c3",
    "c4 e2 71 f7 c3",
    "c4 e2 f1 f7 06",
    "c4 e2 73 f7 c3",
    "c4 e2 f3 f7 c3",
  ],
  "ADX": ["66 0f 38 f6 c3", "66 48 0f 38 f6 c3", "f3 0f 38 f6 c3", "f3 48 0f 38 f6 06"],
  "LAHF, SAHF, PAUSE and fences": ["f3 90", "9f", "9e", "0f ae e8", "0f ae f0", "0f ae f8"],
  "MOVBE": [
    "0f 38 f0 06",
    "66 0f 38 f0 06",
    "48 0f 38 f0 06",
    "0f 38 f1 06",
    "66 0f 38 f1 06",
    "48 0f 38 f1 06",
  ],
  "strings without REP": [
    "a4",
    "66 a5",
    "a5",
    "48 a5",
    "aa",
    "66 ab",
    "ab",
    "48 ab",
    "ac",
    "66 ad",
    "ad",
    "48 ad",
    "a6",
    "66 a7",
    "a7",
    "48 a7",
    "ae",
    "66 af",
    "af",
    "48 af",
    "67 a5",
    "67 48 ab",
  ],
  "MOV from a segment register": ["8c d8", "66 8c d8", "48 8c e0", "8c 2e"],
  "CLI": ["fa"],
};

for (const [name, forms] of Object.entries(FORMS)) {
  for (const seesFlags of [true, false]) {
    Deno.test(`${name}: translated as interpreted, with flags ${seesFlags ? "" : "not "}seen (seed ${SEED})`, () => {
      const random = new Random(SEED);
      for (const form of forms) {
        const rig = new JitRig(form, seesFlags);
        for (let i = 0; i < STATES; i++) rig.check(random);
      }
    });
  }
}

Deno.test(`CMPXCHG compares and exchanges as interpreted, equal or not (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (
    const form of [
      "0f b0 0e",
      "66 0f b1 0e",
      "f0 0f b1 0e",
      "f0 48 0f b1 0e",
      "0f b1 cb",
      "48 0f b1 cb",
      "66 0f b1 cb",
      "0f b0 cb",
      "0f b1 c8",
      "f0 48 0f c7 0e",
      "f0 0f c7 0e",
    ]
  ) {
    const rig = new JitRig(form);
    for (let i = 0; i < STATES; i++) {
      rig.check(random, (state, data) => {
        if (random.oneIn(2)) return;
        state.setGpr(3, state.gpr(0));
        const at = Number(state.gpr(6)) - DATA_AT;
        if (at < 0 || at > data.length - 16) return;
        const view = new DataView(data.buffer);
        state.setGpr(0, view.getBigUint64(at, true));
        const high = view.getBigUint64(at + 8, true);
        state.setGpr(2, random.oneIn(2) ? high : state.gpr(0) >> 32n);
      });
    }
  }
});

Deno.test(`a bit's offset in a register reaches beyond the operand in memory (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (
    const form of [
      "0f a3 0e",
      "66 0f a3 0e",
      "48 0f a3 0e",
      "f0 0f ab 0e",
      "66 0f ab 0e",
      "f0 48 0f b3 0e",
      "0f bb 0e",
      "67 0f ab 0e",
    ]
  ) {
    const rig = new JitRig(form);
    for (let i = 0; i < STATES; i++) {
      rig.check(
        random,
        (state) =>
          state.setGpr(
            1,
            state.gpr(1) & ~0xffffn | BigInt(random.below(4000) - 2000 & 0xffff) |
              (random.oneIn(2) ? 0n : -1n << 16n),
          ),
      );
      rig.check(random, (state) => state.setGpr(1, random.below(20000) - 2000));
    }
  }
});

Deno.test(`XLAT looks up as interpreted (seed ${SEED})`, () => {
  const random = new Random(SEED);
  const rig = new JitRig("d7");
  for (let i = 0; i < STATES; i++) rig.check(random, (state) => state.setGpr(3, state.gpr(6)));
});

Deno.test(`REP MOVS and REP STOS repeat as interpreted, within a page and beyond (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (
    const form of [
      "f3 aa",
      "66 f3 ab",
      "f3 ab",
      "f3 48 ab",
      "f3 a4",
      "f3 a5",
      "f3 48 a5",
      "f2 a4",
      "67 f3 a4",
      "67 f3 48 ab",
    ]
  ) {
    const rig = new JitRig(form);
    for (let i = 0; i < STATES; i++) {
      rig.check(random, (state) => {
        state.setGpr(
          1,
          random.pick([random.below(20), random.below(100), random.below(2000), state.gpr(1)]),
        );
        if (!random.oneIn(4)) state.set(State.RFLAGS, state.get(State.RFLAGS) & ~0x400n);
        if (random.oneIn(3)) state.setGpr(7, state.gpr(6) + BigInt(random.below(64) - 32));
        if (random.oneIn(2)) state.setGpr(0, BigInt(random.below(256)) * 0x0101_0101_0101_0101n);
      });
    }
    const before = rig.bails;
    for (let i = 0; i < STATES; i++) {
      rig.check(random, (state) => {
        state.setGpr(0, -1);
        state.setGpr(1, 5);
        state.setGpr(6, DATA_AT + 512);
        state.setGpr(7, DATA_AT + 256);
        state.set(State.RFLAGS, 2);
      });
    }
    // The budget does not always suffice.
    assert(rig.bails - before < STATES / 10, `${form}: ${rig.bails - before}`);
  }
});
