import { assertEquals } from "@std/assert";
import { applyMutation, lineOf, mutationsOf } from "../../../tools/mutations.ts";

/** All sources that one change makes of `source`. */
function mutants(source: string): string[] {
  return mutationsOf(source).map((mutation) => applyMutation(source, mutation));
}

Deno.test("conditions are negated, operators swapped, constants moved", () => {
  assertEquals(mutants("if (a < b) f();\n"), [
    "if (!(a < b)) f();\n",
    "if (a <= b) f();\n",
  ]);
  assertEquals(mutants("x = a & 3;\n"), ["x = a | 3;\n", "x = a & (3 + 1);\n"]);
  assertEquals(mutants("return !ready;\n"), ["return ready;\n"]);
  assertEquals(mutants("x = true;\n"), ["x = false;\n"]);
  assertEquals(mutants("count++;\n"), ["count--;\n"]);
  assertEquals(mutants("x = 0x1fn;\n"), ["x = (0x1fn + 1n);\n"]);
});

Deno.test("comments, strings, types and keys are left alone", () => {
  for (
    const source of [
      "// a < b, 3\n",
      "/* a < b\n 3 */\n",
      'x = "a < b, 3";\n',
      "x = `a < b, ${c}`;\n",
      'import { a } from "./a3.ts";\n',
      "export interface A {\n  readonly b: 1 | 2;\n}\n",
      "type A = 1 | 2;\n",
      "let a: Gfn | Pfn;\n",
      "let a: string | undefined;\n",
      "const names = { 3: a };\n",
    ]
  ) assertEquals(mutants(source), [], source);
});

Deno.test("a condition is negated whole, with its brackets, strings and lines", () => {
  assertEquals(mutants("if (f((a) => b)) g();\n"), ["if (!(f((a) => b))) g();\n"]);
  assertEquals(mutants('if (\n  f(") ")\n) g();\n'), ['if (!(\n  f(") ")\n)) g();\n']);
});

Deno.test("lines count from 1", () => {
  assertEquals(lineOf("a\nb", 0), 1);
  assertEquals(lineOf("a\nb", 2), 2);
});
