/** BMI1, BMI2, ADX (SDM 2A, 2B). Operands of 32 or 64 bits. */

import { carryOf } from "../../../base/u64.ts";
import type { Cpu } from "../cpu.ts";
import type { Handler, Insn } from "../insn.ts";
import { readSrc32, readSrc64 } from "../operands.ts";
import { highProduct, multiply64 } from "./multiply.ts";
import { bySize, type Row, row } from "./row.ts";

function set32(cpu: Cpu, insn: Insn, value: number): void {
  cpu.s[insn.dst] = value;
  cpu.s[insn.dst + 1] = 0;
}
function set64(cpu: Cpu, insn: Insn, lo: number, hi: number): void {
  cpu.s[insn.dst] = lo;
  cpu.s[insn.dst + 1] = hi;
}
/** SF and ZF by the result; OF cleared; CF as given. AF and PF are undefined: kept. */
function flags(cpu: Cpu, lo: number, hi: number, carry: number): void {
  cpu.zero = lo | hi;
  cpu.sign = hi;
  cpu.over = 0;
  cpu.cf = carry;
}

function andn32(cpu: Cpu, insn: Insn): void {
  const value = ~cpu.s[insn.src2] & readSrc32(cpu, insn);
  set32(cpu, insn, value);
  flags(cpu, value, value, 0);
}
function andn64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = ~s[insn.src2] & readSrc64(cpu, insn);
  const hi = ~s[insn.src2 + 1] & cpu.hi;
  set64(cpu, insn, lo, hi);
  flags(cpu, lo, hi, 0);
}

// BLSI, BLSMSK, BLSR: the destination is VEX.vvvv.
function blsi32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  const result = value & -value;
  set32(cpu, insn, result);
  flags(cpu, result, result, value === 0 ? 0 : 1);
}
function blsi64(cpu: Cpu, insn: Insn): void {
  const aLo = readSrc64(cpu, insn);
  const aHi = cpu.hi;
  const lo = aLo & -aLo;
  const hi = aHi & (aLo === 0 ? -aHi : ~aHi);
  set64(cpu, insn, lo, hi);
  flags(cpu, lo, hi, (aLo | aHi) === 0 ? 0 : 1);
}
function blsmsk32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  const result = value ^ (value - 1);
  set32(cpu, insn, result);
  flags(cpu, 1, result, value === 0 ? 1 : 0);
}
function blsmsk64(cpu: Cpu, insn: Insn): void {
  const aLo = readSrc64(cpu, insn);
  const aHi = cpu.hi;
  const lo = aLo ^ (aLo - 1);
  const hi = aHi ^ (aLo === 0 ? aHi - 1 : aHi);
  set64(cpu, insn, lo, hi);
  flags(cpu, 1, hi, (aLo | aHi) === 0 ? 1 : 0);
}
function blsr32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  const result = value & (value - 1);
  set32(cpu, insn, result);
  flags(cpu, result, result, value === 0 ? 1 : 0);
}
function blsr64(cpu: Cpu, insn: Insn): void {
  const aLo = readSrc64(cpu, insn);
  const aHi = cpu.hi;
  const lo = aLo & (aLo - 1);
  const hi = aHi & (aLo === 0 ? aHi - 1 : aHi);
  set64(cpu, insn, lo, hi);
  flags(cpu, lo, hi, (aLo | aHi) === 0 ? 1 : 0);
}

/** Bits 31:0 of `hi:lo` >> n, n from 0 to 63 and beyond. */
function shiftedLow(lo: number, hi: number, n: number): number {
  if (n >= 64) return 0;
  if (n >= 32) return hi >>> n - 32;
  return n === 0 ? lo : lo >>> n | hi << 32 - n;
}
function shiftedHigh(hi: number, n: number): number {
  return n >= 32 ? 0 : hi >>> n;
}
/** The lowest `n` bits of a word. */
function lowBits(n: number): number {
  return n >= 32 ? -1 : n <= 0 ? 0 : (1 << n) - 1;
}

