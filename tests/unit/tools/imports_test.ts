import { assertEquals } from "@std/assert";

const imports = async (path: string): Promise<Record<string, string>> =>
  JSON.parse(await Deno.readTextFile(new URL(`../../../${path}`, import.meta.url))).imports;

Deno.test("the offline import map knows the same specifiers as imports.json", async () => {
  const online = await imports("imports.json");
  const offline = await imports("tools/std_offline.json");
  assertEquals(Object.keys(offline).sort(), Object.keys(online).sort());
  for (const [name, target] of Object.entries(online)) {
    if (target.startsWith("npm:")) assertEquals(offline[name], target);
  }
});
