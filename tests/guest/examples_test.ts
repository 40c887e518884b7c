/** The programs of examples/ do what they say. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { testWith, toolchain } from "../support/requirement.ts";

testWith(toolchain, "example hello shows the built-in guest and its end", async () => {
  const { code, stdout, stderr } = await run("hello.ts");
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, "denovisor built-in guest");
  assertMatch(stdout, /\nGuest powered off after \d+\.\d{3} s\n$/);
});

testWith(toolchain, "example expect_banner talks to the built-in guest", async () => {
  assertEquals(await run("expect_banner.ts"), {
    code: 0,
    stdout: "The guest heard: is anybody there?\nIts run ended with power-off\n",
    stderr: "",
  });
});

testWith(toolchain, "example test_kernel exits with the kernel's value", async () => {
  assertEquals(await run("test_kernel.ts"), {
    code: 16,
    stdout: "hello from the guest\nGuest left through the debug-exit port with value 16\n",
    stderr: "",
  });
});

async function run(example: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const path = new URL(`../../examples/${example}`, import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", path],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
