import { assertEquals } from "@std/assert";
import { Word } from "../../../../../../src/engine/wasm/cpu.ts";
import { bytesOf, hexOf, PAGE_AT, SimdRig } from "./simd_rig.ts";

const MF = 16;
/** x87 status word: exception summary. */
const PENDING = 0x80;

Deno.test("MMX instructions make all x87 registers valid, and TOP 0", () => {
  const codes = {
    "movq mm0, mm1": [0x0f, 0x6f, 0xc1],
    "movd eax, mm1": [0x0f, 0x7e, 0xc8],
    "movq [rdi], mm1": [0x0f, 0x7f, 0x0f],
    "pmovmskb eax, mm1": [0x0f, 0xd7, 0xc1],
    "pextrw eax, mm1, 0": [0x0f, 0xc5, 0xc1, 0],
    "psrlw mm1, 3": [0x0f, 0x71, 0xd1, 3],
    "movq2dq xmm0, mm1": [0xf3, 0x0f, 0xd6, 0xc1],
    "pshufb mm0, mm1": [0x0f, 0x38, 0x00, 0xc1],
    "maskmovq mm0, mm1": [0x0f, 0xf7, 0xc1],
  };
  for (const [name, code] of Object.entries(codes)) {
    const rig = new SimdRig();
    rig.setGpr(7, PAGE_AT);
    const { x87 } = rig.cpu;
    x87.top = 6;
    x87.used = 0b1100_0000;
    assertEquals(rig.run(...code), -1, name);
    assertEquals([x87.top, x87.used], [0, 0xff], name);
  }
});

Deno.test("a pending x87 exception is raised before anything else is done", () => {
  const rig = new SimdRig();
  rig.cpu.x87.status = PENDING;
  rig.mmx(1).fill(5);
  assertEquals(rig.run(0x0f, 0x6f, 0x04, 0x25, 0, 0, 0, 0), MF); // movq mm0, [0]
  assertEquals(rig.run(0x0f, 0xd6 + 1, 0xc1), MF); // pmovmskb
  assertEquals(rig.run(0x0f, 0x71, 0xd1, 3), MF); // psrlw mm1, 3
  assertEquals(rig.run(0xf2, 0x0f, 0xd6, 0xc1), MF); // movdq2q
  assertEquals(hexOf(rig.mmx(1)), "05".repeat(8));
  assertEquals(rig.cpu.x87.used, 0);
  assertEquals(rig.run(0x66, 0x0f, 0xef, 0xc1), -1); // pxor xmm0, xmm1: no MMX instruction
});

Deno.test("a written MMX register has ones for sign and exponent; one that is only read has not", () => {
  const rig = new SimdRig();
  const upper = (i: number) => rig.cpu.s[Word.MMX + i * 4 + 2];
  assertEquals(rig.run(0x0f, 0x6f, 0xd3), -1); // movq mm2, mm3
  assertEquals([upper(2), upper(3)], [0xffff, 0]);
  assertEquals(rig.run(0x0f, 0xfc, 0xe5), -1); // paddb mm4, mm5
  assertEquals([upper(4), upper(5)], [0xffff, 0]);
});

Deno.test("MOVD, MOVQ and the transfers to and from XMM registers move 32 and 64 bits", () => {
  const rig = new SimdRig();
  rig.setGpr(0, 0x1122_3344_5566_7788n);
  rig.setGpr(7, PAGE_AT + 3);
  assertEquals(rig.run(0x0f, 0x6e, 0xc8), -1); // movd mm1, eax
  assertEquals(hexOf(rig.mmx(1)), "8877665500000000");
  assertEquals(rig.run(0x48, 0x0f, 0x6e, 0xc8), -1); // movq mm1, rax
  assertEquals(rig.run(0x0f, 0xe7, 0x0f), -1); // movntq [rdi], mm1
  assertEquals(hexOf(rig.page.subarray(3, 11)), "8877665544332211");
  rig.setHex(0, "ff".repeat(16));
  assertEquals(rig.run(0xf3, 0x0f, 0xd6, 0xc1), -1); // movq2dq xmm0, mm1
  assertEquals(rig.hex(0), "8877665544332211" + "00".repeat(8));
  assertEquals(rig.run(0xf2, 0x0f, 0xd6, 0xd0), -1); // movdq2q mm2, xmm0
  assertEquals(hexOf(rig.mmx(2)), "8877665544332211");
  assertEquals(rig.run(0x48, 0x0f, 0x7e, 0xd3), -1); // movq rbx, mm2
  assertEquals(rig.gpr(3), 0x1122_3344_5566_7788n);
  assertEquals(rig.run(0x0f, 0x7e, 0xd3), -1); // movd ebx, mm2
  assertEquals(rig.gpr(3), 0x5566_7788n);
});

Deno.test("words are inserted into MMX registers and taken out, and bytes selected to memory", () => {
  const rig = new SimdRig();
  rig.setGpr(0, 0xffff_1234n);
  assertEquals(rig.run(0x0f, 0xc4, 0xc8, 6), -1); // pinsrw mm1, eax, 6 (modulo 4)
  assertEquals(hexOf(rig.mmx(1)), "0000000034120000");
  assertEquals(rig.run(0x0f, 0xc5, 0xc1, 2), -1); // pextrw eax, mm1, 2
  assertEquals(rig.gpr(0), 0x1234n);
  rig.setGpr(7, PAGE_AT + 1);
  rig.mmx(2).set(bytesOf("0000000080ff0000"));
  assertEquals(rig.run(0x0f, 0xf7, 0xca), -1); // maskmovq mm1, mm2
  assertEquals(hexOf(rig.page.subarray(0, 9)), "00" + "00000000" + "3412" + "0000");
});

Deno.test("PUNPCKL with memory reads 32 bits alone", () => {
  const rig = new SimdRig();
  rig.page.set([0xaa, 0xbb, 0xcc, 0xdd], 4092);
  rig.setGpr(7, PAGE_AT + 4092); // what is behind is not mapped
  rig.mmx(1).set(bytesOf("0102030405060708"));
  assertEquals(rig.run(0x0f, 0x60, 0x0f), -1); // punpcklbw mm1, [rdi]
  assertEquals(hexOf(rig.mmx(1)), "01aa02bb03cc04dd");
});

Deno.test("CR0.EM and CR0.TS keep MMX and SSE instructions from running", () => {
  const rig = new SimdRig();
  rig.cpu.mmxTrap = 7 + 1;
  rig.cpu.sseTrap = 6 + 1;
  assertEquals(rig.run(0x0f, 0x6f, 0xc1), 7); // movq mm0, mm1
  assertEquals(rig.run(0x0f, 0x28, 0xc1), 6); // movaps xmm0, xmm1
  assertEquals(rig.run(0xf3, 0x0f, 0xd6, 0xc1), 6); // movq2dq needs OSFXSR, too
});
