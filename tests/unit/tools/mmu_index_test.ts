import { assertEquals } from "@std/assert";
import { namedTests, readmeWithTable } from "../../../tools/mmu_index.ts";

Deno.test("every patch of the series and every check of the specification has a test", async () => {
  const ids = new Set((await namedTests()).map(({ id }) => id));
  const numbered = (word: string, last: number) =>
    Array.from({ length: last }, (_, i) => `${word} ${String(i + 1).padStart(2, "0")}`);
  const missing = [...numbered("patch", 16), ...numbered("check", 96)].filter((id) => !ids.has(id));
  assertEquals(missing, []);
});

Deno.test("the README's table names them all (deno run -A tools/mmu_index.ts --write)", async () => {
  const readme = await Deno.readTextFile(new URL("../../../README.md", import.meta.url));
  assertEquals(await readmeWithTable(readme), readme);
});
