/** Engines that play a script, and machines around them. */

import { CpuState, Event, MpState, State } from "../../../src/cpu/state.ts";
import type { CpuBus } from "../../../src/engine/cpu_bus.ts";
import {
  type BusEngine,
  type ChipEngine,
  Exit,
  ExitCode,
  type Vcpu,
} from "../../../src/engine/engine.ts";
import { type MachineClock, RealClock, VirtualClock } from "../../../src/machine/clock.ts";
import { Machine, type MachineConfig } from "../../../src/machine/machine.ts";
import { createSignals } from "../../../src/machine/signals.ts";
import { COUNTER_BYTES } from "../../../src/machine/stats.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";

/** A vCPU whose state a test sees. */
export type FakeVcpu = Vcpu & { readonly state: CpuState };

function fakeVcpus(cpus: number): FakeVcpu[] {
  return Array.from({ length: cpus }, (_, index) => {
    const state = new CpuState();
    return {
      index,
      state,
      readState: (into: CpuState) => bytesOf(into).set(bytesOf(state)),
      writeState: (from: CpuState) => bytesOf(state).set(bytesOf(from)),
    };
  });
}

/** One call of `run`: sees the result of the last exit, fills the next one in. */
export type Step = (exit: Exit) => ExitCode;

/** An engine with interrupt controllers of its own. */
export class FakeEngine implements ChipEngine {
  readonly name = "kvm";
  readonly hasIrqchip = true;
  readonly exit = new Exit();
  readonly vcpus: readonly FakeVcpu[];
  /** Levels of the interrupt lines that were driven, by number. */
  readonly lines = new Map<number, boolean>();
  disposed = 0;
  readonly #steps: Step[];

  constructor(steps: readonly Step[], cpus = 1) {
    this.#steps = [...steps];
    this.vcpus = fakeVcpus(cpus);
  }

  /** Steps that were not asked for. */
  get left(): number {
    return this.#steps.length;
  }

  run(): ExitCode {
    const step = this.#steps.shift();
    if (step === undefined) throw new Error("The machine ran on after the last scripted exit");
    return step(this.exit);
  }

  setIrqLine(gsi: number, level: boolean): void {
    this.lines.set(gsi, level);
  }

  stats(): Record<string, number> {
    return {};
  }

  [Symbol.dispose](): void {
    this.disposed++;
  }
}

/** A clock that stands still until it is set, and sleeps as a real one does. */
export class FakeClock extends RealClock {
  ns = 0;
  override nowNs(): number {
    return this.ns;
  }
  override wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.ns / 1e6;
  }
}

/** An instruction of a `FakeBusEngine`, or so many of them that do nothing. */
export type Instruction = number | "hlt" | ((bus: CpuBus) => void);

/** An engine that calls the machine's bus: each instruction of its program is retired once. */
export class FakeBusEngine implements BusEngine {
  readonly name = "wasm";
  readonly hasIrqchip = false;
  readonly exit = new Exit();
  readonly vcpus: readonly FakeVcpu[];
  /** `retired` at the start of each slice. */
  readonly slices: number[] = [];
  /** What local APICs have signalled. */
  readonly signals: string[] = [];
  /** RFLAGS.IF of a vCPU that waits. */
  interruptsOn = true;
  retired = 0;
  disposed = 0;
  readonly #bus: CpuBus;
  readonly #program: Instruction[];
  #left = 0;
  #kicked = false;
  #waits = false;

  constructor(bus: CpuBus, program: readonly Instruction[], cpus = 1) {
    this.#bus = bus;
    this.#program = [...program];
    this.vcpus = fakeVcpus(cpus);
  }

