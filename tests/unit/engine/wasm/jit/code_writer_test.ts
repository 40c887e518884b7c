/** What the writer of WebAssembly code makes of numbers, of insertions, and of buffers that had others' bytes. */

import { assertEquals } from "@std/assert";
import { CodeWriter } from "../../../../../src/engine/wasm/jit/code_writer.ts";
import { Op } from "../../../../../src/engine/wasm/jit/opcodes.ts";

/** Signed LEB128 (WebAssembly core 2.0 §5.2.2), by the definition. */
function signed(value: bigint): number[] {
  const low = Number(value & 127n);
  const rest = value >> 7n;
  return rest === 0n && low < 64 || rest === -1n && low >= 64
    ? [low]
    : [low | 128, ...signed(rest)];
}

function unsigned(value: number): number[] {
  return value < 128 ? [value] : [value % 128 + 128, ...unsigned(Math.floor(value / 128))];
}

function written(write: (code: CodeWriter) => void): number[] {
  const code = new CodeWriter();
  write(code);
  return [...code.finish()];
}

/** Where the lengths of signed numbers change, and their neighbours. */
const EDGES = [0, 1, 63, 64, 127, 128, 8191, 8192, 2 ** 20, 2 ** 27, 2 ** 31 - 1]
  .flatMap((edge) => [edge, -edge, -edge - 1]);

Deno.test("constants are what the definition of LEB128 says at all edges", () => {
  for (const value of EDGES) {
    assertEquals(written((code) => code.i32(value)), [Op.I32_CONST, ...signed(BigInt(value))]);
    assertEquals(written((code) => code.i64(value)), [Op.I64_CONST, ...signed(BigInt(value))]);
    for (const hi of [0, -1, 1, 2 ** 31 - 1, -(2 ** 31)]) {
      const whole = BigInt(hi) << 32n | BigInt(value >>> 0);
      assertEquals(written((code) => code.i64(value, hi)), [Op.I64_CONST, ...signed(whole)]);
    }
  }
});

Deno.test("an unsigned number of more than 7 bits goes on in further bytes", () => {
  for (const value of [0, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32 - 1]) {
    assertEquals(written((code) => code.unsigned(value)), unsigned(value));
    assertEquals(written((code) => code.get(value)), [Op.LOCAL_GET, ...unsigned(value)]);
    assertEquals(written((code) => code.br(value)), [Op.BR, ...unsigned(value)]);
    assertEquals(written((code) => code.access(Op.I32_LOAD, 0, value)), [
      Op.I32_LOAD,
      0,
      ...unsigned(value),
    ]);
    assertEquals(written((code) => code.access(Op.I32_LOAD, 1, value)), [
      Op.I32_LOAD,
      0x40,
      1,
      ...unsigned(value),
    ]);
  }
});

Deno.test("what is put in stands at its positions, whether the buffer has to grow or not", () => {
  for (const length of [10, 4000, 4096, 9000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i);
    const parts = [3, 300, 0, 1].map((size, i) => new Uint8Array(size).fill(100 + i));
    const at = [0, 4, 4, length];
    const expected: number[] = [];
    for (let i = 0; i <= length; i++) {
      parts.forEach((part, j) => at[j] === i && expected.push(...part));
      if (i < length) expected.push(bytes[i]);
    }
    const code = new CodeWriter();
    code.append(bytes);
    code.insert(parts.map((part, i) => ({ at: at[i], bytes: part })));
    code.byte(7);
    assertEquals([...code.finish()], [...expected, 7]);
  }
});

Deno.test("bytes that a writer has given away stay what they are when its buffer is used again", () => {
  const first = new CodeWriter();
  for (let i = 0; i < 5000; i++) first.byte(1);
  const bytes = first.finish();
  const second = new CodeWriter();
  assertEquals(second.length, 0);
  for (let i = 0; i < 5000; i++) second.byte(2);
  const other = new CodeWriter();
  other.byte(3);
  second.section(other);
  const third = new CodeWriter();
  third.byte(4);
  assertEquals(bytes, new Uint8Array(5000).fill(1));
  assertEquals([...second.finish()], [...new Array(5000).fill(2), 1, 3]);
  assertEquals([...third.finish()], [4]);
});
