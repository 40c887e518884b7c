/** CPUID (SDM 2A): the model's answers, with the bits that the vCPU's state decides. */

import { PKRU_SIZE } from "../../../cpu/cpuid_model.ts";
import { Cr4 } from "../../../cpu/modes.ts";
import { Reg } from "../../../cpu/state.ts";
import { type Cpu, Word } from "../cpu.ts";
import { type Row, row } from "./row.ts";

/** Of leaf 1: APIC in EDX, OSXSAVE in ECX. */
const APIC = 1 << 9;
const OSXSAVE = 1 << 27;
/** Of leaf 7: OSPKE in ECX. */
const OSPKE = 1 << 4;
/** Of leaf 0x80000001: SYSCALL in EDX. */
const SYSCALL = 1 << 11;
/** IA32_APIC_BASE: enabled. */
const APIC_ENABLED = 1 << 11;
/** XCR0: PKRU. */
const PKRU = 1 << 9;
/** Bytes of an XSAVE area without PKRU: legacy region and header. */
const XSAVE_BASE_SIZE = 576;

function cpuid(cpu: Cpu): void {
  const { s, cpuid: model } = cpu;
  const leaf = s[Reg.RAX * 2] >>> 0;
  const subleaf = s[Reg.RCX * 2] >>> 0;
  model.query(leaf, subleaf);
  let { ebx, ecx, edx } = model;
  const cr4 = s[Word.CR4];
  switch (leaf) {
    case 1:
      if ((cr4 & Cr4.OSXSAVE) !== 0) ecx |= OSXSAVE;
      if ((cpu.apic.baseLo & APIC_ENABLED) === 0) edx &= ~APIC;
      break;
    case 7:
      if (subleaf === 0 && (cr4 & Cr4.PKE) !== 0) ecx |= OSPKE;
      break;
    case 0xd: // sizes for the components that XCR0 enables: standard and compacted format
      if ((s[Word.XCR0] & PKRU) === 0) break;
      if (subleaf === 0) ebx = ecx;
      else if (subleaf === 1) ebx = XSAVE_BASE_SIZE + PKRU_SIZE;
      break;
    case 0x8000_0001: // Intel's processors have it in 64-bit mode only
      if (cpu.is64) edx |= SYSCALL;
      break;
  }
  setRegister(cpu, Reg.RAX, model.eax);
  setRegister(cpu, Reg.RBX, ebx);
  setRegister(cpu, Reg.RCX, ecx);
  setRegister(cpu, Reg.RDX, edx);
}

function setRegister(cpu: Cpu, register: number, value: number): void {
  cpu.s[register * 2] = value;
  cpu.s[register * 2 + 1] = 0;
}

/** CPUID. */
export const CPUID: readonly Row[] = [
  row("0f a2", "cpuid", cpuid),
];
