/**
 * What an engine without a kernel calls in the middle of an instruction: the PC's buses and the
 * local APICs. Accesses are counted as a kernel's exits would be.
 */

import type { MmioBus as Mmio } from "../devices/bus.ts";
import { Activity } from "../engine/activity.ts";
import type { CpuBus, CpuSignals, LocalApicPort, MmioBus, PortSize } from "../engine/cpu_bus.ts";
import type { Irqchip } from "../platform/irqchip/irqchip.ts";
import type { Pc } from "../platform/pc.ts";
import { Counter } from "./stats.ts";

/** What is told of accesses. */
export interface AccessListener {
  /** Before an access to a device: everything but the APICs, which are near the processor. */
  access(): void;
  /** After each access: a device may be due at another time now. */
  hurry(): void;
}

/** The bus of one machine. */
export class MachineBus implements CpuBus {
  readonly localApics: readonly LocalApicPort[];
  readonly #pc: Pc;
  readonly #irqchip: Irqchip;
  readonly #counters: Float64Array;
  readonly #listener: AccessListener;
  /** What the thread is at: `Activity`. */
  readonly #activity: Int32Array;

  constructor(
    pc: Pc,
    irqchip: Irqchip,
    counters: Float64Array,
    listener: AccessListener,
    activity: Int32Array,
  ) {
    this.localApics = irqchip.localApics;
    this.#pc = pc;
    this.#irqchip = irqchip;
    this.#counters = counters;
    this.#listener = listener;
    this.#activity = activity;
  }

  readPort(port: number, size: PortSize): number {
    this.#activity[0] = Activity.DEVICES;
    this.#counters[Counter.PORT_IN]++;
    this.#listener.access();
    const value = this.#pc.ports.read(port, size);
    this.#listener.hurry();
    this.#activity[0] = Activity.INTERPRETER;
    return value;
  }

  writePort(port: number, size: PortSize, value: number): void {
    this.#activity[0] = Activity.DEVICES;
    this.#counters[Counter.PORT_OUT]++;
    this.#listener.access();
    this.#pc.ports.write(port, size, value);
    this.#listener.hurry();
    this.#activity[0] = Activity.INTERPRETER;
  }

  readMmio(vcpu: number, gpa: number, size: number, into: DataView, at: number): void {
    this.#activity[0] = Activity.DEVICES;
    this.#counters[Counter.MMIO_READ]++;
    if (!this.#irqchip.readMmio(vcpu, gpa, size, into, at)) {
      this.#listener.access();
      this.#pc.mmio.read(gpa, size, into, at);
    }
    this.#listener.hurry();
    this.#activity[0] = Activity.INTERPRETER;
  }

  writeMmio(vcpu: number, gpa: number, size: number, from: DataView, at: number): void {
    this.#activity[0] = Activity.DEVICES;
    this.#counters[Counter.MMIO_WRITE]++;
    if (!this.#irqchip.writeMmio(vcpu, gpa, size, from, at)) {
      this.#listener.access();
      this.#pc.mmio.write(gpa, size, from, at);
    }
    this.#listener.hurry();
    this.#activity[0] = Activity.INTERPRETER;
  }
}

/** Device memory of a PC that is not there yet when its engine is made. */
export class DeviceMemory implements MmioBus {
  readonly #counters: Float64Array;
  #mmio: Mmio | undefined;

  constructor(counters: Float64Array) {
    this.#counters = counters;
  }

  /** From now on accesses go to `mmio`. */
  connect(mmio: Mmio): void {
    this.#mmio = mmio;
  }

  readMmio(_vcpu: number, gpa: number, size: number, into: DataView, at: number): void {
    this.#counters[Counter.MMIO_READ]++;
    this.#mmio?.read(gpa, size, into, at);
  }

  writeMmio(_vcpu: number, gpa: number, size: number, from: DataView, at: number): void {
    this.#counters[Counter.MMIO_WRITE]++;
    this.#mmio?.write(gpa, size, from, at);
  }
}

/** Signals to an engine that is not there yet when the local APICs are made. */
export class SignalRelay implements CpuSignals {
  #engine: CpuSignals | undefined;

  /** From now on signals go to `engine`. */
  connect(engine: CpuSignals): void {
    this.#engine = engine;
  }

  interrupt(vcpu: number): void {
    this.#engine?.interrupt(vcpu);
  }

  nmi(vcpu: number): void {
    this.#engine?.nmi(vcpu);
  }

  init(vcpu: number): void {
    this.#engine?.init(vcpu);
  }

  startup(vcpu: number, page: number): void {
    this.#engine?.startup(vcpu, page);
  }
}
