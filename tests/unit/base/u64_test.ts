import { assertEquals, assertThrows } from "@std/assert";
import {
  alignDown,
  alignUp,
  bigFrom32,
  frameBits,
  frameFrom,
  frameHi,
  frameLo,
  gfnOf,
  gpa,
  gpaOf,
  hex,
  hi32,
  join32,
  lo32,
  pageOffset,
} from "../../../src/base/u64.ts";

/** Addresses with bits 32 to 51 set, where 32-bit operators go wrong. */
const HIGH = [0x80_fee0_1234, 2 ** 32, 2 ** 39 + 0x12_3456, 2 ** 51 + 0x8000_0fff, 2 ** 52 - 1];

Deno.test("gfnOf() and gpaOf() keep bits 32 to 51", () => {
  assertEquals<number>(gfnOf(gpa(0x80_fee0_1234)), 0x80f_ee01);
  for (const value of HIGH) {
    const address = gpa(value);
    assertEquals(BigInt(gfnOf(address)), BigInt(value) >> 12n);
    assertEquals(BigInt(gpaOf(gfnOf(address))), BigInt(value) & ~0xfffn);
    assertEquals(BigInt(pageOffset(address)), BigInt(value) & 0xfffn);
  }
});

Deno.test("lo32(), hi32() and join32() take addresses apart and together", () => {
  for (const value of [...HIGH, 0, 1, 0xffff_ffff, 0x8000_0000]) {
    assertEquals(BigInt(lo32(value)), BigInt(value) & 0xffff_ffffn);
    assertEquals(BigInt(hi32(value)), BigInt(value) >> 32n);
    assertEquals(join32(lo32(value), hi32(value)), value);
    assertEquals(bigFrom32(lo32(value), hi32(value)), BigInt(value));
  }
  assertEquals(join32(-1, 1), 0x1_ffff_ffff);
  assertEquals(bigFrom32(-1, -1), 2n ** 64n - 1n);
});

Deno.test("alignDown() and alignUp() agree with exact arithmetic above 2^32", () => {
  for (const value of HIGH) {
    for (const alignment of [4096, 2 ** 21, 2 ** 30]) {
      const exact = BigInt(value) / BigInt(alignment) * BigInt(alignment);
      assertEquals(BigInt(alignDown(value, alignment)), exact);
      const up = exact === BigInt(value) ? exact : exact + BigInt(alignment);
      assertEquals(BigInt(alignUp(value, alignment)), up);
    }
  }
});

Deno.test("gpa() takes 0 to 2^52 - 1 and nothing else", () => {
  assertEquals<number>(gpa(0), 0);
  assertEquals<number>(gpa(2 ** 52 - 1), 2 ** 52 - 1);
  for (const bad of [-1, 2 ** 52, 0.5, NaN, Infinity]) assertThrows(() => gpa(bad), RangeError);
});

Deno.test("hex() writes numbers and bigints; a negative one as 64 bits", () => {
  assertEquals(hex(0x80_fee0_1234), "0x80fee01234");
  assertEquals(hex(-1), "0xffffffffffffffff");
  assertEquals(hex(2n ** 63n + 1n), "0x8000000000000001");
});

Deno.test("frameLo(), frameHi() and frameFrom() put a frame into an entry and take it out", () => {
  for (const value of HIGH) {
    const frame = gfnOf(gpa(value));
    const address = BigInt(value) & ~0xfffn;
    assertEquals(bigFrom32(frameLo(frame), frameHi(frame)), address);
    assertEquals(frameFrom(frameLo(frame) | 0xfff, frameHi(frame) | 0xfff0_0000), frame as number);
    assertEquals(frameBits(frame), Number(BigInt.asIntN(32, BigInt(frame))));
  }
});
