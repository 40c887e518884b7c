import { assertEquals } from "@std/assert";
import { Cr4 } from "../../../../../../src/cpu/modes.ts";
import { Word } from "../../../../../../src/engine/wasm/cpu.ts";
import { MXCSR_DEFAULT, SimdRig } from "./simd_rig.ts";

// op xmm0, xmm1
const ADDSD = [0xf2, 0x0f, 0x58, 0xc1];
const MULSD = [0xf2, 0x0f, 0x59, 0xc1];
const DIVSD = [0xf2, 0x0f, 0x5e, 0xc1];
const SQRTSD = [0xf2, 0x0f, 0x51, 0xc1];
const ADDSS = [0xf3, 0x0f, 0x58, 0xc1];
const DIVPS = [0x0f, 0x5e, 0xc1];
const ADDPD = [0x66, 0x0f, 0x58, 0xc1];
const MINSD = [0xf2, 0x0f, 0x5d, 0xc1];

/** Exception flags of MXCSR. */
const IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32;

function scalar(code: readonly number[], a: number, b: number, mxcsr = MXCSR_DEFAULT) {
  const rig = new SimdRig();
  rig.mxcsr = mxcsr;
  rig.doubles(0).set([a, 7]);
  rig.doubles(1).set([b, 9]);
  const vector = rig.run(...code);
  return { value: rig.doubles(0)[0], upper: rig.doubles(0)[1], flags: rig.mxcsr & 63, vector };
}

Deno.test("a sum of doubles raises the precision flag exactly when it was rounded", () => {
  assertEquals(scalar(ADDSD, 1, 2), { value: 3, upper: 7, flags: 0, vector: -1 });
  assertEquals(scalar(ADDSD, 1, 2 ** -60).flags, PE);
  assertEquals(scalar(ADDSD, 0.1, 0.2).value, 0.1 + 0.2);
  assertEquals(scalar(ADDSD, 0.1, 0.2).flags, PE);
  assertEquals(scalar(ADDSD, Number.MAX_VALUE, Number.MAX_VALUE).flags, OE | PE);
});

Deno.test("products, quotients and roots raise the precision flag exactly when they were rounded", () => {
  assertEquals(scalar(MULSD, 3, 5).flags, 0);
  assertEquals(scalar(MULSD, 0.1, 0.1).flags, PE);
  assertEquals(scalar(MULSD, 2 ** 27 + 1, 2 ** 27 + 1).flags, PE);
  assertEquals(scalar(MULSD, -0, 5), { value: -0, upper: 7, flags: 0, vector: -1 });
  assertEquals(scalar(DIVSD, 15, 5).flags, 0);
  assertEquals(scalar(DIVSD, 1, 3).flags, PE);
  assertEquals(scalar(SQRTSD, 0, 9), { value: 3, upper: 7, flags: 0, vector: -1 });
  assertEquals(scalar(SQRTSD, 0, 2).flags, PE);
});

Deno.test("underflow, division by zero, denormals and invalid operations raise their flags", () => {
  assertEquals(scalar(MULSD, 2 ** -1000, 2 ** -1000), {
    ...{ value: 0, upper: 7, flags: UE | PE, vector: -1 },
  });
  assertEquals(scalar(DIVSD, 1, 0), { value: Infinity, upper: 7, flags: ZE, vector: -1 });
  assertEquals(scalar(ADDSD, 1, 2 ** -1074).flags, DE | PE);
  assertEquals(scalar(SQRTSD, 0, -1).flags, IE);
  assertEquals(scalar(ADDSD, Infinity, -Infinity).flags, IE);
});

