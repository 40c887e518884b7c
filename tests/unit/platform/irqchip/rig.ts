/** The chips on a bench: a clock that tests move, and vCPUs that note what is done to them. */

import type { CpuSignals, LocalApicPort } from "../../../../src/engine/cpu_bus.ts";
import { PortBus } from "../../../../src/devices/bus.ts";
import { Irqchip } from "../../../../src/platform/irqchip/irqchip.ts";
import { TestClock } from "../../devices/doubles.ts";

/** Where the pages are. */
export const LAPIC = 0xfee0_0000;
export const IOAPIC = 0xfec0_0000;
/** Offsets of local APIC registers. */
export const ID = 0x20, VERSION = 0x30, TPR = 0x80, APR = 0x90, PPR = 0xa0, EOI = 0xb0;
export const LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200;
export const ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350;
export const LVT_LINT1 = 0x360, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390;
export const DIVIDE = 0x3e0;

/** Signals as text, the oldest first. */
export class TestSignals implements CpuSignals {
  readonly log: string[] = [];
  interrupt(vcpu: number): void {
    this.log.push(`interrupt ${vcpu}`);
  }
  nmi(vcpu: number): void {
    this.log.push(`nmi ${vcpu}`);
  }
  init(vcpu: number): void {
    this.log.push(`init ${vcpu}`);
  }
  startup(vcpu: number, page: number): void {
    this.log.push(`startup ${vcpu} ${page}`);
  }
  /** What has come since the last time. */
  take(): string[] {
    return this.log.splice(0);
  }
}

/** A machine of chips alone. */
export class Rig {
  readonly clock = new TestClock();
  readonly signals = new TestSignals();
  readonly chips: Irqchip;
  readonly ports = new PortBus();
  /** How often a timer was said to be programmed. */
  deadlineCalls = 0;
  readonly #view = new DataView(new ArrayBuffer(8));

  constructor(cpus = 1) {
    const { clock, signals } = this;
    this.chips = new Irqchip({ cpus, clock, signals, onDeadline: () => this.deadlineCalls++ });
    for (const { first, count, device } of this.chips.ports) {
      this.ports.claim(first, count, device);
    }
  }

  apic(vcpu = 0): LocalApicPort {
    return this.chips.localApics[vcpu];
  }

  in(port: number): number {
    return this.ports.read(port, 1);
  }

  out(port: number, value: number): void {
    this.ports.write(port, 1, value);
  }

  /** A 32-bit read; an address that is nobody's is an error. */
  read(address: number, vcpu = 0): number {
    if (!this.chips.readMmio(vcpu, address, 4, this.#view, 0)) throw new Error("nobody's address");
    return this.#view.getUint32(0, true);
  }

  write(address: number, value: number, vcpu = 0): void {
    this.#view.setUint32(0, value, true);
    if (!this.chips.writeMmio(vcpu, address, 4, this.#view, 0)) throw new Error("nobody's address");
  }

  /** A register of the vCPU's local APIC. */
  lapic(offset: number, vcpu = 0): number {
    return this.read(LAPIC + offset, vcpu);
  }

  setLapic(offset: number, value: number, vcpu = 0): void {
    this.write(LAPIC + offset, value, vcpu);
  }

  ioapic(index: number): number {
    this.write(IOAPIC, index);
    return this.read(IOAPIC + 0x10);
  }

  setIoapic(index: number, value: number): void {
    this.write(IOAPIC, index);
    this.write(IOAPIC + 0x10, value);
  }

  /** Software-enables all local APICs, with spurious vector 0xff. */
  enableApics(): this {
    for (let vcpu = 0; vcpu < this.chips.localApics.length; vcpu++) {
      this.setLapic(SVR, 0x1ff, vcpu);
    }
    return this;
  }

  /** Turns vCPU `vcpu`'s xAPIC into an x2APIC. */
  toX2apic(vcpu = 0): void {
    const apic = this.apic(vcpu);
    if (!apic.writeMsr(0x1b, apic.baseLo | 0x400, apic.baseHi)) throw new Error("refused");
  }

  /** The 8259As as Linux and firmware set them: vectors 0x30 and 0x38, nothing masked. */
  startPic(icw4 = 1): this {
    for (const [port, base, wire] of [[0x20, 0x30, 4], [0xa0, 0x38, 2]]) {
      this.out(port, 0x11);
      this.out(port + 1, base);
      this.out(port + 1, wire);
      this.out(port + 1, icw4);
    }
    return this;
  }

  /** What the CPU takes next: its vector. */
  take(vcpu = 0): number {
    return this.apic(vcpu).acknowledge();
  }

  /** A pulse on a line. */
  pulse(gsi: number): void {
    this.chips.setGsi(gsi, true);
    this.chips.setGsi(gsi, false);
  }

  /** Runs the clock to `ns`, polling when it is asked for; how often it was. */
  runTo(ns: number): number {
    let polls = 0;
    for (;;) {
      const next = this.chips.nextDeadlineNs();
      if (next > ns) break;
      this.clock.ns = Math.max(this.clock.ns, next);
      this.chips.poll();
      polls++;
    }
    this.clock.ns = ns;
    return polls;
  }
}
