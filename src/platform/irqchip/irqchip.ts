/**
 * The interrupt controllers and timers of a PC, for an engine that has no kernel beneath it: two
 * 8259As, an 8254, an I/O APIC and a local APIC for each vCPU, wired as the MADT says.
 */

import type { Clock, PortDevice } from "../../devices/device.ts";
import type { CpuSignals, LocalApicPort } from "../../engine/cpu_bus.ts";
import { Address, Gsi, Port } from "../layout.ts";
import { ApicBus } from "./apic_bus.ts";
import { IoApic, IOAPIC_PINS } from "./io_apic.ts";
import { Delivery } from "./lapic_registers.ts";
import { LocalApic } from "./local_apic.ts";
import { PicPair } from "./pic_pair.ts";
import { Pit, PIT_PORTS } from "./pit.ts";

/** What the chips work on. */
export interface IrqchipOptions {
  /** vCPUs, 1 to 255; vCPU n has APIC ID n. */
  readonly cpus: number;
  readonly clock: Clock;
  readonly signals: CpuSignals;
  /** Called when a timer was programmed: `nextDeadlineNs` may be sooner now. */
  readonly onDeadline?: () => void;
  /** Width of physical addresses, as CPUID says: bits beyond it are reserved in IA32_APIC_BASE. */
  readonly physicalBits?: number;
}

/** Ports of one of the chips, for `PortBus.claim`. */
export interface PortClaim {
  readonly first: number;
  readonly count: number;
  readonly device: PortDevice;
}

/** Interrupts of the 8259As: the other inputs are the I/O APIC's alone. */
const PIC_LINES = 16;
/** The master's input of the slave, where no device can be. */
const CASCADE_GSI = 2;
/** Where the timer arrives at the I/O APIC, as the MADT's source override says. */
const TIMER_PIN = 2;
const PAGE_BYTES = 4096;
const MAX_CPUS = 255;
/** Addresses of message-signalled interrupts: bits 19:12 destination, bit 2 its mode (SDM 3A §10.11.1). */
const Msi = { WINDOW: 0xfee, WINDOW_SHIFT: 20, LOGICAL: 0x04, REDIRECTION: 0x08 } as const;
/** Their data (§10.11.2). */
const MsiData = { ASSERT: 0x4000, LEVEL: 0x8000 } as const;

/** All of them together. */
export class Irqchip {
  /** By vCPU. */
  readonly localApics: readonly LocalApicPort[];
  /** Ports of the 8259As (with their edge/level registers), of the 8254 and port 0x61. */
  readonly ports: readonly PortClaim[];
  readonly #clock: Clock;
  readonly #bus = new ApicBus();
  readonly #apics: readonly LocalApic[];
  readonly #ioApic: IoApic;
  readonly #pic: PicPair;
  readonly #pit: Pit;
  #deadlineNs = Infinity;
  /** `#deadlineNs` is to be worked out anew. */
  #isStale = false;