Deno.test("a NaN result is the first operand's NaN made quiet, or the indefinite NaN", () => {
  const rig = new SimdRig();
  const add = (a: string, b: string) => {
    rig.setHex(0, a + "00".repeat(8));
    rig.setHex(1, b + "00".repeat(8));
    assertEquals(rig.run(...ADDSD), -1);
    return rig.hex(0).slice(0, 16);
  };
  const signalling = "341200000000f0ff", quiet = "010000000000f87f", one = "000000000000f03f";
  assertEquals(add(signalling, quiet), "341200000000f8ff");
  assertEquals(add(quiet, signalling), quiet);
  assertEquals(add(one, signalling), "341200000000f8ff");
  assertEquals(add("000000000000f07f", "000000000000f0ff"), "000000000000f8ff");
});

Deno.test("MXCSR's rounding mode and flush-to-zero hold", () => {
  const up = MXCSR_DEFAULT | 2 << 13, down = MXCSR_DEFAULT | 1 << 13;
  assertEquals(scalar(ADDSD, 1, 2 ** -60, up).value, 1 + 2 ** -52);
  assertEquals(scalar(ADDSD, 1, 2 ** -60, down).value, 1);
  assertEquals(scalar(ADDSD, 1, -1, down).value, -0);
  const flushed = scalar(MULSD, 2 ** -600, 2 ** -450, MXCSR_DEFAULT | 1 << 15);
  assertEquals(flushed, { value: 0, upper: 7, flags: UE | PE, vector: -1 });
});

Deno.test("an unmasked exception leaves the destination and raises #XM, or #UD without OSXMMEXCPT", () => {
  const zeroDivideUnmasked = MXCSR_DEFAULT & ~(1 << 9);
  assertEquals(scalar(DIVSD, 1, 0, zeroDivideUnmasked), {
    ...{ value: 1, upper: 7, flags: ZE, vector: 19 },
  });
  const rig = new SimdRig();
  rig.cpu.s[Word.CR4] &= ~Cr4.OSXMMEXCPT;
  rig.mxcsr = zeroDivideUnmasked;
  rig.doubles(0).set([1, 0]);
  assertEquals(rig.run(...DIVSD), 6);
});

Deno.test("an unmasked exception of one element keeps the others from being computed", () => {
  const rig = new SimdRig();
  rig.mxcsr = MXCSR_DEFAULT & ~(1 << 9);
  rig.singles(0).set([1, 1, 1, 1]);
  rig.singles(1).set([3, 0, 4, 4]); // 1/3 would be inexact
  assertEquals(rig.run(...DIVPS), 19);
  assertEquals(rig.mxcsr & 63, ZE);
  assertEquals([...rig.singles(0)], [1, 1, 1, 1]);
});

Deno.test("singles are rounded once, to 24 bits", () => {
  const rig = new SimdRig();
  const add = (a: number, b: number) => {
    rig.mxcsr = MXCSR_DEFAULT;
    rig.singles(0).set([a, 5, 6, 7]);
    rig.singles(1).set([b, 0, 0, 0]);
    assertEquals(rig.run(...ADDSS), -1);
    assertEquals([...rig.singles(0)].slice(1), [5, 6, 7]);
    return { value: rig.singles(0)[0], flags: rig.mxcsr & 63 };
  };
  assertEquals(add(1, 2 ** -23), { value: 1 + 2 ** -23, flags: 0 });
  assertEquals(add(1, 2 ** -24), { value: 1, flags: PE });
  // The sum is exact neither as a single nor as a double.
  assertEquals(add(1, 2 ** -100), { value: 1, flags: PE });
});

Deno.test("MINSD gives the second operand for zeros and NaNs", () => {
  assertEquals(scalar(MINSD, 0, -0).value, -0);
  assertEquals(scalar(MINSD, -0, 0).value, 0);
  assertEquals(scalar(MINSD, NaN, 3).value, 3);
  assertEquals(scalar(MINSD, 3, NaN).flags, IE);
  assertEquals(scalar(MINSD, 2, 3).value, 2);
});

