import { assertEquals } from "@std/assert";
import { nearest } from "../../../src/cli/nearest.ts";

const NAMES = ["--kernel", "--initrd", "--append", "--memory", "--cpus"];

Deno.test("nearest finds the name meant by a typing error", () => {
  assertEquals(nearest("--kernal", NAMES), "--kernel");
  assertEquals(nearest("--intird", NAMES), "--initrd");
  assertEquals(nearest("--mem0ry", NAMES), "--memory");
  assertEquals(nearest("--cpu", NAMES), "--cpus");
  assertEquals(nearest("-kernel", NAMES), "--kernel");
});

Deno.test("nearest finds nothing when no name is near", () => {
  assertEquals(nearest("--disk", NAMES), undefined);
  assertEquals(nearest("", NAMES), undefined);
  assertEquals(nearest("x".repeat(1_000_000), NAMES), undefined);
});
