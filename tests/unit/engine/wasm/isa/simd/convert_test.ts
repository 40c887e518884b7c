import { assertEquals } from "@std/assert";
import { MXCSR_DEFAULT, SimdRig } from "./simd_rig.ts";

const IE = 1, UE = 16, PE = 32;
const INDEFINITE_64 = 0x8000_0000_0000_0000n;

/** cvt(t)sd2si rax or eax, xmm1 */
function toInteger(value: number, opcode: number, wide: boolean, mxcsr = MXCSR_DEFAULT) {
  const rig = new SimdRig();
  rig.mxcsr = mxcsr;
  rig.setGpr(0, -1);
  rig.doubles(1)[0] = value;
  const code = wide ? [0xf2, 0x48, 0x0f, opcode, 0xc1] : [0xf2, 0x0f, opcode, 0xc1];
  assertEquals(rig.run(...code), -1);
  return [rig.gpr(0), rig.mxcsr & 63];
}

Deno.test("CVTTSD2SI truncates, CVTSD2SI rounds as MXCSR says", () => {
  assertEquals(toInteger(-2.7, 0x2c, false), [0xffff_fffen, PE]);
  assertEquals(toInteger(2.5, 0x2d, false), [2n, PE]);
  assertEquals(toInteger(3.5, 0x2d, false), [4n, PE]);
  assertEquals(toInteger(2.5, 0x2d, false, MXCSR_DEFAULT | 2 << 13), [3n, PE]);
  assertEquals(toInteger(5, 0x2c, false), [5n, 0]);
  assertEquals(toInteger(-(2 ** 40) - 0.5, 0x2c, true), [BigInt.asUintN(64, -(2n ** 40n)), PE]);
  assertEquals(toInteger(2 ** 62, 0x2c, true), [2n ** 62n, 0]);
});

Deno.test("what no integer can be becomes the indefinite integer and raises IE alone", () => {
  assertEquals(toInteger(2 ** 31, 0x2c, false), [0x8000_0000n, IE]);
  assertEquals(toInteger(2147483647.5, 0x2d, false), [0x8000_0000n, IE]);
  assertEquals(toInteger(-(2 ** 31), 0x2c, false), [0x8000_0000n, 0]);
  assertEquals(toInteger(NaN, 0x2c, false), [0x8000_0000n, IE]);
  assertEquals(toInteger(2 ** 63, 0x2c, true), [INDEFINITE_64, IE]);
});

Deno.test("integers of 32 and 64 bits become doubles, rounded where 53 bits are too few", () => {
  const rig = new SimdRig();
  const convert = (value: bigint, ...code: number[]) => {
    rig.mxcsr = MXCSR_DEFAULT;
    rig.setGpr(0, value);
    rig.doubles(0).fill(9);
    assertEquals(rig.run(...code), -1);
    assertEquals(rig.doubles(0)[1], 9);
    return [rig.doubles(0)[0], rig.mxcsr & 63];
  };
  assertEquals(convert(0xffff_ffffn, 0xf2, 0x0f, 0x2a, 0xc0), [-1, 0]);
  assertEquals(convert(-(2n ** 52n), 0xf2, 0x48, 0x0f, 0x2a, 0xc0), [-(2 ** 52), 0]);
  assertEquals(convert(2n ** 53n + 1n, 0xf2, 0x48, 0x0f, 0x2a, 0xc0), [2 ** 53, PE]);
  assertEquals(convert(2n ** 53n + 2n, 0xf2, 0x48, 0x0f, 0x2a, 0xc0), [2 ** 53 + 2, 0]);
});

Deno.test("CVTSD2SS rounds to a single and tells underflow", () => {
  const rig = new SimdRig();
  const convert = (value: number) => {
    rig.mxcsr = MXCSR_DEFAULT;
    rig.doubles(1)[0] = value;
    assertEquals(rig.run(0xf2, 0x0f, 0x5a, 0xc1), -1);
    return [rig.singles(0)[0], rig.mxcsr & 63];
  };
  assertEquals(convert(1.5), [1.5, 0]);
  assertEquals(convert(0.1), [Math.fround(0.1), PE]);
  assertEquals(convert(2 ** -140), [2 ** -140, 0]);
  assertEquals(convert(2 ** -200), [0, UE | PE]);
});

Deno.test("packed conversions fill or clear the upper half", () => {
  const rig = new SimdRig();
  rig.words(1).set([-1, 7, 8, 9]);
  assertEquals(rig.run(0xf3, 0x0f, 0xe6, 0xc1), -1); // cvtdq2pd xmm0, xmm1
  assertEquals([...rig.doubles(0)], [-1, 7]);
  assertEquals(rig.run(0xf2, 0x0f, 0xe6, 0xc0), -1); // cvtpd2dq xmm0, xmm0
  assertEquals([...rig.words(0)], [-1, 7, 0, 0]);
  assertEquals(rig.run(0x0f, 0x5b, 0xc0), -1); // cvtdq2ps xmm0, xmm0
  assertEquals([...rig.singles(0)], [-1, 7, 0, 0]);
  assertEquals(rig.run(0x0f, 0x5a, 0xc0), -1); // cvtps2pd xmm0, xmm0
  assertEquals([...rig.doubles(0)], [-1, 7]);
  assertEquals(rig.run(0x66, 0x0f, 0x5a, 0xc0), -1); // cvtpd2ps xmm0, xmm0
  assertEquals([...rig.singles(0)], [-1, 7, 0, 0]);
});

Deno.test("CVTPS2PI makes the x87 registers MMX registers; CVTPI2PD from memory leaves them", () => {
  const rig = new SimdRig();
  const { x87 } = rig.cpu;
  x87.top = 5;
  rig.setGpr(7, 0x10_0003);
  rig.page.set([1, 0, 0, 0, 2, 0, 0, 0], 3);
  assertEquals(rig.run(0x66, 0x0f, 0x2a, 0x07), -1); // cvtpi2pd xmm0, [rdi]
  assertEquals([...rig.doubles(0)], [1, 2]);
  assertEquals([x87.top, x87.used], [5, 0]);
  rig.singles(1).set([2.5, -7, 1, 1]);
  assertEquals(rig.run(0x0f, 0x2d, 0xd1), -1); // cvtps2pi mm2, xmm1
  assertEquals([...new Int32Array(rig.mmx(2).slice().buffer)], [2, -7]);
  assertEquals([x87.top, x87.used], [0, 0xff]);
});
