import { assertEquals } from "@std/assert";
import { Seg, State } from "../../../../../../src/cpu/state.ts";
import { hexOf, PAGE_AT, SimdRig } from "./simd_rig.ts";

const A = "000102030405060708090a0b0c0d0e0f";
const B = "101112131415161718191a1b1c1d1e1f";
const GP = 13;

/** xmm1 = A, xmm2 = B, and [rdi] 16 bytes of 0xee. */
function rigWith(offset = 16): SimdRig {
  const rig = new SimdRig();
  rig.setHex(1, A);
  rig.setHex(2, B);
  rig.page.fill(0xee, 0, 64);
  rig.setGpr(7, PAGE_AT + offset);
  return rig;
}

function memory(rig: SimdRig, offset = 16): string {
  return hexOf(rig.page.subarray(offset, offset + 16));
}

Deno.test("aligned moves fault when memory is not aligned, unaligned ones do not", () => {
  const moves = {
    movaps: [[0x0f, 0x28, 0x0f], [0x0f, 0x29, 0x0f]],
    movdqa: [[0x66, 0x0f, 0x6f, 0x0f], [0x66, 0x0f, 0x7f, 0x0f]],
    movntdq: [[0x66, 0x0f, 0x38, 0x2a, 0x0f], [0x66, 0x0f, 0xe7, 0x0f]],
  };
  for (const [name, [load, store]] of Object.entries(moves)) {
    const rig = rigWith(24);
    assertEquals([rig.run(...load), rig.run(...store)], [GP, GP], name);
    assertEquals([rig.hex(1), memory(rig, 24)], [A, "ee".repeat(16)], name);
    rig.setGpr(7, PAGE_AT + 32);
    assertEquals(rig.run(...store), -1);
    assertEquals(memory(rig, 32), A, name);
    rig.page.fill(0x55, 32, 48);
    assertEquals(rig.run(...load), -1);
    assertEquals(rig.hex(1), "55".repeat(16), name);
  }
  const rig = rigWith(17);
  assertEquals(rig.run(0xf3, 0x0f, 0x7f, 0x0f), -1); // movdqu [rdi], xmm1
  assertEquals(memory(rig, 17), A);
  assertEquals(rig.run(0xf2, 0x0f, 0xf0, 0x17), -1); // lddqu xmm2, [rdi]
  assertEquals(rig.hex(2), A);
});

Deno.test("MOVSS and MOVSD clear the rest when they load, and leave it between registers", () => {
  let rig = rigWith();
  assertEquals(rig.run(0xf3, 0x0f, 0x10, 0xca), -1); // movss xmm1, xmm2
  assertEquals(rig.hex(1), B.slice(0, 8) + A.slice(8));
  assertEquals(rig.run(0xf3, 0x0f, 0x10, 0x0f), -1); // movss xmm1, [rdi]
  assertEquals(rig.hex(1), "eeeeeeee" + "00".repeat(12));
  rig = rigWith();
  assertEquals(rig.run(0xf2, 0x0f, 0x11, 0xd1), -1); // movsd xmm1, xmm2 (store form)
  assertEquals(rig.hex(1), B.slice(0, 16) + A.slice(16));
  assertEquals(rig.run(0xf2, 0x0f, 0x11, 0x17), -1); // movsd [rdi], xmm2
  assertEquals(memory(rig), B.slice(0, 16) + "ee".repeat(8));
  assertEquals(rig.run(0xf2, 0x0f, 0x10, 0x0f), -1);
  assertEquals(rig.hex(1), B.slice(0, 16) + "00".repeat(8));
});

Deno.test("moves of one half leave the other, between registers and to memory", () => {
  const rig = rigWith();
  assertEquals(rig.run(0x0f, 0x12, 0xca), -1); // movhlps xmm1, xmm2
  assertEquals(rig.hex(1), B.slice(16) + A.slice(16));
  assertEquals(rig.run(0x0f, 0x16, 0xca), -1); // movlhps xmm1, xmm2
  assertEquals(rig.hex(1), B.slice(16) + B.slice(0, 16));
  assertEquals(rig.run(0x0f, 0x16, 0x0f), -1); // movhps xmm1, [rdi]
  assertEquals(rig.hex(1), B.slice(16) + "ee".repeat(8));
  assertEquals(rig.run(0x66, 0x0f, 0x17, 0x17), -1); // movhpd [rdi], xmm2
  assertEquals(memory(rig), B.slice(16) + "ee".repeat(8));
  assertEquals(rig.run(0x66, 0x0f, 0x12, 0x17), -1); // movlpd xmm2, [rdi]
  assertEquals(rig.hex(2), B.slice(16) + B.slice(16));
});

Deno.test("register forms that do not exist are undefined opcodes", () => {
  const rig = rigWith();
  assertEquals(rig.run(0x66, 0x0f, 0x12, 0xca), 6); // movlpd
  assertEquals(rig.run(0x0f, 0x2b, 0xca), 6); // movntps
  assertEquals(rig.run(0x66, 0x0f, 0xd7, 0x0f), 6); // pmovmskb with memory
});

