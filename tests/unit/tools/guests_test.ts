import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  buildGuest,
  EMBEDDED_NAMES,
  embeddedModule,
  GUEST_NAMES,
  guestPath,
} from "../../../tools/guests.ts";
import { programs, testWith } from "../../support/requirement.ts";

const GUESTS = new URL("../../guests/", import.meta.url);
const binutils = programs("as", "ld");

testWith(binutils, "every guest builds to an image", async () => {
  for (const name of GUEST_NAMES) assert((await buildGuest(name)).length > 0, name);
});

testWith(binutils, "a guest whose sources have not changed is not built again", async () => {
  const path = await guestPath("hello");
  const before = await Deno.stat(path);
  assertEquals(await guestPath("hello"), path);
  assertEquals((await Deno.stat(path)).ino, before.ino);
});

for (const name of EMBEDDED_NAMES) {
  testWith(binutils, `the bytes of ${name} in src are what its source builds`, async () => {
    const { path, text } = embeddedModule(name, await buildGuest(name));
    assertEquals(await Deno.readTextFile(path), text, "run deno run -A tools/guests.ts --embed");
  });
}

Deno.test("without an assembler a build ends with one line that says what to install", async () => {
  const copy = await Deno.makeTempDir();
  try {
    const sources = ["tools/guests.ts", "src/base/sha256.ts"];
    for (const path of [...sources, "tests/guests/demo.s", "tests/guests/multiboot.ld"]) {
      await Deno.mkdir(`${copy}/${path.replace(/[^/]*$/, "")}`, { recursive: true });
      await Deno.copyFile(new URL(`../../../${path}`, import.meta.url), `${copy}/${path}`);
    }
    await Deno.mkdir(`${copy}/tests/guests/include`);
    const run = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `${copy}/tools/guests.ts`],
      env: { PATH: "/nonexistent" },
    }).output();
    const said = new TextDecoder().decode(run.stderr);
    assertEquals(said, "Cannot build guest demo: no as on the PATH (package binutils)\n");
    assertEquals(run.code, 1);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});

Deno.test("every source says how it is loaded and how it ends, and the README names it", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", GUESTS));
  for await (const { name } of Deno.readDir(GUESTS)) {
    if (!name.endsWith(".s")) continue;
    const head = (await Deno.readTextFile(new URL(name, GUESTS))).split("\n\n")[0];
    assertMatch(head, /^# Loaded as {3}\S/m, name);
    assertMatch(head, /^# Prints {6}\S/m, name);
    assertMatch(head, /^# Ends with {3}\S/m, name);
  }
  for (const name of GUEST_NAMES) assertStringIncludes(readme, `\`${name}\``);
});

// In Intel syntax a symbol that the assembler does not know yet is a memory operand: a constant that
// is used before its .equ gives a load from a low address instead of an error.
Deno.test("no source uses a constant before it defines it", async () => {
  for await (const { name } of Deno.readDir(GUESTS)) {
    if (!name.endsWith(".s")) continue;
    const lines = await flatten(name);
    const all = new Set(lines.flatMap((line) => /^\s*\.equ (\w+),/.exec(line)?.[1] ?? []));
    const known = new Set<string>();
    for (const line of lines) {
      const defined = /^\s*\.equ (\w+),/.exec(line)?.[1];
      for (const [word] of line.replace(/^\s*\.equ \w+,/, "").matchAll(/\b[A-Z][A-Z0-9_]+\b/g)) {
        assert(!all.has(word) || known.has(word), `${name} uses ${word} too early: ${line.trim()}`);
      }
      if (defined !== undefined) known.add(defined);
    }
  }
});

/** The lines that the assembler sees, without comments and strings. */
async function flatten(name: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(name, GUESTS));
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    const included = /^\s*\.include "(.*)"/.exec(line)?.[1];
    if (included !== undefined) lines.push(...await flatten(`include/${included}`));
    else lines.push(line.replace(/"(\\.|[^"])*"/g, '""').replace(/#.*/, ""));
  }
  return lines;
}