  run(budget: number): ExitCode {
    this.slices.push(this.retired);
    this.#left = budget;
    this.#kicked = false;
    if (this.#waits) return ExitCode.HALT;
    while (this.#left > 0) {
      const next = this.#program.shift();
      if (next === undefined) {
        this.exit.reason = "end of the program";
        return ExitCode.SHUTDOWN;
      }
      if (typeof next === "number") {
        const count = Math.min(next, this.#left);
        if (count < next) this.#program.unshift(next - count);
        this.#retire(count);
        continue;
      }
      if (typeof next === "function") next(this.#bus);
      this.#retire(1);
      if (this.#kicked) return ExitCode.KICKED;
      if (next === "hlt") return this.#halt();
    }
    return ExitCode.BUDGET;
  }

  limit(instructions: number): void {
    this.#left = Math.min(this.#left, 1 + instructions);
  }

  kick(): void {
    this.#kicked = true;
  }

  interrupt(vcpu: number): void {
    this.signals.push(`interrupt ${vcpu}`);
    if (this.interruptsOn && this.#bus.localApics[vcpu].hasInterrupt()) this.wake();
  }

  nmi(vcpu: number): void {
    this.signals.push(`nmi ${vcpu}`);
  }

  init(vcpu: number): void {
    this.signals.push(`init ${vcpu}`);
  }

  startup(vcpu: number, page: number): void {
    this.signals.push(`startup ${vcpu} ${page}`);
  }

  /** The vCPU that waits goes on. */
  wake(): void {
    this.#waits = false;
    this.vcpus[0].state.setEvent(Event.MP_STATE, MpState.RUNNABLE);
  }

  stats(): Record<string, number> {
    return {};
  }

  [Symbol.dispose](): void {
    this.disposed++;
  }

  #retire(count: number): void {
    this.retired += count;
    this.#left -= count;
  }

  #halt(): ExitCode {
    const { state } = this.vcpus[0];
    state.setEvent(Event.MP_STATE, MpState.HALTED);
    state.set(State.RFLAGS, this.interruptsOn ? 1n << 9n : 0n);
    this.#waits = true;
    return ExitCode.HALT;
  }
}

/** A machine with a flat image of one `hlt`, and what it is connected to. */
export function fakeMachine(steps: readonly Step[], changes: Partial<MachineConfig> = {}) {
  const engine = new FakeEngine(steps, changes.cpus);
  const clock = new FakeClock();
  const world = fakeWorld();
  const machine = new Machine({
    ...world.config,
    engine: { irqchip: "engine", create: () => engine },
    clock,
    ...changes,
  });
  return { machine, engine, clock, ...world };
}

/** The same around an engine that calls the bus, by a virtual clock. */
export function fakeBusMachine(
  program: readonly Instruction[],
  changes: Partial<MachineConfig> = {},
) {
  const world = fakeWorld();
  const clock: MachineClock = changes.clock ?? new VirtualClock();
  const create = (bus: CpuBus) => new FakeBusEngine(bus, program, changes.cpus);
  const machine = new Machine({
    ...world.config,
    engine: { irqchip: "machine", create },
    clock,
    ...changes,
  });
  return { machine, engine: machine.engine as FakeBusEngine, clock, ...world };
}

function fakeWorld() {
  const output: number[] = [];
  const input: number[] = [];
  const debug: number[] = [];
  const alarms: number[] = [];
  const signals = createSignals();
  const counters = new Float64Array(new ArrayBuffer(COUNTER_BYTES));
  const config = {
    memory: GuestMemory.allocate(2 * 1024 ** 2),
    cpus: 1,
    source: { kernel: { name: "hlt", bytes: Uint8Array.of(0xf4) } },
    firmware: undefined,
    console: {
      input: { take: () => input.shift() ?? -1 },
      output: { put: (byte: number) => void output.push(byte) },
    },
    debugOutput: { put: (byte: number) => void debug.push(byte) },
    debugExit: true,
    signals,
    counters,
    setAlarm: (epochMs: number) => void alarms.push(epochMs),
  };
  return { config, output, input, debug, alarms, signals, counters };
}

/** The guest writes `value` to `port`. */
export function out(port: number, value: number, size = 1): Step {
  return (exit) => {
    Object.assign(exit, {
      port,
      size,
      count: 1,
      offset: 0,
      data: new DataView(new ArrayBuffer(8)),
    });
    exit.data.setUint32(0, value, true);
    return ExitCode.PORT_OUT;
  };
}

/** The guest reads `size` bytes from `port`; `got` takes them. */
export function inp(port: number, got: (value: number) => void, size = 1): Step[] {
  return [
    (exit) => {
      Object.assign(exit, {
        port,
        size,
        count: 1,
        offset: 3,
        data: new DataView(new ArrayBuffer(8)),
      });
      return ExitCode.PORT_IN;
    },
    (exit) => {
      got(size === 1 ? exit.data.getUint8(3) : exit.data.getUint32(3, true));
      return ExitCode.BUDGET;
    },
  ];
}

/** Ends the run. */
export const shutdown: Step = (exit) => {
  exit.reason = "end of the script";
  return ExitCode.SHUTDOWN;
};

function bytesOf(state: CpuState): Uint8Array {
  const { buffer, byteOffset, byteLength } = state.view;
  return new Uint8Array(buffer, byteOffset, byteLength);
}
