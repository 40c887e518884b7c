/** PCMPISTRI of bytes translated: what the interpreter says, in every form. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { State } from "../../../../../src/cpu/state.ts";
import { CodeSize } from "../../../../../src/engine/wasm/cpu.ts";
import { emissionOf } from "../../../../../src/engine/wasm/jit/emit/table.ts";
import { code, DATA_AT, decodeAll, runBoth } from "../../../../support/program_pair.ts";
import { Random, seed } from "../../../../support/random.ts";

/** Forms of one program, in each of which all pairs of strings are compared. */
const ROUNDS = 3;
/** Pairs of strings of a program. */
const PAIRS = 400;
/** Where results are written, 8 bytes for each. */
const RESULTS_AT = DATA_AT + 0x1_0000;

const AGGREGATIONS = { "equal any": 0, "equal each": 8, "equal ordered": 0xc } as const;

function instruction(control: number): string {
  return `66 0f 3a 63 06 ${control.toString(16)} ; pcmpistri xmm0, [rsi], control`;
}

/** Bytes from a few, so that some are equal; of any length up to a whole register. */
function randomString(random: Random): Uint8Array {
  const letters = random.pick([2, 3, 20]);
  const bytes = Uint8Array.from({ length: 16 }, () => random.below(letters) + 0x7e);
  if (random.oneIn(2)) bytes.fill(0, random.below(16));
  if (random.oneIn(4)) bytes[random.below(16)] = 0; // and something behind it
  return bytes;
}

/** The second one often has the first one, or its beginning, in it. */
function randomPair(random: Random): [Uint8Array, Uint8Array] {
  const [first, second] = [randomString(random), randomString(random)];
  if (random.oneIn(2)) {
    if (random.oneIn(2)) first.fill(0, 1 + random.below(5));
    const end = first.indexOf(0) < 0 ? 16 : first.indexOf(0);
    const at = random.below(16);
    second.set(first.subarray(0, Math.min(end, 16 - at)), at);
  }
  return [first, second];
}

/** Compares all pairs, and keeps ECX and the flags. */
function program(control: number): Uint8Array {
  return code(
    "f3 0f 6f 06 ; loop: movdqu xmm0, [rsi]",
    "48 83 c6 10 ; add rsi, 16",
    instruction(control),
    "9c ; pushf",
    "58 ; pop rax",
    "89 0f ; mov [rdi], ecx",
    "89 47 04 ; mov [rdi + 4], eax",
    "48 83 c6 10 ; add rsi, 16",
    "48 83 c7 08 ; add rdi, 8",
    "ff ca ; dec edx",
    "75 de ; jnz loop",
    "f4 ; hlt",
  );
}

for (const [name, aggregation] of Object.entries(AGGREGATIONS)) {
  for (const polarity of [0, 0x10, 0x20, 0x30]) {
    const kind = ["", ", negated", ", masked without negation", ", negated where valid"];
    Deno.test(`PCMPISTRI of bytes, ${name}${kind[polarity >> 4]}, is as interpreted`, () => {
      const start = seed(0x5c3e);
      const random = new Random(start);
      for (let round = 0; round < ROUNDS; round++) {
        const pairs = Array.from({ length: PAIRS }, () => randomPair(random)).flat();
        // Signed elements compare alike; bit 7 is ignored.
        const control = aggregation | polarity | random.pick([0, 2]) | random.pick([0, 0x80]);
        for (const index of [0, 0x40]) {
          const { translated } = run(control | index, pairs, start);
          assert(translated.stats.jit_bails < 20, `${translated.stats.jit_bails} bails`);
        }
      }
    });
  }
}

function run(control: number, pairs: readonly Uint8Array[], start: number) {
  try {
    return runBoth(program(control), {
      state: (state) => {
        state.setGpr(6, DATA_AT);
        state.setGpr(7, RESULTS_AT);
        state.setGpr(2, PAIRS);
        state.set(State.RFLAGS, 0x8d7);
      },
      memory: (memory) => pairs.forEach((bytes, i) => memory.write(gpa(DATA_AT + i * 16), bytes)),
    });
  } catch (error) {
    throw new Error(`DENOVISOR_SEED=${start}, control ${control}`, { cause: error });
  }
}

Deno.test("ranges and words are left to the interpreter, and so are the other three instructions", () => {
  const isEmitted = (text: string) =>
    emissionOf(decodeAll(code(text), 0, CodeSize.BITS64)[0], true) !== undefined;
  for (let control = 0; control < 256; control++) {
    const expected = (control & 1) === 0 && (control & 0xc) !== 4;
    assertEquals(isEmitted(instruction(control)), expected, `${control}`);
  }
  for (const opcode of ["60", "61", "62"]) {
    assertEquals(isEmitted(`66 0f 3a ${opcode} c1 0`), false);
  }
});
