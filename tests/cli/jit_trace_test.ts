/** `--trace jit`: a line for each translation. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { guestPath } from "../../tools/guests.ts";
import { cli, type CliResult, said, temporaryFolder } from "../support/cli.ts";
import { testWith, toolchain } from "../support/requirement.ts";

/** Runs a guest that prints a line and loops, for a second. */
async function boot(...args: readonly string[]): Promise<CliResult> {
  const kernel = await guestPath("endless_loop");
  return await cli(["boot", "--kernel", kernel, "--timeout", "1", ...args]);
}

testWith(toolchain, "--trace jit=FILE has a line for each translated region", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/trace`;
  const result = await boot("--trace", `jit=${path}`, "--stats=json");
  assertEquals(result.status, 124, result.stderr);
  const regions = (await Deno.readTextFile(path)).trimEnd().split("\n")
    .map((line) => JSON.parse(line));
  const { engineCounters } = JSON.parse(said(result).at(-1)!);
  assertEquals(regions.length, engineCounters.jit_regions);
  const loop = regions.find(({ blocks }) => blocks[0].code === "ebfe"); // jmp to itself
  assert(loop !== undefined, JSON.stringify(regions));
  assertEquals([loop.bits, loop.cpl, loop.instructions, loop.blocks.length], [32, 0, 1, 1]);
  assertMatch(loop.gva, /^0x[0-9a-f]+$/);
  assertEquals(loop.gpa, loop.gva); // paging is off
  const { offset, instructions, entry, falls, steps } = loop.blocks[0];
  assertEquals([offset, instructions, entry, falls, steps], [0, 1, true, false, false]);
  assert(loop.wasm_bytes > 0 && loop.wasm_bytes < loop.batch.bytes, JSON.stringify(loop));
  assert(loop.plan_us >= 0 && loop.emit_us > 0 && loop.batch.compile_us > 0, JSON.stringify(loop));
});

testWith(toolchain, "--trace jit writes to stderr", async () => {
  const lines = said(await boot("--trace", "jit")).filter((line) => line.startsWith("{"));
  assert(lines.some((line) => JSON.parse(line).blocks[0].code === "ebfe"), lines.join("\n"));
});

testWith(toolchain, "a translator's trace that cannot be written ends the run", async () => {
  for (const [path, reason] of [["/no/such/folder/t", "No such file"], ["/dev/full", "space"]]) {
    const { status, stderr } = await boot("--trace", `jit=${path}`);
    assertEquals(status, 1, stderr);
    assertMatch(stderr, new RegExp(`Cannot write the trace ${path}: .*${reason}`));
  }
});
