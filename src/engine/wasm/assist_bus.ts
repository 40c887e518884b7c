/**
 * What surrounds a vCPU whose engine has interrupt controllers in the kernel, as far as an assisted
 * instruction may reach it: device memory. Ports, and the controllers' own registers, are the
 * kernel's: it emulates all instructions that systems access them by.
 */

import type { CpuBus, LocalApicPort, MmioBus } from "../cpu_bus.ts";

/** IA32_APIC_BASE (SDM 3A §10.4.4): enabled, and the page. */
const APIC_ENABLED = 1 << 11;
const APIC_PAGE = 4096;
const IA32_TSC_DEADLINE = 0x6e0;
/** The I/O APIC's registers (ICH9 datasheet §13.5). */
const IOAPIC = 0xfec0_0000;
const IOAPIC_BYTES = 256;

/** Device memory, and refusals of all else. */
export class AssistBus implements CpuBus {
  readonly localApics: readonly KernelApic[];
  /** Why the instruction cannot be completed; "" as long as it can. */
  refusal = "";
  readonly #devices: MmioBus;
  readonly #isFetching: (vcpu: number) => boolean;

  /** @param isFetching Whether an access of this vCPU is for the instruction's own bytes. */
  constructor(cpus: number, devices: MmioBus, isFetching: (vcpu: number) => boolean) {
    this.localApics = Array.from({ length: cpus }, () => new KernelApic());
    this.#devices = devices;
    this.#isFetching = isFetching;
  }

  readPort(): number {
    return this.#refuse("it accesses a port");
  }

  writePort(): void {
    this.#refuse("it accesses a port");
  }

  readMmio(vcpu: number, gpa: number, size: number, into: DataView, at: number): void {
    if (this.#isFetching(vcpu)) this.#refuse("its bytes are not in RAM");
    this.#check(vcpu, gpa);
    this.#devices.readMmio(vcpu, gpa, size, into, at);
  }

  writeMmio(vcpu: number, gpa: number, size: number, from: DataView, at: number): void {
    this.#check(vcpu, gpa);
    this.#devices.writeMmio(vcpu, gpa, size, from, at);
  }

  #check(vcpu: number, gpa: number): void {
    if (this.localApics[vcpu].contains(gpa)) this.#refuse("it accesses the local APIC");
    if (gpa >= IOAPIC && gpa < IOAPIC + IOAPIC_BYTES) this.#refuse("it accesses the I/O APIC");
  }

  #refuse(reason: string): never {
    this.refusal = reason;
    throw new Error(reason);
  }
}

/** A local APIC in the kernel: what of it is in the vCPU's state, in and out again. */
class KernelApic implements LocalApicPort {
  taskPriority = 0;
  baseLo = 0;
  baseHi = 0;
  msrLo = 0;
  msrHi = 0;
  #deadlineLo = 0;
  #deadlineHi = 0;

  /** Whether `gpa` is in its page. */
  contains(gpa: number): boolean {
    if ((this.baseLo & APIC_ENABLED) === 0) return false;
    const base = this.baseHi * 2 ** 32 + (this.baseLo >>> 0);
    return gpa - gpa % APIC_PAGE === base - base % APIC_PAGE;
  }

  hasInterrupt(): boolean {
    return false;
  }

  acknowledge(): number {
    return -1;
  }

  restoreBase(lo: number, hi: number): void {
    this.baseLo = lo;
    this.baseHi = hi;
  }

  readMsr(msr: number): boolean {
    this.msrLo = this.#deadlineLo;
    this.msrHi = this.#deadlineHi;
    return msr === IA32_TSC_DEADLINE;
  }

  writeMsr(msr: number, lo: number, hi: number): boolean {
    if (msr !== IA32_TSC_DEADLINE) return false;
    this.#deadlineLo = lo;
    this.#deadlineHi = hi;
    return true;
  }

  setTscOffset(): void {}
  init(): void {}
}
