/**
 * One PC with a guest in it, synchronous and on one thread: an engine, RAM, devices and a clock in
 * one loop.
 */

import type { Entry } from "../boot/boot.ts";
import { MapType, ramMap } from "../boot/memory_map.ts";
import type { ByteSink, ByteSource } from "../devices/byte_stream.ts";
import type { CpuBus, MmioBus } from "../engine/cpu_bus.ts";
import type { BusEngine, ChipEngine, Engine } from "../engine/engine.ts";
import { Irqchip } from "../platform/irqchip/irqchip.ts";
import { buildPc, type Pc } from "../platform/pc.ts";
import type { MachineClock } from "./clock.ts";
import { ExitRunner } from "./exit_runner.ts";
import { forFirmware, type GuestSource, KVM_PAGES, load } from "./load.ts";
import { DeviceMemory, MachineBus, SignalRelay } from "./machine_bus.ts";
import type { MachineOutcome } from "./outcome.ts";
import type { Runner } from "./runner.ts";
import { SliceRunner } from "./slice_runner.ts";
import { Counter, epochMs } from "./stats.ts";

/** Makes the engine, which the machine then owns. */
export type EngineMaker =
  /** With interrupt controllers and timer of its own; device memory is there when the guest runs. */
  | { readonly irqchip: "engine"; readonly create: (devices: MmioBus) => ChipEngine }
  /** With the machine's, behind a bus that is complete when the engine is made. */
  | { readonly irqchip: "machine"; readonly create: (bus: CpuBus) => BusEngine };

/** What a machine is made of. */
export interface MachineConfig extends GuestSource {
  readonly cpus: number;
  readonly engine: EngineMaker;
  /** Both ends of COM1. */
  readonly console: { readonly input: ByteSource; readonly output: ByteSink };
  /** What the guest writes to the debug consoles at ports 0xe9 and 0x402. */
  readonly debugOutput: ByteSink;
  readonly debugExit: boolean;
  /** A real one for an engine with a timer of its own. */
  readonly clock: MachineClock;
  /** Of `createSignals`. */
  readonly signals: Int32Array;
  /** Of `COUNTER_BYTES` bytes. */
  readonly counters: Float64Array;
  /** Of `ExitRunner`; engines without interrupt controllers of their own need no alarm. */
  readonly setAlarm: (epochMs: number) => void;
  /** Of `createActivity`, for others to look at. */
  readonly activity?: Int32Array | undefined;
  /** Attaches further devices: tests and embedders. */
  readonly attach?: (pc: Pc) => void;
}

/** A PC that runs one guest once. */
export class Machine implements Disposable {
  readonly engine: Engine;
  /** What was loaded and how. */
  readonly entry: Entry;
  readonly #runner: Runner;
  readonly #counters: Float64Array;

  /**
   * Builds the machine and loads the guest.
   * @throws DenovisorError of the engine and of the boot path.
   */
  constructor(config: MachineConfig) {
    this.#counters = config.counters;
    using unlessBuilt = new DisposableStack();
    let pc: Pc;
    if (config.engine.irqchip === "engine") {
      const devices = new DeviceMemory(config.counters);
      const engine = unlessBuilt.use(config.engine.create(devices));
      pc = this.#buildPc(config, (gsi, level) => engine.setIrqLine(gsi, level));
      devices.connect(pc.mmio);
      this.#runner = new ExitRunner(engine, { ...config, pc }, config.setAlarm);
      this.engine = engine;
    } else {
      const signals = new SignalRelay();
      const activity = config.activity ?? new Int32Array(1);
      const hurry = () => runner.hurry();
      const irqchip = new Irqchip({ ...config, signals, onDeadline: hurry });
      pc = this.#buildPc(config, (gsi, level) => irqchip.setGsi(gsi, level));
      for (const { first, count, device } of irqchip.ports) pc.ports.claim(first, count, device);
      const bus = new MachineBus(pc, irqchip, config.counters, {
        access: () => runner.access(),
        hurry,
      }, activity);
      const engine = unlessBuilt.use(config.engine.create(bus));
      const runner = new SliceRunner(engine, { ...config, pc }, irqchip, activity);
      signals.connect(engine);
      config.clock.attach(engine);
      this.#runner = runner;
      this.engine = engine;
    }
    this.entry = load(config, pc.acpiTables, this.engine);
    unlessBuilt.move();
    this.#counters[Counter.READY_EPOCH_MS] = epochMs();
  }

  /** Runs the guest until the run ends. Call it once. */
  run(): MachineOutcome {
    const runner = this.#runner;
    const counters = this.#counters;
    runner.attend();
    counters[Counter.STARTED_EPOCH_MS] = epochMs();
    while (runner.outcome === undefined) runner.step();
    counters[Counter.ENDED_EPOCH_MS] = epochMs();
    runner.countUnclaimed();
    return runner.outcome;
  }

  [Symbol.dispose](): void {
    this.engine[Symbol.dispose]();
  }

  #buildPc(config: MachineConfig, setGsi: (gsi: number, level: boolean) => void): Pc {
    const { memory, debugOutput } = config;
    const pc = buildPc({
      cpus: config.cpus,
      memory,
      memoryMap: [...ramMap(memory), { ...KVM_PAGES, type: MapType.RESERVED }],
      clock: config.clock,
      console: config.console,
      irq: (gsi) => ({ set: (level) => setGsi(gsi, level) }),
      power: (event) => this.#runner.end(event),
      debugExit: config.debugExit,
      debugOutput,
      firmwareLog: debugOutput,
      ...forFirmware(config),
    });
    config.attach?.(pc);
    return pc;
  }
}