function bextr32(cpu: Cpu, insn: Insn): void {
  const control = cpu.s[insn.src2];
  const start = control & 0xff;
  const value = readSrc32(cpu, insn);
  const result = (start >= 32 ? 0 : value >>> start) & lowBits(control >>> 8 & 0xff);
  set32(cpu, insn, result);
  flags(cpu, result, result, 0);
}
function bextr64(cpu: Cpu, insn: Insn): void {
  const control = cpu.s[insn.src2];
  const start = control & 0xff;
  const length = control >>> 8 & 0xff;
  const aLo = readSrc64(cpu, insn);
  const aHi = cpu.hi;
  const lo = shiftedLow(aLo, aHi, start) & lowBits(length);
  const hi = shiftedHigh(aHi, start) & lowBits(length - 32);
  set64(cpu, insn, lo, hi);
  flags(cpu, lo, hi, 0);
}
function bzhi32(cpu: Cpu, insn: Insn): void {
  const n = cpu.s[insn.src2] & 0xff;
  const result = readSrc32(cpu, insn) & lowBits(n);
  set32(cpu, insn, result);
  flags(cpu, result, result, n > 31 ? 1 : 0);
}
function bzhi64(cpu: Cpu, insn: Insn): void {
  const n = cpu.s[insn.src2] & 0xff;
  const lo = readSrc64(cpu, insn) & lowBits(n);
  const hi = cpu.hi & lowBits(n - 32);
  set64(cpu, insn, lo, hi);
  flags(cpu, lo, hi, n > 63 ? 1 : 0);
}

/** The high half goes to the first operand, the low one to VEX.vvvv: the first wins if both are one. */
function mulx32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const b = readSrc32(cpu, insn);
  const a = s[4];
  s[insn.src2] = Math.imul(a, b);
  s[insn.src2 + 1] = 0;
  set32(cpu, insn, highProduct(a, b));
}
function mulx64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = readSrc64(cpu, insn);
  const product = multiply64(s[4], s[5], lo, cpu.hi);
  s[insn.src2] = product[0];
  s[insn.src2 + 1] = product[1];
  set64(cpu, insn, product[2], product[3]);
}

// PDEP, PEXT: the mask's bits one by one. `src2` is the value, the r/m operand the mask.
function pdep32(cpu: Cpu, insn: Insn): void {
  let mask = readSrc32(cpu, insn);
  const value = cpu.s[insn.src2];
  let result = 0;
  for (let i = 0; mask !== 0; i++, mask &= mask - 1) {
    if ((value >>> i & 1) !== 0) result |= mask & -mask;
  }
  set32(cpu, insn, result);
}
function pdep64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  let lo = readSrc64(cpu, insn);
  let { hi } = cpu;
  const vLo = s[insn.src2];
  const vHi = s[insn.src2 + 1];
  let rLo = 0;
  let rHi = 0;
  let i = 0;
  for (; lo !== 0; i++, lo &= lo - 1) {
    if ((vLo >>> i & 1) !== 0) rLo |= lo & -lo;
  }
  for (; hi !== 0; i++, hi &= hi - 1) {
    if (((i < 32 ? vLo : vHi) >>> i & 1) !== 0) rHi |= hi & -hi;
  }
  set64(cpu, insn, rLo, rHi);
}
function pext32(cpu: Cpu, insn: Insn): void {
  let mask = readSrc32(cpu, insn);
  const value = cpu.s[insn.src2];
  let result = 0;
  for (let i = 0; mask !== 0; i++, mask &= mask - 1) {
    if ((value & mask & -mask) !== 0) result |= 1 << i;
  }
  set32(cpu, insn, result);
}
function pext64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  let lo = readSrc64(cpu, insn);
  let { hi } = cpu;
  const vLo = s[insn.src2];
  const vHi = s[insn.src2 + 1];
  let rLo = 0;
  let rHi = 0;
  let i = 0;
  for (; lo !== 0; i++, lo &= lo - 1) {
    if ((vLo & lo & -lo) !== 0) rLo |= 1 << i;
  }
  for (; hi !== 0; i++, hi &= hi - 1) {
    if ((vHi & hi & -hi) === 0) continue;
    if (i < 32) rLo |= 1 << i;
    else rHi |= 1 << i;
  }
  set64(cpu, insn, rLo, rHi);
}

