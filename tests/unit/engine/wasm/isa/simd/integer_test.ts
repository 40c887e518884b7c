import { assertEquals } from "@std/assert";
import { SIMD } from "../../../../../../src/engine/wasm/isa/simd/table.ts";
import { SimdRig } from "./simd_rig.ts";

/** What an instruction does to a lane of each operand. */
interface Lanes {
  /** Opcode bytes behind 0F, and whether there is an MMX form. */
  readonly opcode: readonly number[];
  readonly mmx: boolean;
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
  readonly op: (a: bigint, b: bigint) => bigint;
}

const clamp = (value: bigint, low: bigint, high: bigint) =>
  value < low ? low : value > high ? high : value;
const signedByte = (value: bigint) => clamp(value, -128n, 127n);
const unsignedByte = (value: bigint) => clamp(value, 0n, 255n);
const signedHalf = (value: bigint) => clamp(value, -32768n, 32767n);
const unsignedHalf = (value: bigint) => clamp(value, 0n, 65535n);
const add = (a: bigint, b: bigint) => a + b;
const sub = (a: bigint, b: bigint) => a - b;
const min = (a: bigint, b: bigint) => a < b ? a : b;
const max = (a: bigint, b: bigint) => a > b ? a : b;
const average = (a: bigint, b: bigint) => (a + b + 1n) / 2n;
const equal = (a: bigint, b: bigint) => a === b ? -1n : 0n;
const greater = (a: bigint, b: bigint) => a > b ? -1n : 0n;
const sign = (a: bigint, b: bigint) => b < 0n ? -a : b === 0n ? 0n : a;
const abs = (_: bigint, b: bigint) => b < 0n ? -b : b;

function lanes(
  opcode: number | readonly number[],
  bits: Lanes["bits"],
  signed: boolean,
  op: Lanes["op"],
  mmx = true,
): Lanes {
  return { opcode: typeof opcode === "number" ? [opcode] : opcode, mmx, bits, signed, op };
}

const INSTRUCTIONS: Readonly<Record<string, Lanes>> = {
  paddb: lanes(0xfc, 8, true, add),
  paddw: lanes(0xfd, 16, true, add),
  paddd: lanes(0xfe, 32, true, add),
  paddq: lanes(0xd4, 64, true, add),
  psubb: lanes(0xf8, 8, true, sub),
  psubw: lanes(0xf9, 16, true, sub),
  psubd: lanes(0xfa, 32, true, sub),
  psubq: lanes(0xfb, 64, true, sub),
  paddsb: lanes(0xec, 8, true, (a, b) => signedByte(a + b)),
  paddsw: lanes(0xed, 16, true, (a, b) => signedHalf(a + b)),
  paddusb: lanes(0xdc, 8, false, (a, b) => unsignedByte(a + b)),
  paddusw: lanes(0xdd, 16, false, (a, b) => unsignedHalf(a + b)),
  psubsb: lanes(0xe8, 8, true, (a, b) => signedByte(a - b)),
  psubsw: lanes(0xe9, 16, true, (a, b) => signedHalf(a - b)),
  psubusb: lanes(0xd8, 8, false, (a, b) => unsignedByte(a - b)),
  psubusw: lanes(0xd9, 16, false, (a, b) => unsignedHalf(a - b)),
  pmullw: lanes(0xd5, 16, true, (a, b) => a * b),
  pmulhw: lanes(0xe5, 16, true, (a, b) => a * b >> 16n),
  pmulhuw: lanes(0xe4, 16, false, (a, b) => a * b >> 16n),
  pmulhrsw: lanes([0x38, 0x0b], 16, true, (a, b) => (a * b >> 14n) + 1n >> 1n),
  pmulld: lanes([0x38, 0x40], 32, true, (a, b) => a * b, false),
  pmuludq: lanes(0xf4, 64, false, (a, b) => BigInt.asUintN(32, a) * BigInt.asUintN(32, b)),
  pmuldq: lanes(
    [0x38, 0x28],
    64,
    true,
    (a, b) => BigInt.asIntN(32, a) * BigInt.asIntN(32, b),
    false,
  ),
  pavgb: lanes(0xe0, 8, false, average),
  pavgw: lanes(0xe3, 16, false, average),
  pminub: lanes(0xda, 8, false, min),
  pmaxub: lanes(0xde, 8, false, max),
  pminsw: lanes(0xea, 16, true, min),
  pmaxsw: lanes(0xee, 16, true, max),
  pminsb: lanes([0x38, 0x38], 8, true, min, false),
  pminsd: lanes([0x38, 0x39], 32, true, min, false),
  pminuw: lanes([0x38, 0x3a], 16, false, min, false),
  pminud: lanes([0x38, 0x3b], 32, false, min, false),
  pmaxsb: lanes([0x38, 0x3c], 8, true, max, false),
  pmaxsd: lanes([0x38, 0x3d], 32, true, max, false),
  pmaxuw: lanes([0x38, 0x3e], 16, false, max, false),
  pmaxud: lanes([0x38, 0x3f], 32, false, max, false),
  pcmpeqb: lanes(0x74, 8, true, equal),
  pcmpeqw: lanes(0x75, 16, true, equal),
  pcmpeqd: lanes(0x76, 32, true, equal),
  pcmpeqq: lanes([0x38, 0x29], 64, true, equal, false),
  pcmpgtb: lanes(0x64, 8, true, greater),
  pcmpgtw: lanes(0x65, 16, true, greater),
  pcmpgtd: lanes(0x66, 32, true, greater),
  pcmpgtq: lanes([0x38, 0x37], 64, true, greater, false),
  psignb: lanes([0x38, 0x08], 8, true, sign),
  psignw: lanes([0x38, 0x09], 16, true, sign),
  psignd: lanes([0x38, 0x0a], 32, true, sign),
  pabsb: lanes([0x38, 0x1c], 8, true, abs),
  pabsw: lanes([0x38, 0x1d], 16, true, abs),
  pabsd: lanes([0x38, 0x1e], 32, true, abs),
  pand: lanes(0xdb, 64, false, (a, b) => a & b),
  pandn: lanes(0xdf, 64, true, (a, b) => ~a & b),
  por: lanes(0xeb, 64, false, (a, b) => a | b),
  pxor: lanes(0xef, 64, false, (a, b) => a ^ b),
};

