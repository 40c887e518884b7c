import { assertEquals, assertThrows } from "@std/assert";
import {
  array,
  membersOf,
  offsetOf,
  packedStruct,
  sizeOf,
  struct,
  u16,
  u32,
  u64,
  u8,
  union,
} from "../../../src/base/struct.ts";

Deno.test("a member is aligned to its own size and the structure to its widest member", () => {
  const type = struct({ a: u8, b: u32, c: u16, d: u64, e: u8 });
  assertEquals(type.members.map((m) => m.offset), [0, 4, 8, 16, 24]);
  assertEquals(type.size, 32);
  assertEquals(type.alignment, 8);
});

Deno.test("an array is aligned to its element and a nested structure to its widest member", () => {
  const inner = struct({ x: u8, y: u64 });
  const type = struct({ a: u8, list: array(u16, 3), inner, tail: array(inner, 2) });
  assertEquals(type.members.map((m) => m.offset), [0, 2, 8, 24]);
  assertEquals(type.size, 56);
});

Deno.test("members of a union start at 0 and the largest gives the size", () => {
  const type = union({ a: array(u8, 9), b: u32 });
  assertEquals(type.members.map((m) => m.offset), [0, 0]);
  assertEquals(type.size, 12);
});

Deno.test("a packed structure has no padding", () => {
  const type = packedStruct({ a: u8, b: u64, c: u16 });
  assertEquals(type.members.map((m) => m.offset), [0, 1, 9]);
  assertEquals(type.size, 11);
  assertEquals(type.alignment, 1);
});

Deno.test("paths reach into nested and anonymous members", () => {
  const type = struct({ a: u32, "": union({ io: struct({ port: u16, count: u32 }), raw: u64 }) });
  assertEquals(offsetOf(type, "io.count"), 12);
  assertEquals(offsetOf(type, "raw"), 8);
  assertEquals(sizeOf(type, "io"), 8);
  assertEquals([...membersOf(type)].map((m) => m.name), [
    "a",
    "io",
    "io.port",
    "io.count",
    "raw",
  ]);
  assertThrows(() => offsetOf(type, "io.size"), RangeError, "io.size");
});