Deno.test("the duplications copy even, odd or low elements", () => {
  const rig = rigWith();
  assertEquals(rig.run(0xf3, 0x0f, 0x12, 0xc2), -1); // movsldup xmm0, xmm2
  assertEquals(rig.hex(0), "10111213".repeat(2) + "18191a1b".repeat(2));
  assertEquals(rig.run(0xf3, 0x0f, 0x16, 0xc2), -1); // movshdup
  assertEquals(rig.hex(0), "14151617".repeat(2) + "1c1d1e1f".repeat(2));
  assertEquals(rig.run(0xf2, 0x0f, 0x12, 0xc2), -1); // movddup
  assertEquals(rig.hex(0), B.slice(0, 16).repeat(2));
});

Deno.test("MOVD and MOVQ clear what is above, in both directions", () => {
  const rig = rigWith();
  rig.setGpr(0, 0x1122_3344_5566_7788n);
  assertEquals(rig.run(0x66, 0x0f, 0x6e, 0xc8), -1); // movd xmm1, eax
  assertEquals(rig.hex(1), "88776655" + "00".repeat(12));
  assertEquals(rig.run(0x66, 0x48, 0x0f, 0x6e, 0xc8), -1); // movq xmm1, rax
  assertEquals(rig.hex(1), "8877665544332211" + "00".repeat(8));
  assertEquals(rig.run(0x66, 0x0f, 0x7e, 0xd0), -1); // movd eax, xmm2
  assertEquals(rig.gpr(0), 0x13121110n);
  assertEquals(rig.run(0x66, 0x48, 0x0f, 0x7e, 0xd0), -1); // movq rax, xmm2
  assertEquals(rig.gpr(0), 0x1716151413121110n);
  assertEquals(rig.run(0x66, 0x0f, 0xd6, 0xd1), -1); // movq xmm1, xmm2
  assertEquals(rig.hex(1), B.slice(0, 16) + "00".repeat(8));
});

Deno.test("masks are made of the top bits", () => {
  const rig = rigWith();
  rig.setHex(1, "80000000 7f0000ff ffffff7f 00000080");
  rig.setGpr(0, -1);
  assertEquals(rig.run(0x66, 0x0f, 0xd7, 0xc1), -1); // pmovmskb eax, xmm1
  assertEquals(rig.gpr(0), 0b1000_0111_1000_0001n);
  assertEquals(rig.run(0x0f, 0x50, 0xc1), -1); // movmskps
  assertEquals(rig.gpr(0), 0b1010n);
  assertEquals(rig.run(0x66, 0x0f, 0x50, 0xc1), -1); // movmskpd
  assertEquals(rig.gpr(0), 0b11n);
});

Deno.test("MASKMOVDQU writes the selected bytes to DS:RDI, whatever the alignment", () => {
  const rig = rigWith(5);
  rig.setHex(2, "80" + "00".repeat(7) + "ff7f" + "00".repeat(5) + "80");
  assertEquals(rig.run(0x66, 0x0f, 0xf7, 0xca), -1); // maskmovdqu xmm1, xmm2
  assertEquals(memory(rig, 5), "00" + "ee".repeat(7) + "08" + "ee".repeat(6) + "0f");
});

Deno.test("MASKMOVDQU takes a segment override and the address size", () => {
  const rig = rigWith(0);
  rig.cpu.s[State.SEGMENTS / 4 + Seg.FS * 4] = 0x20;
  rig.setGpr(7, 0xdead_0000_0000_0000n + BigInt(PAGE_AT));
  rig.setHex(2, "ff".repeat(16));
  assertEquals(rig.run(0x64, 0x67, 0x66, 0x0f, 0xf7, 0xca), -1); // fs: maskmovdqu with edi
  assertEquals(memory(rig, 0x20), A);
});

Deno.test("lanes are inserted and extracted by number, modulo their count", () => {
  const rig = rigWith();
  rig.setGpr(0, 0xffff_ffff_aabb_ccddn);
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x20, 0xc8, 0x13), -1); // pinsrb xmm1, eax, 3
  assertEquals(rig.run(0x66, 0x0f, 0xc4, 0xc8, 0x0f), -1); // pinsrw xmm1, eax, 7
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x22, 0xc8, 1), -1); // pinsrd xmm1, eax, 1
  assertEquals(rig.hex(1), "000102dd" + "ddccbbaa" + "08090a0b0c0d" + "ddcc");
  assertEquals(rig.run(0x66, 0x48, 0x0f, 0x3a, 0x22, 0xc8, 0), -1); // pinsrq xmm1, rax, 0
  assertEquals(rig.hex(1).slice(0, 16), "ddccbbaaffffffff");
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x14, 0xd0, 0x1f), -1); // pextrb eax, xmm2, 15
  assertEquals(rig.gpr(0), 0x1fn);
  assertEquals(rig.run(0x66, 0x0f, 0xc5, 0xc2, 2), -1); // pextrw eax, xmm2, 2
  assertEquals(rig.gpr(0), 0x1514n);
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x17, 0xd0, 3), -1); // extractps eax, xmm2, 3
  assertEquals(rig.gpr(0), 0x1f1e1d1cn);
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x15, 0x17, 6), -1); // pextrw [rdi], xmm2, 6
  assertEquals(memory(rig).slice(0, 8), "1c1deeee");
});

Deno.test("INSERTPS picks, places and clears", () => {
  const rig = rigWith();
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x21, 0xca, 0b10_01_0101), -1);
  assertEquals(rig.hex(1), "00000000" + "18191a1b" + "00000000" + A.slice(24));
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x21, 0x0f, 0b11_10_0000), -1); // from memory: no pick
  assertEquals(rig.hex(1).slice(16, 24), "eeeeeeee");
});