/** Bytes that reach every border of lanes. */
const EDGES = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/** A generator of the same numbers each time. */
function sequence(seed: number): () => number {
  return () => seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
}

function fill(bytes: Uint8Array, next: () => number): void {
  const wild = next() >>> 16 & 1;
  for (let i = 0; i < bytes.length; i++) {
    const value = next() >>> 8;
    bytes[i] = wild === 1 ? value : EDGES[value % EDGES.length];
  }
}

/** The result by the definition, lane by lane. */
function expected({ bits, signed, op }: Lanes, a: Uint8Array, b: Uint8Array): Uint8Array {
  const to = new Uint8Array(a.length);
  const size = bits / 8;
  for (let at = 0; at < a.length; at += size) {
    const value = op(lane(a, at, size, signed), lane(b, at, size, signed));
    for (let i = 0; i < size; i++) to[at + i] = Number(value >> BigInt(8 * i) & 255n);
  }
  return to;
}

function lane(bytes: Uint8Array, at: number, size: number, signed: boolean): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = value << 8n | BigInt(bytes[at + i]);
  return signed ? BigInt.asIntN(size * 8, value) : value;
}

for (const [name, instruction] of Object.entries(INSTRUCTIONS)) {
  Deno.test(`${name} does in every lane what the manual says, with the same register twice, too`, () => {
    const rig = new SimdRig();
    const next = sequence(1);
    for (let round = 0; round < 60; round++) {
      const source = round % 4 === 0 ? 1 : 2;
      fill(rig.xmm(1), next);
      fill(rig.xmm(2), next);
      const wanted = expected(instruction, rig.xmm(1).slice(), rig.xmm(source).slice());
      assertEquals(rig.run(0x66, 0x0f, ...instruction.opcode, 0xc8 | source), -1);
      assertEquals(rig.xmm(1), wanted);
      if (!instruction.mmx) continue;
      fill(rig.mmx(1), next);
      fill(rig.mmx(2), next);
      const half = expected(instruction, rig.mmx(1).slice(), rig.mmx(source).slice());
      assertEquals(rig.run(0x0f, ...instruction.opcode, 0xc8 | source), -1);
      assertEquals(rig.mmx(1), half);
    }
  });
}

Deno.test("every instruction of lanes that has an MMX form is tested with it", () => {
  const withMmx = new Set(
    SIMD.filter((row) => row.operands.join() === "Pq,Qq").map((row) => row.mnemonic),
  );
  for (const [name, { mmx }] of Object.entries(INSTRUCTIONS)) {
    assertEquals(withMmx.has(name), mmx, name);
  }
});

/** `66 0f …` with xmm1 and xmm2. */
function apply(opcode: readonly number[], a: string, b: string, ...immediate: number[]): string {
  const rig = new SimdRig();
  rig.setHex(1, a);
  rig.setHex(2, b);
  assertEquals(rig.run(0x66, 0x0f, ...opcode, 0xca, ...immediate), -1);
  return rig.hex(1);
}

