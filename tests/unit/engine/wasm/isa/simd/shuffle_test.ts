import { assertEquals } from "@std/assert";
import { bytesOf, hexOf, SimdRig } from "./simd_rig.ts";

const A = "000102030405060708090a0b0c0d0e0f";
const B = "101112131415161718191a1b1c1d1e1f";

/** Runs `code` with the ModRM byte for xmm1, xmm2 (or mm1, mm2) behind it. */
function apply(code: readonly number[], ...immediate: number[]): string {
  const rig = new SimdRig();
  rig.setHex(1, A);
  rig.setHex(2, B);
  assertEquals(rig.run(...code, 0xca, ...immediate), -1);
  return rig.hex(1);
}

function applyMmx(code: readonly number[], ...immediate: number[]): string {
  const rig = new SimdRig();
  rig.mmx(1).set(bytesOf(A.slice(0, 16)));
  rig.mmx(2).set(bytesOf(B.slice(0, 16)));
  assertEquals(rig.run(...code, 0xca, ...immediate), -1);
  return hexOf(rig.mmx(1));
}

Deno.test("the unpacks take the lanes of a half by turns", () => {
  assertEquals(apply([0x66, 0x0f, 0x60]), "00100111021203130414051506160717");
  assertEquals(apply([0x66, 0x0f, 0x61]), "00011011020312130405141506071617");
  assertEquals(apply([0x66, 0x0f, 0x62]), "00010203101112130405060714151617");
  assertEquals(apply([0x66, 0x0f, 0x6c]), "00010203040506071011121314151617");
  assertEquals(apply([0x66, 0x0f, 0x68]), "081809190a1a0b1b0c1c0d1d0e1e0f1f");
  assertEquals(apply([0x66, 0x0f, 0x69]), "080918190a0b1a1b0c0d1c1d0e0f1e1f");
  assertEquals(apply([0x66, 0x0f, 0x6a]), "08090a0b18191a1b0c0d0e0f1c1d1e1f");
  assertEquals(apply([0x66, 0x0f, 0x6d]), "08090a0b0c0d0e0f18191a1b1c1d1e1f");
  assertEquals(applyMmx([0x0f, 0x60]), "0010011102120313");
  assertEquals(applyMmx([0x0f, 0x69]), "0405141506071617");
});

Deno.test("the packs saturate both operands' lanes", () => {
  const rig = new SimdRig();
  rig.setHex(1, "ff7f 0080 7f00 80ff 0001 ffff 0000 0500");
  rig.setHex(2, "00000080 ffffff7f 0500ffff 00800000");
  assertEquals(rig.run(0x66, 0x0f, 0x63, 0xc9), -1); // packsswb xmm1, xmm1
  assertEquals(rig.hex(1), "7f807f807fff0005".repeat(2));
  rig.setHex(1, "ff7f 0080 7f00 80ff 0001 ffff 0000 0500");
  assertEquals(rig.run(0x66, 0x0f, 0x67, 0xc9), -1); // packuswb
  assertEquals(rig.hex(1), "ff007f00ff000005".repeat(2));
  assertEquals(rig.run(0x66, 0x0f, 0x6b, 0xd2), -1); // packssdw xmm2, xmm2
  assertEquals(rig.hex(2), "0080ff7f0080ff7f".repeat(2));
  rig.setHex(2, "00000080 ffffff7f 05000000 00800000");
  assertEquals(rig.run(0x66, 0x0f, 0x38, 0x2b, 0xd2), -1); // packusdw
  assertEquals(rig.hex(2), "0000ffff05000080".repeat(2));
});

Deno.test("the shuffles by an immediate pick their lanes", () => {
  assertEquals(apply([0x66, 0x0f, 0x70], 0x1b), "1c1d1e1f18191a1b1415161710111213");
  assertEquals(apply([0xf2, 0x0f, 0x70], 0x1b), "161714151213101118191a1b1c1d1e1f");
  assertEquals(apply([0xf3, 0x0f, 0x70], 0xc6), "10111213141516171c1d1a1b18191e1f");
  assertEquals(apply([0x0f, 0xc6], 0xd8), "0001020308090a0b141516171c1d1e1f");
  assertEquals(apply([0x66, 0x0f, 0xc6], 1), "08090a0b0c0d0e0f1011121314151617");
  assertEquals(applyMmx([0x0f, 0x70], 0x1b), "1617141512131011");
});

