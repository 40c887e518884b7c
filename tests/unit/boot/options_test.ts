import { assertStrictEquals } from "@std/assert";
import { memoryLimit, videoMode } from "../../../src/boot/linux/options.ts";

Deno.test("vga= takes names and numbers in C notation", () => {
  assertStrictEquals(videoMode(""), 0xffff);
  assertStrictEquals(videoMode("quiet vga=normal"), 0xffff);
  assertStrictEquals(videoMode("vga=ext"), 0xfffe);
  assertStrictEquals(videoMode("vga=ask quiet"), 0xfffd);
  assertStrictEquals(videoMode("vga=791"), 791);
  assertStrictEquals(videoMode("vga=0x317"), 0x317);
  assertStrictEquals(videoMode("vga=017"), 0o17);
  assertStrictEquals(videoMode("vga=1 vga=2"), 2);
});

Deno.test("vga= that says nothing known stands for the normal mode", () => {
  for (const text of ["vga=", "vga=constructor", "xvga=5", "vga=5x", "vga=-1"]) {
    assertStrictEquals(videoMode(text), 0xffff, text);
  }
});

Deno.test("mem= takes sizes with a letter", () => {
  assertStrictEquals(memoryLimit(""), Infinity);
  assertStrictEquals(memoryLimit("mem=1000"), 1000);
  assertStrictEquals(memoryLimit("mem=64M"), 64 * 2 ** 20);
  assertStrictEquals(memoryLimit("mem=2g quiet"), 2 ** 31);
  assertStrictEquals(memoryLimit("mem=0x10k"), 16384);
  assertStrictEquals(memoryLimit("mem=1e"), 2 ** 60);
  assertStrictEquals(memoryLimit("memmap=64M mem=nopentium"), Infinity);
});