Deno.test("PMADDWD and PMADDUBSW add neighbouring products, the latter saturated", () => {
  const minima = "0080".repeat(8);
  assertEquals(apply([0xf5], minima, minima), "00000080".repeat(4));
  assertEquals(apply([0x38, 0x04], "ff".repeat(16), "7f".repeat(16)), "ff7f".repeat(8));
  assertEquals(apply([0x38, 0x04], "ff".repeat(16), "80".repeat(16)), "0080".repeat(8));
  assertEquals(apply([0x38, 0x04], "0203".repeat(8), "ff02".repeat(8)), "0400".repeat(8));
});

Deno.test("PSADBW adds the distances of each half's bytes", () => {
  assertEquals(
    apply([0xf6], "00".repeat(8) + "0a".repeat(8), "ff".repeat(8) + "0809".repeat(4)),
    "f807000000000000" + "0c00000000000000",
  );
});

Deno.test("PHMINPOSUW gives the smallest half and the number of the first of that value", () => {
  assertEquals(
    apply([0x38, 0x41], "00".repeat(16), "ffff 0500 0480 0300 0900 0300 ffff 0400"),
    "03000300" + "00".repeat(12),
  );
});

Deno.test("PTEST sets ZF for no common bit and CF for no missing one", () => {
  const rig = new SimdRig();
  const test = (a: string, b: string) => {
    rig.setHex(1, a.repeat(4));
    rig.setHex(2, b.repeat(4));
    rig.cpu.setStatusFlags(0x8d5);
    assertEquals(rig.run(0x66, 0x0f, 0x38, 0x17, 0xca), -1);
    return rig.cpu.statusFlags;
  };
  assertEquals(test("ff00ff00", "00ff00ff"), 64);
  assertEquals(test("ff00ff00", "0f000000"), 1);
  assertEquals(test("ff00ff00", "0f0f0000"), 0);
  assertEquals(test("ff00ff00", "00000000"), 65);
});

Deno.test("shifts by more than a lane's width clear it, or fill it with the sign", () => {
  const rig = new SimdRig();
  const value = "0180ff7f 010000800200000000000080";
  /** With the count in the immediate, and in xmm2. */
  const shift = (group: number, digit: number, opcode: number, count: number) => {
    rig.setHex(1, value);
    rig.setHex(2, "00".repeat(16));
    rig.words(2)[0] = count;
    assertEquals(rig.run(0x66, 0x0f, opcode, 0xca), -1);
    const byRegister = rig.hex(1);
    rig.setHex(1, value);
    assertEquals(rig.run(0x66, 0x0f, group, 0xc1 | digit << 3, count), -1);
    assertEquals(rig.hex(1), byRegister);
    return byRegister;
  };
  assertEquals(shift(0x71, 2, 0xd1, 4), "0008ff0700000008" + "0000000000000008");
  assertEquals(shift(0x71, 2, 0xd1, 16), "00".repeat(16));
  assertEquals(shift(0x71, 4, 0xe1, 99), "ffff00000000ffff" + "000000000000ffff");
  assertEquals(shift(0x71, 6, 0xf1, 1), "0200feff02000000" + "0400000000000000");
  assertEquals(shift(0x72, 2, 0xd2, 32), "00".repeat(16));
  assertEquals(shift(0x72, 4, 0xe2, 32), "00000000ffffffff" + "00000000ffffffff");
  assertEquals(shift(0x72, 6, 0xf2, 8), "000180ff00010000" + "0002000000000000");
  assertEquals(shift(0x73, 2, 0xd3, 33), "0000004000000000" + "0000004000000000");
  assertEquals(shift(0x73, 2, 0xd3, 64), "00".repeat(16));
  assertEquals(shift(0x73, 6, 0xf3, 32), "000000000180ff7f" + "0000000002000000");
  rig.setHex(2, "0000000001000000" + "00".repeat(8)); // a count of 2^32
  rig.setHex(1, value);
  assertEquals(rig.run(0x66, 0x0f, 0xd3, 0xca), -1);
  assertEquals(rig.hex(1), "00".repeat(16));
});

Deno.test("PSLLDQ and PSRLDQ shift by bytes", () => {
  const rig = new SimdRig();
  const value = "000102030405060708090a0b0c0d0e0f";
  const shift = (digit: number, count: number) => {
    rig.setHex(1, value);
    assertEquals(rig.run(0x66, 0x0f, 0x73, 0xc1 | digit << 3, count), -1);
    return rig.hex(1);
  };
  assertEquals(shift(3, 5), "05060708090a0b0c0d0e0f0000000000");
  assertEquals(shift(7, 5), "0000000000000102030405060708090a");
  assertEquals(shift(3, 0), value);
  assertEquals(shift(7, 16), "00".repeat(16));
});
