/** One vCPU that executes single instructions on registers and a page of memory that a test fills. */

import { CodeSize, Cpu, type CpuParts, Word } from "../../../../../../src/engine/wasm/cpu.ts";
import { Decoder } from "../../../../../../src/engine/wasm/decode/decoder.ts";
import { GUEST_EXCEPTION } from "../../../../../../src/engine/wasm/exception.ts";
import { entryAt, TlbSet } from "../../../../../../src/engine/wasm/tlb.ts";
import { X87 } from "../../../../../../src/engine/wasm/x87_state.ts";

/** Linear address of the page of memory; it is at offset 0 of guest RAM. */
export const PAGE_AT = 0x10_0000;
/** MXCSR after reset. */
export const MXCSR_DEFAULT = 0x1f80;
/** CR4 with OSFXSR and OSXMMEXCPT. */
const CR4 = 0x600;

/** A vCPU in 64-bit mode without paging behind its TLB, which maps one page. */
export class SimdRig {
  readonly cpu: Cpu;
  /** The page at `PAGE_AT`. */
  readonly page: Uint8Array = new Uint8Array(4096);
  readonly #decoder = new Decoder();

  constructor() {
    // The instructions under test reach neither devices nor page tables nor CPUID.
    const parts = {
      index: 0,
      ram: this.page.buffer,
      bus: { localApics: [undefined] },
      paging: () => undefined,
      x87: (cpu: Cpu) => new X87(cpu),
    } as unknown as CpuParts;
    const cpu = this.cpu = new Cpu(parts);
    cpu.is64 = true;
    cpu.codeSize = CodeSize.BITS64;
    cpu.tlbRead = TlbSet.USER_READ;
    cpu.tlbWrite = TlbSet.USER_WRITE;
    for (const set of [TlbSet.USER_READ, TlbSet.USER_WRITE]) {
      const at = entryAt(set, PAGE_AT);
      cpu.s.set([PAGE_AT, 0, -PAGE_AT, 0], at);
    }
    cpu.s[Word.MXCSR] = MXCSR_DEFAULT;
    cpu.s[Word.CR4] = CR4;
  }

  /** Executes the instruction that `bytes` begin with; the vector of the exception, or -1. */
  run(...bytes: readonly number[]): number {
    const code = Uint8Array.from(bytes);
    const insn = this.#decoder.decode(code, 0, code.length, 0, CodeSize.BITS64);
    if (insn === undefined) throw new Error(`Cannot decode ${bytes}: more bytes expected`);
    try {
      insn.exec(this.cpu, insn);
      return -1;
    } catch (error) {
      if (error !== GUEST_EXCEPTION) throw error;
      return this.cpu.faultVector;
    }
  }

  get mxcsr(): number {
    return this.cpu.s[Word.MXCSR];
  }
  set mxcsr(value: number) {
    this.cpu.s[Word.MXCSR] = value;
  }

  /** The bytes of XMM register `i`. */
  xmm(i: number): Uint8Array {
    return this.cpu.u8.subarray((Word.XMM + i * 4) * 4, (Word.XMM + i * 4 + 4) * 4);
  }
  /** The bytes of MMX register `i`. */
  mmx(i: number): Uint8Array {
    return this.cpu.u8.subarray((Word.MMX + i * 4) * 4, (Word.MMX + i * 4 + 2) * 4);
  }

  /** XMM register `i` by words, doubles and singles. */
  words(i: number): Int32Array {
    return this.cpu.s.subarray(Word.XMM + i * 4, Word.XMM + i * 4 + 4);
  }
  doubles(i: number): Float64Array {
    return this.cpu.f64.subarray(Word.XMM / 2 + i * 2, Word.XMM / 2 + i * 2 + 2);
  }
  singles(i: number): Float32Array {
    return this.cpu.f32.subarray(Word.XMM + i * 4, Word.XMM + i * 4 + 4);
  }

  /** XMM register `i` as hexadecimal, the lowest byte first. */
  hex(i: number): string {
    return hexOf(this.xmm(i));
  }
  setHex(i: number, text: string): void {
    this.xmm(i).set(bytesOf(text));
  }

  /** General register `i`. */
  gpr(i: number): bigint {
    return this.cpu.view.getBigUint64(i * 8, true);
  }
  setGpr(i: number, value: bigint | number): void {
    this.cpu.view.setBigUint64(i * 8, BigInt.asUintN(64, BigInt(value)), true);
  }
}

/** Bytes as hexadecimal. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hexadecimal as bytes; spaces do not count. */
export function bytesOf(text: string): Uint8Array {
  const digits = text.replaceAll(" ", "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => {
    return parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  });
}
