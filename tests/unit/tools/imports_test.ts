import { assertEquals } from "@std/assert";

const imports = async (path: string): Promise<Record<string, string>> =>
  JSON.parse(await Deno.readTextFile(new URL(`../../../${path}`, import.meta.url))).imports;

Deno.test("the offline import map knows the same specifiers as deno.json", async () => {
  const online = await imports("deno.json");
  const offline = await imports("tools/std_offline.json");
  assertEquals(Object.keys(offline).sort(), Object.keys(online).sort());
});