Deno.test("packed operands in memory are aligned, scalar ones need not be", () => {
  const rig = new SimdRig();
  new DataView(rig.page.buffer).setFloat64(8, 2.5, true);
  new DataView(rig.page.buffer).setFloat64(16, 4.5, true);
  rig.setGpr(7, 0x10_0008);
  rig.doubles(0).set([1, 1]);
  assertEquals(rig.run(0x66, 0x0f, 0x58, 0x07), 13); // addpd xmm0, [rdi]
  assertEquals(rig.run(0xf2, 0x0f, 0x58, 0x07), -1); // addsd xmm0, [rdi]
  assertEquals([...rig.doubles(0)], [3.5, 1]);
  rig.setGpr(7, 0x10_0010);
  assertEquals(rig.run(0x66, 0x0f, 0x58, 0x07), -1);
  assertEquals([...rig.doubles(0)], [8, 1]);
});

Deno.test("horizontal, alternating and dot-product forms take the elements the manual names", () => {
  const rig = new SimdRig();
  const apply = (...code: number[]) => {
    rig.singles(0).set([1, 2, 3, 4]);
    rig.singles(1).set([10, 20, 30, 40]);
    assertEquals(rig.run(...code), -1);
    return [...rig.singles(0)];
  };
  assertEquals(apply(0xf2, 0x0f, 0x7c, 0xc1), [3, 7, 30, 70]); // haddps
  assertEquals(apply(0xf2, 0x0f, 0x7d, 0xc1), [-1, -1, -10, -10]); // hsubps
  assertEquals(apply(0xf2, 0x0f, 0xd0, 0xc1), [-9, 22, -27, 44]); // addsubps
  assertEquals(apply(0x66, 0x0f, 0x3a, 0x40, 0xc1, 0x73), [140, 140, 0, 0]); // dpps
  rig.doubles(0).set([1, 2]);
  rig.doubles(1).set([10, 20]);
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x41, 0xc1, 0x32), -1); // dppd
  assertEquals([...rig.doubles(0)], [0, 50]);
  assertEquals(rig.run(...ADDPD), -1);
  assertEquals([...rig.doubles(0)], [10, 70]);
});

Deno.test("ROUNDSD takes the mode of its immediate, and its bit 3 keeps the precision flag clear", () => {
  const rig = new SimdRig();
  const round = (value: number, immediate: number) => {
    rig.mxcsr = MXCSR_DEFAULT;
    rig.doubles(1)[0] = value;
    assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x0b, 0xc1, immediate), -1);
    return [rig.doubles(0)[0], rig.mxcsr & PE];
  };
  assertEquals(round(2.5, 0), [2, PE]);
  assertEquals(round(-2.5, 1), [-3, PE]);
  assertEquals(round(2.5, 2), [3, PE]);
  assertEquals(round(-2.5, 3), [-2, PE]);
  assertEquals(round(-0.5, 0x0b), [-0, 0]);
});

Deno.test("approximate reciprocals are within the manual's error, and denormals count as zeros", () => {
  const rig = new SimdRig();
  const apply = (opcode: number, value: number) => {
    rig.singles(1)[0] = value;
    assertEquals(rig.run(0xf3, 0x0f, opcode, 0xc1), -1);
    return rig.singles(0)[0];
  };
  const error = 1.5 * 2 ** -12;
  for (const x of [1, 3, 7.25, 1e-30, 12345.678, 2 ** 60]) {
    assertEquals(Math.abs(apply(0x53, x) * x - 1) <= error, true, `rcpss of ${x}`);
    assertEquals(Math.abs(apply(0x52, x) * Math.sqrt(x) - 1) <= error, true, `rsqrtss of ${x}`);
  }
  assertEquals(apply(0x53, -(2 ** -140)), -Infinity);
  assertEquals(apply(0x53, 2 ** 127), 0);
  assertEquals(apply(0x52, -1), NaN);
  assertEquals(rig.mxcsr, MXCSR_DEFAULT);
});
