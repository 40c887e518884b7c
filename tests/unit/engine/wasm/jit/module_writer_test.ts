/** Branch hints: where they point (WebAssembly branch hinting, "Binary Format"). */

import { assert, assertEquals } from "@std/assert";
import { CodeWriter } from "../../../../../src/engine/wasm/jit/code_writer.ts";
import { writeModule } from "../../../../../src/engine/wasm/jit/module_writer.ts";
import { Op } from "../../../../../src/engine/wasm/jit/opcodes.ts";
import type { PlannedBlock } from "../../../../../src/engine/wasm/jit/plan.ts";
import { regionCode } from "../../../../../src/engine/wasm/jit/region_code.ts";
import { runtimeModule, SIGNATURES } from "../../../../../src/engine/wasm/jit/runtime.ts";
import { IMPORTS } from "../../../../../src/engine/wasm/jit/translator.ts";
import { code, decodeAll } from "../../../../support/program_pair.ts";

/** Section numbers (WebAssembly core 2.0 §5.5.2). */
const CUSTOM = 0, IMPORT = 2, CODE = 10;
const HINTS = "metadata.code.branch_hint";

/** Reads a module. */
class Reader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  number(): number {
    for (let value = 0, shift = 0;; shift += 7) {
      const byte = this.bytes[this.at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  take(): Reader {
    const length = this.number();
    return new Reader(this.bytes.subarray(this.at, this.at += length));
  }

  get text(): string {
    return new TextDecoder().decode(this.bytes);
  }
}

/** By function's index: the opcodes at the hints' positions. Checks the section's form. */
function hintsOf(module: Uint8Array): Map<number, number[]> {
  const sections = new Map<number, Reader>();
  const order: number[] = [];
  const reader = new Reader(module);
  reader.at = 8;
  while (reader.at < module.length) {
    const number = reader.bytes[reader.at++];
    order.push(number);
    sections.set(number, reader.take());
  }
  assert(order.indexOf(CUSTOM) < order.indexOf(CODE), "hints stand before the code");
  const bodies = sections.get(CODE)!;
  const functions = Array.from({ length: bodies.number() }, () => bodies.take().bytes);
  const imported = functionsIn(sections.get(IMPORT)!);
  const hints = sections.get(CUSTOM)!;
  assertEquals(hints.take().text, HINTS);
  const found = new Map<number, number[]>();
  for (let left = hints.number(); left > 0; left--) {
    const index = hints.number() - imported;
    let last = -1;
    const opcodes = Array.from({ length: hints.number() }, () => {
      const position = hints.number();
      assert(position > last, "positions rise");
      last = position;
      assertEquals([hints.number(), hints.number()], [1, 0], "one byte: not likely");
      return functions[index][position];
    });
    found.set(index, opcodes);
  }
  assertEquals(hints.at, hints.bytes.length);
  return found;
}

/** Functions that a module imports. */
function functionsIn(imports: Reader): number {
  let functions = 0;
  for (let left = imports.number(); left > 0; left--) {
    imports.take();
    imports.take();
    const kind = imports.bytes[imports.at++];
    if (kind === 0) {
      functions++;
      imports.number();
    } else {
      if (kind === 1) imports.at++; // type of a table's elements
      const limits = imports.bytes[imports.at++];
      imports.number();
      if ((limits & 1) !== 0) imports.number();
    }
  }
  return functions;
}

/** A module of regions, each of blocks of code that follow each other. */
function moduleOf(...regions: readonly (readonly string[])[]): Uint8Array {
  const functions = regions.map((parts) => {
    let offset = 0;
    const blocks = parts.map((part): PlannedBlock => {
      const insns = decodeAll(code(part), offset);
      const block = {
        offset,
        insns,
        steps: false,
        falls: true,
        isEntry: false,
        isStart: offset === 0,
      };
      offset = insns[insns.length - 1].next;
      return block;
    });
    return regionCode(blocks, true, 0, () => 0).code;
  });
  const bytes = writeModule({ types: SIGNATURES, imports: IMPORTS, functions, tableBase: 1 });
  assert(WebAssembly.validate(bytes));
  return bytes;
}

const LOADS = "48 03 06 48 03 47 08 01 0e"; // add rax, [rsi]; add rax, [rdi + 8]; add [rsi], ecx
const VECTORS = "66 0f 58 06 66 0f 58 0f"; // addpd xmm0, [rsi]; addpd xmm1, [rdi]

function checkHints(module: Uint8Array, least: number): void {
  for (const [index, opcodes] of hintsOf(module)) {
    assert(opcodes.length >= least, `function ${index} has ${opcodes.length} hints`);
    assertEquals(opcodes, opcodes.map(() => Op.IF), `function ${index}`);
  }
}

Deno.test("hints of regions point to IFs, with XMM registers among their variables and without", () => {
  checkHints(moduleOf([LOADS], [VECTORS], [LOADS + " " + VECTORS]), 3);
});

Deno.test("hints point to IFs behind what has been put in for a loop's registers", () => {
  // The second block is a loop: dec ecx; jnz to its beginning.
  const loop = (body: string) => {
    const back = (-(code(body).length + 4) & 255).toString(16);
    return `${body} ff c9 75 ${back}`;
  };
  checkHints(moduleOf([LOADS, loop(LOADS), LOADS], ["90", loop(VECTORS), loop(LOADS)]), 6);
});

Deno.test("hints of the dispatcher and its helpers point to IFs", () => {
  const counts = [...hintsOf(runtimeModule()).values()];
  assert(counts.some((opcodes) => opcodes.length > 0));
  assertEquals(new Set(counts.flat()), new Set([Op.IF]));
});

Deno.test("what is put in moves the IFs behind it, and the one where it is put", () => {
  const writer = new CodeWriter();
  for (let i = 0; i < 3; i++) {
    writer.i32(1);
    writer.openUnlikely();
    writer.end();
  }
  const [first, second, third] = writer.unlikely;
  const nops = (count: number) => new Uint8Array(count).fill(1);
  writer.insert([
    { at: first + 1, bytes: nops(5) },
    { at: second, bytes: nops(300) },
    { at: second, bytes: nops(2) },
  ]);
  assertEquals(writer.unlikely, [first, second + 307, third + 307]);
  assertEquals(writer.unlikely.map((at) => writer.bytes[at]), [Op.IF, Op.IF, Op.IF]);
});
