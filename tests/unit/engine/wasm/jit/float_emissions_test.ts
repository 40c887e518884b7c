/**
 * Floating point of SSE: translated code gives the interpreter's bits and flags for numbers of all
 * kinds under many an MXCSR, and does the usual ones itself.
 */

import { assert } from "@std/assert";
import { State } from "../../../../../src/cpu/state.ts";
import { Random, seed } from "../../../../support/random.ts";
import { JitRig } from "../../../../support/jit_rig.ts";

const SEED = seed(0xf10a);
/** States for each form. */
const STATES = 250;

const OPERANDS = ["ca", "c9", "0e"];
const ARITHMETIC = ["51", "58", "59", "5c", "5d", "5e", "5f"];
const packed = (opcode: string) => [`66 0f ${opcode}`, `0f ${opcode}`];
const scalar = (opcode: string) => [`f2 0f ${opcode}`, `f3 0f ${opcode}`];

check("scalar arithmetic", ARITHMETIC.flatMap(scalar).flatMap(withOperands));
check("packed arithmetic", ARITHMETIC.flatMap(packed).flatMap(withOperands));
check(
  "packed comparisons to masks",
  packed("c2").flatMap((opcode) => Array.from({ length: 8 }, (_, i) => `${opcode} ca 0${i}`)),
);
check(
  "scalar comparisons to flags",
  ["0f 2e", "66 0f 2e", "0f 2f", "66 0f 2f"].flatMap(withOperands),
);
check(
  "scalar comparisons to masks",
  scalar("c2").flatMap((opcode) => Array.from({ length: 8 }, (_, i) => `${opcode} ca 0${i}`)),
);
check(
  "rounding",
  ["66 0f 3a 0a", "66 0f 3a 0b"].flatMap((opcode) =>
    ["00", "01", "02", "03", "04", "08", "0b"].map((mode) => `${opcode} ca ${mode}`)
  ),
);
check(
  "conversions between formats",
  [
    "f3 0f 5a",
    "f2 0f 5a",
    "f3 0f e6",
    "0f 5b",
    "0f 5a",
    "66 0f 5a",
    "66 0f 5b",
    "f3 0f 5b",
    "f2 0f e6",
    "66 0f e6",
  ].flatMap(withOperands),
);
check(
  "conversions of integers",
  ["f2 0f 2a", "f3 0f 2a", "f2 48 0f 2a", "f3 48 0f 2a"].flatMap(withOperands),
);
check(
  "conversions to integers",
  ["2c", "2d"].flatMap(scalar).flatMap((opcode) =>
    [opcode, opcode.replace(" ", " 48 ")].flatMap(withOperands)
  ),
);

function withOperands(opcode: string): string[] {
  return OPERANDS.map((modrm) => `${opcode} ${modrm}`);
}

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

Deno.test("exact results of doubles are left to translated code before PE is set", () => {
  const random = new Random(SEED);
  for (const opcode of ["58", "5c", "59", "5e", "51"]) {
    for (const prefix of ["f2", "66"]) {
      const form = `${prefix} 0f ${opcode} ca`;
      const rig = new JitRig(form);
      for (let i = 0; i < STATES; i++) {
        const by = random.below(1000) + 1;
        rig.check(random, (state) => {
          state.view.setUint32(State.XSAVE + 24, 0x1f80, true);
          for (const lane of [0, 8]) {
            const at = State.XSAVE + 160 + lane;
            state.view.setFloat64(at + 16, by * random.below(2000), true);
            state.view.setFloat64(at + 32, form.includes("51") ? by * by : by, true);
          }
        });
      }
      assert(rig.bails === 0, `${form}: ${rig.bails}`);
    }
  }
});

Deno.test("what is rounded up to the smallest normal number has been below it: UE", () => {
  const random = new Random(SEED);
  const tiny = [[2 ** -1022, 1 - 2 ** -53, 8], [2 ** -126, 1 - 2 ** -24, 4]] as const;
  const forms = [["f2 0f 59 ca", 0], ["66 0f 59 ca", 0], ["f3 0f 59 ca", 1], [
    "0f 59 ca",
    1,
  ]] as const;
  for (const [form, which] of forms) {
    const [x, y, bytes] = tiny[which];
    const rig = new JitRig(form);
    rig.check(random, ({ view }) => {
      view.setUint32(State.XSAVE + 24, 0x1fa0, true);
      const set = bytes === 8 ? view.setFloat64.bind(view) : view.setFloat32.bind(view);
      for (let lane = 0; lane < 16; lane += bytes) {
        set(State.XSAVE + 176 + lane, x, true);
        set(State.XSAVE + 192 + lane, y, true);
      }
    });
    assert(rig.bails === 1, form);
  }
  for (const form of ["f2 0f 5a ca", "66 0f 5a ca"]) {
    const rig = new JitRig(form);
    rig.check(random, ({ view }) => {
      view.setUint32(State.XSAVE + 24, 0x1fa0, true);
      for (const lane of [0, 8]) {
        view.setFloat64(State.XSAVE + 192 + lane, 2 ** -126 * (1 - 2 ** -26), true);
      }
    });
    assert(rig.bails === 1, form);
  }
});
