import { assertEquals } from "@std/assert";
import { oneLine } from "../../../src/cli/voice.ts";

Deno.test("a message of several lines becomes one", () => {
  assertEquals(oneLine("first\n  second\r\n\r\nthird\n"), "first second third");
});

Deno.test("control characters are shown by their code", () => {
  assertEquals(oneLine("file \x1b[31mred\x07\x9b"), "file \\x1b[31mred\\x07\\x9b");
  assertEquals(oneLine("naïve → plain"), "naïve → plain");
});
