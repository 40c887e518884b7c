/** Whatever form an instruction has, its translation is valid WebAssembly. */

import { assertEquals } from "@std/assert";
import { CodeSize } from "../../../../../src/engine/wasm/cpu.ts";
import { Decoder } from "../../../../../src/engine/wasm/decode/decoder.ts";
import { type Encoding, parseEncoding } from "../../../../../src/engine/wasm/decode/opcode_map.ts";
import type { Insn } from "../../../../../src/engine/wasm/insn.ts";
import { ROWS } from "../../../../../src/engine/wasm/isa/table.ts";
import { isBranch } from "../../../../../src/engine/wasm/jit/emit/branch.ts";
import { emissionOf, EMITTED } from "../../../../../src/engine/wasm/jit/emit/table.ts";
import {
  type FunctionCode,
  writeModule,
} from "../../../../../src/engine/wasm/jit/module_writer.ts";
import { regionCode } from "../../../../../src/engine/wasm/jit/region_code.ts";
import { SIGNATURES } from "../../../../../src/engine/wasm/jit/runtime.ts";
import { IMPORTS } from "../../../../../src/engine/wasm/jit/translator.ts";

/** Where the instruction stands in its page. */
const AT = 0x100;
/** ModRM.mod and rm with what follows: registers (AH among them), and all kinds of addresses. */
const OPERANDS: readonly (readonly [modrm: number, ...rest: number[]])[] = [
  [0xc0],
  [0xc1],
  [0xc4],
  [0xc7],
  [0x06],
  [0x47, 0x80],
  [0x86, 0x78, 0x56, 0x34, 0x92],
  [0x05, 0xf0, 0xff, 0xff, 0xff],
  [0x04, 0x24],
  [0x44, 0x8e, 0x7f],
  [0x84, 0xd8, 0, 0, 0, 0x80],
  [0x04, 0x25, 0, 0x10, 0, 0],
  [0x04, 0xcd, 0, 0x10, 0, 0],
];
/** ModRM.reg where it is an operand. */
const REGISTERS = [0, 4, 7];
/** Prefixes before the opcode, and bits of REX or VEX. */
const PREFIXES: readonly (readonly number[])[] = [
  [],
  [0x66],
  [0x67],
  [0x64],
  [0x65, 0x67],
  [0xf0],
  [0xf2],
  [0xf3],
];
const REX = [0, 8, 15];
/** Immediates, displacements: as long as any. */
const TAIL = [0x9a, 0x11, 0xf4, 0x81, 0x7f, 0, 0, 0x80];
/** What stands around an instruction: it makes flags, and wants some. */
const CONTEXTS = [
  [[], []],
  [[0x38, 0xd8], [0x0f, 0x97, 0xc1]], // cmp al, bl; seta cl
  [[0x11, 0xd8], [0x29, 0xd8]], // adc eax, ebx; sub eax, ebx: its own flags are not wanted
] as const;

const BASES = ["rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase"];
const ONLY64 = ["movsxd", "cmpxchg16b", "swapgs", "iret", ...BASES];

/** Encodings of a row with all prefixes, registers and addresses that its opcode has. */
function* encodings(encoding: Encoding, is64: boolean): Generator<number[]> {
  const { opcode, vex, digit, modrm, modrmMask, hasModrm, plusR, w } = encoding;
  const opcodes = plusR ? [opcode, opcode + 4, opcode + 7] : [opcode];
  const tails: number[][] = [];
  if (!hasModrm) tails.push([]);
  else if (modrmMask !== 0) tails.push([modrm]);
  else {
    for (const reg of digit >= 0 ? [digit] : REGISTERS) {
      for (const [first, ...rest] of OPERANDS) tails.push([first | reg << 3, ...rest]);
    }
  }
  for (const before of PREFIXES) {
    for (const rex of is64 ? REX : [0]) {
      if (w >= 0 && vex && rex >> 3 !== w) continue;
      for (const last of opcodes) {
        for (const tail of tails) {
          yield [...before, ...opcodeBytes(encoding, rex, last), ...tail, ...TAIL];
        }
      }
    }
  }
}

/** Prefixes that belong to the opcode, REX or VEX, and the opcode. */
function opcodeBytes({ row, map, prefix, vex }: Encoding, rex: number, opcode: number): number[] {
  if (vex) {
    const pp = prefix === 0x66 ? 1 : prefix === 0xf3 ? 2 : prefix === 0xf2 ? 3 : 0;
    const vvvv = row.operands.some((operand) => operand.startsWith("B")) ? rex : 0;
    return [0xc4, (~rex & 7) << 5 | map, (rex & 8) << 4 | (~vvvv & 15) << 3 | pp, opcode];
  }
  return [
    ...prefix > 0 ? [prefix] : [],
    ...rex === 0 ? [] : [0x40 | rex],
    ...map === 0 ? [] : map === 1 ? [0x0f] : [0x0f, map === 2 ? 0x38 : 0x3a],
    opcode,
  ];
}

/** Decodes instructions that follow each other. */
function decodeAll(parts: readonly (readonly number[])[], codeSize: CodeSize): Insn[] {
  const decoder = new Decoder();
  let offset = AT;
  return parts.filter((part) => part.length > 0).map((part) => {
    const insn = decoder.decode(
      Uint8Array.from([...part, ...new Array(16).fill(0x90)]),
      0,
      16 + part.length,
      offset,
      codeSize,
    )!;
    offset = insn.next;
    return insn;
  });
}

function isValid(functions: readonly FunctionCode[]): boolean {
  const bytes = writeModule({ types: SIGNATURES, imports: IMPORTS, functions, tableBase: 1 });
  return WebAssembly.validate(bytes);
}

for (const bits of [64, 32] as const) {
  const is64 = bits === 64;
  const codeSize = is64 ? CodeSize.BITS64 : CodeSize.BITS32;
  Deno.test(`the translation of every form of an instruction of ${bits}-bit code is valid`, () => {
    const seen = new Set<string>();
    const bad: string[] = [];
    for (const row of ROWS) {
      const functions: FunctionCode[] = [];
      const codes: number[][] = [];
      for (const code of encodings(parseEncoding(row), is64)) {
        const [before, after] = CONTEXTS[functions.length % CONTEXTS.length];
        const insns = decodeAll([before, code, after], codeSize);
        const insn = insns[before.length === 0 ? 0 : 1];
        const branch = isBranch(insn, is64);
        if (!branch && emissionOf(insn, is64) === undefined) continue;
        seen.add(insn.row!.mnemonic);
        const ends = after.length > 0 && branch && insn.row!.mnemonic !== "j";
        const block = {
          offset: AT,
          insns: ends ? insns.slice(0, -1) : insns,
          steps: false,
          falls: !ends,
          isEntry: true,
          isStart: true,
        };
        functions.push(regionCode([block], is64, 0, () => 0).code);
        codes.push(code);
      }
      if (functions.length === 0 || isValid(functions)) continue;
      const at = functions.findIndex((one) => !isValid([one]));
      const text = codes[at].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
      bad.push(`${row.mnemonic} ${row.operands}: ${text}`);
    }
    assertEquals(bad, []);
    const names = [...EMITTED, "j", "jmp", "call", "ret"];
    const missing = names.filter((name) => !seen.has(name) && (is64 || !ONLY64.includes(name)));
    assertEquals(missing, [], "never translated");
  });
}
