/**
 * The interrupt controllers and timers of a PC, for an engine that has no kernel beneath it: two
 * 8259As, an 8254, an I/O APIC and a local APIC for each vCPU, wired as the MADT says.
 */

import type { CpuSignals, LocalApicPort } from "../../engine/cpu_bus.ts";
import type { Clock, PortDevice } from "../../devices/device.ts";

/** What the chips work on. */
export interface IrqchipOptions {
  /** vCPUs, 1 to 255; vCPU n has APIC ID n. */
  readonly cpus: number;
  readonly clock: Clock;
  readonly signals: CpuSignals;
  /** Width of physical addresses, as CPUID says: bits beyond it are reserved in IA32_APIC_BASE. */
  readonly physicalBits?: number;
}

/** Ports of one of the chips, for `PortBus.claim`. */
export interface PortClaim {
  readonly first: number;
  readonly count: number;
  readonly device: PortDevice;
}

/** All of them together. */
export class Irqchip {
  /** By vCPU. */
  readonly localApics: readonly LocalApicPort[];
  /** Ports of the 8259As (with their edge/level registers), of the 8254 and port 0x61. */
  readonly ports: readonly PortClaim[];

  constructor(_options: IrqchipOptions) {
    this.localApics = [];
    this.ports = [];
  }

  /** The line of a global system interrupt; a device's `IrqLine` calls this. */
  setGsi(_gsi: number, _level: boolean): void {}

  /** A device writes `data` to `address`, 0xfee00000 to 0xfeefffff (SDM 3A §10.11). */
  sendMsi(_address: number, _data: number): void {}

  /** Pulses the LINT1 pin of every local APIC: an NMI, as firmware and the MADT have it. */
  pulseNmi(): void {}

  /**
   * vCPU `vcpu` reads `size` bytes (1 to 8) at `gpa` into `into` from `at` on. False: the address
   * belongs neither to its local APIC nor to the I/O APIC.
   */
  readMmio(_vcpu: number, _gpa: number, _size: number, _into: DataView, _at: number): boolean {
    return false;
  }

  /** vCPU `vcpu` writes `size` bytes (1 to 8) in `from` from `at` on. False as for `readMmio`. */
  writeMmio(_vcpu: number, _gpa: number, _size: number, _from: DataView, _at: number): boolean {
    return false;
  }

  /** Raises the timer interrupts that have come due. */
  poll(): void {}

  /** When `poll` is due next, on `Clock.nowNs`; Infinity when no timer runs. Cheap. */
  nextDeadlineNs(): number {
    return Infinity;
  }
}