function rorx32(cpu: Cpu, insn: Insn): void {
  const n = insn.immLo & 31;
  const value = readSrc32(cpu, insn);
  set32(cpu, insn, n === 0 ? value : value >>> n | value << 32 - n);
}
function rorx64(cpu: Cpu, insn: Insn): void {
  const n = insn.immLo & 63;
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  const by = n & 31;
  const a = n < 32 ? lo : hi;
  const b = n < 32 ? hi : lo;
  if (by === 0) set64(cpu, insn, a, b);
  else set64(cpu, insn, a >>> by | b << 32 - by, b >>> by | a << 32 - by);
}
function sarx32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  set32(cpu, insn, value >> (cpu.s[insn.src2] & 31));
}
function sarx64(cpu: Cpu, insn: Insn): void {
  const n = cpu.s[insn.src2] & 63;
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  if (n >= 32) set64(cpu, insn, hi >> n - 32, hi >> 31);
  else set64(cpu, insn, n === 0 ? lo : lo >>> n | hi << 32 - n, hi >> n);
}
function shlx32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  set32(cpu, insn, value << (cpu.s[insn.src2] & 31));
}
function shlx64(cpu: Cpu, insn: Insn): void {
  const n = cpu.s[insn.src2] & 63;
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  if (n >= 32) set64(cpu, insn, 0, lo << n - 32);
  else set64(cpu, insn, lo << n, n === 0 ? hi : hi << n | lo >>> 32 - n);
}
function shrx32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  set32(cpu, insn, value >>> (cpu.s[insn.src2] & 31));
}
function shrx64(cpu: Cpu, insn: Insn): void {
  const n = cpu.s[insn.src2] & 63;
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  set64(cpu, insn, shiftedLow(lo, hi, n), shiftedHigh(hi, n));
}

// ADCX adds with CF, ADOX with OF; each changes that flag alone.
function adcx32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  const a = cpu.s[insn.dst];
  const sum = (a + b + cpu.cf) | 0;
  cpu.cf = carryOf(a, b, sum);
  set32(cpu, insn, sum);
}
function adcx64(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  cpu.cf = addTo64(cpu, insn, cf);
}
function adox32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  const a = cpu.s[insn.dst];
  const sum = (a + b + (cpu.over >>> 31)) | 0;
  cpu.over = carryOf(a, b, sum) << 31;
  set32(cpu, insn, sum);
}
function adox64(cpu: Cpu, insn: Insn): void {
  cpu.over = addTo64(cpu, insn, cpu.over >>> 31) << 31;
}
/** Adds the source and a carry to the destination; returns the carry out. */
function addTo64(cpu: Cpu, insn: Insn, carry: number): number {
  const { s } = cpu;
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const aLo = s[insn.dst];
  const aHi = s[insn.dst + 1];
  const lo = (aLo + bLo + carry) | 0;
  const hi = (aHi + bHi + carryOf(aLo, bLo, lo)) | 0;
  set64(cpu, insn, lo, hi);
  return carryOf(aHi, bHi, hi);
}

/** VEX.W chooses between operands of 32 and of 64 bits. */
const sized = (h32: Handler, h64: Handler) => bySize(h32, h32, h64);
const BMI1 = { feature: "bmi1", undef: "ap" } as const;
const BMI2 = { feature: "bmi2" } as const;
const ADX = { feature: "adx" } as const;

export const BMI: readonly Row[] = [
  row("vex 0f 38 f2 /r", "andn Gy,By,Ey", sized(andn32, andn64), BMI1),
  row("vex 0f 38 f3 /1", "blsr By,Ey", sized(blsr32, blsr64), BMI1),
  row("vex 0f 38 f3 /2", "blsmsk By,Ey", sized(blsmsk32, blsmsk64), BMI1),
  row("vex 0f 38 f3 /3", "blsi By,Ey", sized(blsi32, blsi64), BMI1),
  row("vex 0f 38 f7 /r", "bextr Gy,Ey,By", sized(bextr32, bextr64), {
    feature: "bmi1",
    undef: "sap",
  }),
  row("vex 0f 38 f5 /r", "bzhi Gy,Ey,By", sized(bzhi32, bzhi64), { ...BMI2, undef: "ap" }),
  row("vex f2 0f 38 f6 /r", "mulx Gy,By,Ey", sized(mulx32, mulx64), BMI2),
  row("vex f2 0f 38 f5 /r", "pdep Gy,By,Ey", sized(pdep32, pdep64), BMI2),
  row("vex f3 0f 38 f5 /r", "pext Gy,By,Ey", sized(pext32, pext64), BMI2),
  row("vex f2 0f 3a f0 /r ib", "rorx Gy,Ey,Ib", sized(rorx32, rorx64), BMI2),
  row("vex f3 0f 38 f7 /r", "sarx Gy,Ey,By", sized(sarx32, sarx64), BMI2),
  row("vex 66 0f 38 f7 /r", "shlx Gy,Ey,By", sized(shlx32, shlx64), BMI2),
  row("vex f2 0f 38 f7 /r", "shrx Gy,Ey,By", sized(shrx32, shrx64), BMI2),
  row("66 0f 38 f6 /r", "adcx Gy,Ey", sized(adcx32, adcx64), ADX),
  row("f3 0f 38 f6 /r", "adox Gy,Ey", sized(adox32, adox64), ADX),
];
