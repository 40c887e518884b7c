/** Lines of the instruction table. */

import { assertEquals } from "@std/assert";
import { perRow } from "../../../../../src/engine/wasm/isa/row.ts";
import { ROWS } from "../../../../../src/engine/wasm/isa/table.ts";

Deno.test("each line of the instruction table has a number of its own", () => {
  assertEquals(new Set(ROWS.map(({ number }) => number)).size, ROWS.length);
});

Deno.test("a function of lines is worked out once for each, false and 0 included", () => {
  let asked = 0;
  const isShort = perRow(({ mnemonic }) => (asked++, mnemonic.length < 4));
  const operandsOf = perRow(({ operands }) => (asked++, operands.length));
  for (let i = 0; i < 2; i++) {
    for (const row of ROWS) {
      assertEquals(isShort(row), row.mnemonic.length < 4);
      assertEquals(operandsOf(row), row.operands.length);
    }
  }
  assertEquals(asked, 2 * ROWS.length);
});