Deno.test("PSHUFB gives zero where the top bit is set and ignores the bits between", () => {
  const rig = new SimdRig();
  rig.setHex(1, A);
  rig.setHex(2, "0f0e70810b800102030405060708090a");
  assertEquals(rig.run(0x66, 0x0f, 0x38, 0x00, 0xca), -1);
  assertEquals(rig.hex(1), "0f0e00000b000102030405060708090a");
  rig.mmx(1).set(bytesOf(A.slice(0, 16)));
  rig.mmx(2).set(bytesOf("0f08800706050403"));
  assertEquals(rig.run(0x0f, 0x38, 0x00, 0xca), -1);
  assertEquals(hexOf(rig.mmx(1)), "0700000706050403");
});

Deno.test("PALIGNR shifts both operands as one, zeros behind them", () => {
  assertEquals(apply([0x66, 0x0f, 0x3a, 0x0f], 3), "131415161718191a1b1c1d1e1f000102");
  assertEquals(apply([0x66, 0x0f, 0x3a, 0x0f], 20), "0405060708090a0b0c0d0e0f00000000");
  assertEquals(apply([0x66, 0x0f, 0x3a, 0x0f], 32), "00".repeat(16));
  assertEquals(applyMmx([0x0f, 0x3a, 0x0f], 5), "1516170001020304");
});

Deno.test("the blends take what the immediate or XMM0's top bits ask for", () => {
  assertEquals(apply([0x66, 0x0f, 0x3a, 0x0c], 5), "10111213040506071819" + "1a1b0c0d0e0f");
  assertEquals(apply([0x66, 0x0f, 0x3a, 0x0d], 2), A.slice(0, 16) + B.slice(16));
  assertEquals(apply([0x66, 0x0f, 0x3a, 0x0e], 0x81), "1011" + A.slice(4, 28) + "1e1f");
  const rig = new SimdRig();
  const blend = (opcode: number, mask: string) => {
    rig.setHex(0, mask);
    rig.setHex(1, A);
    rig.setHex(2, B);
    assertEquals(rig.run(0x66, 0x0f, 0x38, opcode, 0xca), -1);
    return rig.hex(1);
  };
  const mask = "8000000000000080000000000000007f";
  assertEquals(blend(0x10, mask), "10" + A.slice(2, 14) + "17" + A.slice(16));
  assertEquals(blend(0x14, mask), A.slice(0, 8) + B.slice(8, 16) + A.slice(16));
  assertEquals(blend(0x15, mask), B.slice(0, 16) + A.slice(16));
});

Deno.test("PMOVSX and PMOVZX extend the lowest lanes, of as much memory as they need", () => {
  const rig = new SimdRig();
  rig.page.set(bytesOf("80 01 ff 7f 00 80 fe ff"), 4088);
  const extend = (opcode: number, bytes: number) => {
    rig.setGpr(7, 0x10_0000 + 4096 - bytes); // what is behind is not mapped
    rig.page.copyWithin(4096 - bytes, 4088, 4088 + bytes);
    assertEquals(rig.run(0x66, 0x0f, 0x38, opcode, 0x07), -1);
    rig.page.set(bytesOf("80 01 ff 7f 00 80 fe ff"), 4088);
    return rig.hex(0);
  };
  assertEquals(extend(0x20, 8), "80ff0100ffff7f00000080fffeffffff");
  assertEquals(extend(0x30, 8), "80000100ff007f0000008000fe00ff00");
  assertEquals(extend(0x21, 4), "80ffffff01000000ffffffff7f000000");
  assertEquals(extend(0x32, 2), "80000000000000000100000000000000");
  assertEquals(extend(0x22, 2), "80ffffffffffffff0100000000000000");
  assertEquals(extend(0x23, 8), "80010000ff7f00000080fffffeffffff");
  assertEquals(extend(0x34, 4), "8001000000000000ff7f000000000000");
  assertEquals(extend(0x25, 8), "8001ff7f000000000080feffffffffff");
});
