import { assertEquals } from "@std/assert";
import { bytesOf, hexOf, SimdRig } from "./simd_rig.ts";

const rig = new SimdRig();

/** Runs `66 0f MAP OPCODE /r` with xmm1 and xmm2, and gives xmm1. */
function apply(map: number, opcode: number, a: string, b: string, ...immediate: number[]): string {
  rig.setHex(1, a);
  rig.setHex(2, b);
  assertEquals(rig.run(0x66, 0x0f, map, opcode, 0xca, ...immediate), -1);
  return rig.hex(1);
}

function xor(a: string, b: string): string {
  return hexOf(bytesOf(a).map((byte, i) => byte ^ bytesOf(b)[i]));
}

/** The round keys of AES-128 (FIPS 197 §5.2), by AESKEYGENASSIST. */
function expand(key: string): string[] {
  const keys = [key];
  for (let round = 0, constant = 1; round < 10; round++) {
    const last = keys[round];
    const assist = apply(0x3a, 0xdf, "00".repeat(16), last, constant);
    let word = assist.slice(24);
    let next = "";
    for (let i = 0; i < 4; i++) next += word = xor(word, last.slice(i * 8, i * 8 + 8));
    keys.push(next);
    constant = constant << 1 ^ (constant >>> 7) * 0x11b;
  }
  return keys;
}

Deno.test("AES-NI encrypts and decrypts the example of FIPS 197 appendix B", () => {
  const keys = expand("2b7e151628aed2a6abf7158809cf4f3c");
  assertEquals(keys[10], "d014f9a8c9ee2589e13f0cc8b6630ca6");
  const plain = "3243f6a8885a308d313198a2e0370734";
  let state = xor(plain, keys[0]);
  for (let i = 1; i < 10; i++) state = apply(0x38, 0xdc, state, keys[i]);
  const cipher = apply(0x38, 0xdd, state, keys[10]);
  assertEquals(cipher, "3925841d02dc09fbdc118597196a0b32");
  state = xor(cipher, keys[10]);
  for (let i = 9; i > 0; i--) {
    state = apply(0x38, 0xde, state, apply(0x38, 0xdb, "00".repeat(16), keys[i]));
  }
  assertEquals(apply(0x38, 0xdf, state, keys[0]), plain);
});

Deno.test("PCLMULQDQ multiplies the halves that its immediate picks", () => {
  const reversed = (text: string) => hexOf(bytesOf(text).reverse());
  const a = reversed("7b5b54657374566563746f725d53475d");
  const b = reversed("48692853686179295b477565726f6e5d");
  const product = (immediate: number) => reversed(apply(0x3a, 0x44, a, b, immediate));
  assertEquals(product(0x00), "1d4d84c85c3440c0929633d5d36f0451");
  assertEquals(product(0x01), "1a2bf6db3a30862fbabf262df4b7d5c9");
  assertEquals(product(0x10), "1bd17c8d556ab5a17fa540ac2a281315");
  assertEquals(product(0x11), "1d1e1f2c592e7c45d66ee03e410fd4ed");
});

/** Runs `0f MAP OPCODE /r` on words of xmm1 and xmm2, and gives xmm1. */
function sha(map: number, opcode: number, a: number[], b: number[], ...immediate: number[]) {
  rig.words(1).set(a);
  rig.words(2).set(b);
  assertEquals(rig.run(0x0f, map, opcode, 0xca, ...immediate), -1);
  return [...rig.words(1)];
}

function add(a: number[], b: number[]): number[] {
  return a.map((word, i) => word + b[i] | 0);
}

/** "abc" padded to a block (FIPS 180-4 §5.1.1), as words. */
const BLOCK = [0x61626380, ...new Array(14).fill(0), 24];

function digest(words: number[]): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

Deno.test("the SHA-1 instructions hash the example of FIPS 180-4", () => {
  const initial = [0x10325476, 0x98badcfe, 0xefcdab89, 0x67452301];
  const initialE = [0, 0, 0, 0xc3d2e1f0];
  // Four words each, the first on top.
  const message: number[][] = [];
  for (let i = 0; i < 20; i++) {
    if (i < 4) {
      message.push(BLOCK.slice(i * 4, i * 4 + 4).reverse());
      continue;
    }
    const mixed = sha(0x38, 0xc9, message[i - 4], message[i - 3]).map((word, j) =>
      word ^ message[i - 2][j]
    );
    message.push(sha(0x38, 0xca, mixed, message[i - 1]));
  }
  let state = initial;
  let before = initial;
  for (let i = 0; i < 20; i++) {
    const withE = i === 0 ? add(message[0], initialE) : sha(0x38, 0xc8, before, message[i]);
    before = state;
    state = sha(0x3a, 0xcc, state, withE, Math.floor(i / 5));
  }
  const e = sha(0x38, 0xc8, before, initialE);
  const words = [...add(state, initial).reverse(), e[3]];
  assertEquals(digest(words), "a9993e364706816aba3e25717850c26c9cd0d89d");
});

Deno.test("the SHA-256 instructions hash the example of FIPS 180-4", () => {
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p !== 0)) primes.push(n);
  const fraction = (x: number) => (x - Math.floor(x)) * 2 ** 32 | 0;
  const constants = primes.map((p) => fraction(Math.cbrt(p)));
  const h = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  let abef = [h[5], h[4], h[1], h[0]];
  let cdgh = [h[7], h[6], h[3], h[2]];
  const start = [abef, cdgh];
  const message: number[][] = [];
  for (let i = 0; i < 16; i++) {
    if (i < 4) message.push(BLOCK.slice(i * 4, i * 4 + 4));
    else {
      const mixed = sha(0x38, 0xcc, message[i - 4], message[i - 3]);
      const seven = [...message[i - 2].slice(1), message[i - 1][0]];
      message.push(sha(0x38, 0xcd, add(mixed, seven), message[i - 1]));
    }
    const wk = add(message[i], constants.slice(i * 4, i * 4 + 4));
    rig.words(0).set(wk);
    cdgh = sha(0x38, 0xcb, cdgh, abef);
    rig.words(0).set([wk[2], wk[3], 0, 0]);
    abef = sha(0x38, 0xcb, abef, cdgh);
  }
  const [f, e, b, a] = add(abef, start[0]);
  const [hh, g, d, c] = add(cdgh, start[1]);
  assertEquals(
    digest([a, b, c, d, e, f, g, hh]),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
