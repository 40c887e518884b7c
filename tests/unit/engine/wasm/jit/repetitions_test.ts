/** REP MOVS and REP STOS in translated code: page by page, and all that they leave to the interpreter. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg } from "../../../../../src/cpu/state.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import {
  code,
  DATA_AT,
  mapPage,
  type ProgramOptions,
  runBoth,
} from "../../../../support/program_pair.ts";

const PAGE = 4096;
const FROM_AT = DATA_AT;
const TO_AT = DATA_AT + 0x1_0000;
/** The first access of a fresh guest goes by the interpreter, whatever it is. */
const FIRST_BAILS = 1;
/** Bytes on either side that hold something. */
const BYTES = 8 * PAGE;

const FORMS = {
  "REP MOVSB": { bytes: code("f3 a4"), width: 1 },
  "REP MOVSD": { bytes: code("f3 a5"), width: 4 },
  "REP MOVSQ": { bytes: code("f3 48 a5"), width: 8 },
  "REP MOVSB by 32-bit addresses": { bytes: code("67 f3 a4"), width: 1 },
  "REP STOSB": { bytes: code("f3 aa"), width: 1 },
  "REP STOSW": { bytes: code("66 f3 ab"), width: 2 },
  "REP STOSQ": { bytes: code("f3 48 ab"), width: 8 },
} as const;
type Form = keyof typeof FORMS;

interface Run {
  readonly from?: number;
  readonly to?: number;
  readonly count: number;
}

/** Runs one of them, with registers changed before and behind it, between other instructions. */
function run(form: Form, { from = FROM_AT, to = TO_AT, count }: Run, options: ProgramOptions = {}) {
  const bytes = [...code("48 ff c3 ; inc rbx"), ...FORMS[form].bytes, ...code("48 ff c3", "f4")];
  return runBoth(Uint8Array.from(bytes), {
    ...options,
    state: (state) => {
      state.setGpr(Reg.RSI, from);
      state.setGpr(Reg.RDI, to);
      state.setGpr(Reg.RCX, count);
      state.set(0, 0x5a5a_5a5a_5a5a_5a5an);
      options.state?.(state);
    },
    memory: (memory) => {
      const data = Uint8Array.from({ length: BYTES }, (_, i) => i * 7 + (i >>> 8));
      memory.write(gpa(FROM_AT), data);
      memory.write(gpa(TO_AT), data.toReversed());
      options.memory?.(memory);
    },
  });
}

for (const form of Object.keys(FORMS) as Form[]) {
  const { width } = FORMS[form];

  Deno.test(`${form} over several pages is not left to the interpreter`, () => {
    const count = (3 * PAGE + 64) / width;
    const { translated } = run(form, { from: FROM_AT + 8, to: TO_AT + 2000, count });
    assert(translated.stats.jit_bails <= FIRST_BAILS);
    assertEquals(Number(translated.state.gpr(Reg.RDI)), TO_AT + 2000 + count * width);
    assertEquals(Number(translated.state.gpr(Reg.RCX)), 0);
  });

  Deno.test(`${form} without repetitions counts as one instruction`, () => {
    const { translated } = run(form, { count: 0 });
    assertEquals([translated.stats.jit_bails, translated.engine.retired], [0, 4]);
  });

  Deno.test(`${form} stops where the next page is missing, with what is done done`, () => {
    const { translated } = run(form, { from: FROM_AT, to: TO_AT + PAGE - 80, count: 800 / width }, {
      memory: (memory) => mapPage(memory, TO_AT + PAGE, 0, 0),
    });
    assertEquals(translated.vector, Vector.PF);
    assertEquals(Number(translated.state.gpr(Reg.RDI)), TO_AT + PAGE);
    assertEquals(Number(translated.state.gpr(Reg.RCX)), 720 / width);
  });

  Deno.test(`${form} ends in the middle where the budget does`, () => {
    for (const slice of [1, 97, 1000]) {
      const { translated } = run(form, { from: FROM_AT, to: TO_AT + 4000, count: 2000 / width }, {
        slice,
      });
      assertEquals(translated.engine.retired, 2000 / width + 3);
    }
  });

  if (width > 1) {
    Deno.test(`${form} leaves an element across pages to the interpreter`, () => {
      const { translated } = run(form, { to: TO_AT + PAGE - 1, count: 16 });
      assert(translated.stats.jit_bails > 0);
    });
  }
}

Deno.test("REP MOVS onto its own source repeats what it has written, across pages, too", () => {
  for (const distance of [1, 8, 100]) {
    run("REP MOVSB", { from: FROM_AT + 4000, to: FROM_AT + 4000 + distance, count: 500 });
  }
});

Deno.test("REP MOVS ends at the source's page as well as at the destination's", () => {
  for (const [from, to] of [[4000, 10], [10, 4000], [4000, 4050], [4095, 4095]]) {
    const { translated } = run("REP MOVSB", { from: FROM_AT + from, to: TO_AT + to, count: 9000 });
    assert(translated.stats.jit_bails <= FIRST_BAILS);
  }
});
