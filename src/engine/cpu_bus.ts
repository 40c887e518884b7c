/**
 * What surrounds the vCPUs of an engine that has no kernel beneath it: ports, device memory and
 * local APICs, which the machine provides and the engine calls in the middle of an instruction. A
 * call costs a few nanoseconds and needs no exit, no unwinding and no second run of the instruction,
 * as an `Exit` would.
 */

/** Bytes of one port access. */
export type PortSize = 1 | 2 | 4;

/** Device memory. */
export interface MmioBus {
  /**
   * vCPU `vcpu` reads `size` bytes (1 to 8) at guest physical address `gpa`, little-endian into
   * `into` from `at` on. An enabled local APIC's page is that vCPU's own.
   */
  readMmio(vcpu: number, gpa: number, size: number, into: DataView, at: number): void;
  /** vCPU `vcpu` writes `size` bytes (1 to 8), little-endian in `from` from `at` on. */
  writeMmio(vcpu: number, gpa: number, size: number, from: DataView, at: number): void;
}

/** Outside of RAM. Everything happens on the thread that runs the vCPUs. */
export interface CpuBus extends MmioBus {
  /** The unsigned value of `size` bytes at `port`, 0 to 0xffff. */
  readPort(port: number, size: PortSize): number;
  /** Writes the low `size` bytes of `value` to `port`. */
  writePort(port: number, size: PortSize, value: number): void;
  /** By vCPU. */
  readonly localApics: readonly LocalApicPort[];
}

/** A local APIC as its CPU sees it (SDM 3A chapter 10). */
export interface LocalApicPort {
  /** Whether `acknowledge` would give a vector, whatever RFLAGS.IF says. */
  hasInterrupt(): boolean;
  /**
   * The CPU takes the interrupt: its vector, now in service; an 8259's through LINT0 likewise.
   * -1 when there is none.
   */
  acknowledge(): number;
  /** Task-priority class, 0 to 15: what CR8 reads and writes (SDM 3A §10.8.6.1). */
  taskPriority: number;
  /** IA32_APIC_BASE (SDM 3A §10.4.4), low and high half, for the state that snapshots take. */
  readonly baseLo: number;
  readonly baseHi: number;
  /** Restores IA32_APIC_BASE without the checks that WRMSR makes. */
  restoreBase(lo: number, hi: number): void;
  /**
   * RDMSR of IA32_APIC_BASE, IA32_TSC_DEADLINE or an x2APIC register (0x800 to 0x8ff): the value is
   * in `msrLo` and `msrHi`. False: #GP.
   */
  readMsr(msr: number): boolean;
  readonly msrLo: number;
  readonly msrHi: number;
  /** WRMSR of the same. False: #GP. */
  writeMsr(msr: number, lo: number, hi: number): boolean;
  /**
   * The guest's time-stamp counter less the clock's nanoseconds, which is 0 until the guest sets
   * the counter: the deadline timer compares with the guest's counter. Modulo 2^64.
   */
  setTscOffset(lo: number, hi: number): void;
  /** INIT resets the local APIC, all but its id and its base (SDM 3A §10.4.7.3). */
  init(): void;
}

/** What local APICs and wires do to vCPUs: the engine provides it. */
export interface CpuSignals {
  /** The local APIC of `vcpu` may have an interrupt now: the vCPU looks before its next instruction. */
  interrupt(vcpu: number): void;
  /** A non-maskable interrupt. */
  nmi(vcpu: number): void;
  /** INIT: to its state after reset, and wait for a start-up interrupt (SDM 3A §8.4). */
  init(vcpu: number): void;
  /** Start-up interrupt: begin in real mode at `page` * 4096, if the vCPU waits for that. */
  startup(vcpu: number, page: number): void;
}

/**
 * One tick of the time-stamp counter and of the APIC timer's clock is one nanosecond of
 * `Clock.nowNs`: nothing is ever converted.
 */
export const TSC_HZ = 1_000_000_000;