  /** @throws RangeError when there are not 1 to 255 vCPUs. */
  constructor(options: IrqchipOptions) {
    const { cpus, clock, signals, physicalBits = 52 } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) {
      throw new RangeError(`Cannot make ${cpus} local APICs: expected 1 to ${MAX_CPUS}`);
    }
    const onDeadline = (): void => {
      this.#isStale = true;
      options.onDeadline?.();
    };
    this.#clock = clock;
    this.#ioApic = new IoApic(this.#bus);
    this.#bus.onEoi = (vector) => this.#ioApic.endOfInterrupt(vector);
    const pic = new PicPair(() => this.#drivePic());
    this.#pic = pic;
    const acknowledgePic = (): number => pic.acknowledge();
    const baseHiMask = 2 ** Math.max(physicalBits - 32, 0) - 1;
    for (let id = 0; id < cpus; id++) {
      const bus = this.#bus;
      bus.apics.push(
        new LocalApic({ id, clock, signals, bus, baseHiMask, acknowledgePic, onDeadline }),
      );
    }
    this.#apics = this.#bus.apics;
    this.localApics = this.#apics;
    const irq = { set: (level: boolean) => this.setGsi(Gsi.TIMER, level) };
    this.#pit = new Pit({ clock, irq, onDeadline });
    this.ports = [
      { first: Port.PIC_MASTER, count: 2, device: pic },
      { first: Port.PIC_SLAVE, count: 2, device: pic },
      { first: Port.PIC_MASTER_ELCR, count: 2, device: pic },
      { first: Port.PIT, count: PIT_PORTS, device: this.#pit },
      { first: Port.SYSTEM_CONTROL_B, count: 1, device: this.#pit },
    ];
  }

  /** The line of a global system interrupt; a device's `IrqLine` calls this. */
  setGsi(gsi: number, level: boolean): void {
    if (gsi === CASCADE_GSI) return;
    if (gsi < PIC_LINES) this.#pic.setLine(gsi, level);
    if (gsi < IOAPIC_PINS) this.#ioApic.setPin(gsi === Gsi.TIMER ? TIMER_PIN : gsi, level);
  }

  /** A device writes `data` to `address`, 0xfee00000 to 0xfeefffff (SDM 3A §10.11). */
  sendMsi(address: number, data: number): void {
    if (address >= 2 ** 32 || address >>> Msi.WINDOW_SHIFT !== Msi.WINDOW) return;
    const isLevel = (data & MsiData.LEVEL) !== 0;
    if (isLevel && (data & MsiData.ASSERT) === 0) return;
    const destination = (address >>> 12) & 0xff;
    const isLogical = (address & Msi.LOGICAL) !== 0;
    const mode = (data >>> 8) & 7;
    // The redirection hint sends a fixed interrupt to the one that does the least urgent work.
    const isRedirected = mode === Delivery.FIXED && (address & Msi.REDIRECTION) !== 0;
    this.#bus.send(
      destination,
      isLogical,
      isRedirected ? Delivery.LOWEST_PRIORITY : mode,
      data & 0xff,
      isLevel,
    );
  }

  /** Pulses the LINT1 pin of every local APIC: an NMI, as firmware and the MADT have it. */
  pulseNmi(): void {
    for (let id = 0; id < this.#apics.length; id++) this.#apics[id].pulseLint1();
  }

  /**
   * vCPU `vcpu` reads `size` bytes (1 to 8) at `gpa` into `into` from `at` on. False: the address
   * belongs neither to its local APIC nor to the I/O APIC.
   */
  readMmio(vcpu: number, gpa: number, size: number, into: DataView, at: number): boolean {
    const apic = this.#apics[vcpu];
    if (apic.holds(gpa, size)) {
      storeRegister(into, at, size, apic.readPage(gpa), gpa % REGISTER_BYTES);
    } else if (isIoApic(gpa, size)) {
      storeRegister(into, at, size, this.#ioApic.read(registerOffset(gpa)), gpa % REGISTER_BYTES);
    } else {
      return false;
    }
    return true;
  }

  /**
   * vCPU `vcpu` writes `size` bytes (1 to 8) in `from` from `at` on. False as for `readMmio`. The
   * registers are 32 bits wide and take nothing else (SDM 3A §10.4.1).
   */
  writeMmio(vcpu: number, gpa: number, size: number, from: DataView, at: number): boolean {
    const apic = this.#apics[vcpu];
    const isApic = apic.holds(gpa, size);
    if (!isApic && !isIoApic(gpa, size)) return false;
    if (size !== 4 || gpa % REGISTER_BYTES !== 0) return true;
    const value = from.getUint32(at, true);
    if (isApic) apic.writePage(gpa, value);
    else this.#ioApic.write(registerOffset(gpa), value);
    return true;
  }

  /** Raises the timer interrupts that have come due. */
  poll(): void {
    const now = this.#clock.nowNs();
    if (now < this.nextDeadlineNs()) return;
    if (now >= this.#pit.nextDeadlineNs()) this.#pit.poll();
    for (let id = 0; id < this.#apics.length; id++) {
      if (now >= this.#apics[id].nextDeadlineNs()) this.#apics[id].poll(now);
    }
    this.#isStale = true;
  }

  /** When `poll` is due next, on `Clock.nowNs`; Infinity when no timer runs. Cheap. */
  nextDeadlineNs(): number {
    if (!this.#isStale) return this.#deadlineNs;
    let deadline = this.#pit.nextDeadlineNs();
    for (let id = 0; id < this.#apics.length; id++) {
      deadline = Math.min(deadline, this.#apics[id].nextDeadlineNs());
    }
    this.#isStale = false;
    this.#deadlineNs = deadline;
    return deadline;
  }

  /** The 8259's output is on the LINT0 pins of all local APICs. */
  #drivePic(): void {
    const { output } = this.#pic;
    for (let id = 0; id < this.#apics.length; id++) this.#apics[id].setLint0(output);
  }
}

/** Both kinds of APIC have a register every 16 bytes, whose first four bytes are there. */
const REGISTER_BYTES = 16;

function isIoApic(address: number, size: number): boolean {
  return address >= Address.IOAPIC && address + size <= Address.IOAPIC + PAGE_BYTES;
}

function registerOffset(address: number): number {
  return address - address % REGISTER_BYTES - Address.IOAPIC;
}

/** Stores the bytes from byte `from` on of a register; those beyond it are zero. */
function storeRegister(
  into: DataView,
  at: number,
  size: number,
  register: number,
  from: number,
): void {
  if (size === 4 && from === 0) return into.setUint32(at, register, true);
  for (let i = 0; i < size; i++) {
    const byte = from + i;
    into.setUint8(at + i, byte < 4 ? register >>> (8 * byte) : 0);
  }
}
