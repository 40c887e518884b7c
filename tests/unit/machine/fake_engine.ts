/** An engine that plays exits from a script, and machines around it. */

import { CpuState } from "../../../src/cpu/state.ts";
import type { Clock } from "../../../src/devices/device.ts";
import { type Engine, Exit, ExitCode, type Vcpu } from "../../../src/engine/engine.ts";
import { Machine, type MachineConfig } from "../../../src/machine/machine.ts";
import { createSignals } from "../../../src/machine/signals.ts";
import { COUNTER_BYTES } from "../../../src/machine/stats.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";

/** One call of `run`: sees the result of the last exit, fills the next one in. */
export type Step = (exit: Exit) => ExitCode;

export class FakeEngine implements Engine {
  readonly name = "wasm";
  readonly exit = new Exit();
  readonly vcpus: readonly (Vcpu & { readonly state: CpuState })[];
  /** Levels of the interrupt lines that were driven, by number. */
  readonly lines = new Map<number, boolean>();
  disposed = 0;
  readonly #steps: Step[];

  constructor(steps: readonly Step[], cpus = 1) {
    this.#steps = [...steps];
    this.vcpus = Array.from({ length: cpus }, (_, index) => {
      const state = new CpuState();
      return {
        index,
        state,
        readState: (into: CpuState) => bytesOf(into).set(bytesOf(state)),
        writeState: (from: CpuState) => bytesOf(state).set(bytesOf(from)),
      };
    });
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

/** A clock that stands still until it is set. */
export class FakeClock implements Clock {
  ns = 0;
  nowNs(): number {
    return this.ns;
  }
  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.ns / 1e6;
  }
}

/** A machine with a flat image of one `hlt`, and what it is connected to. */
export function fakeMachine(steps: readonly Step[], changes: Partial<MachineConfig> = {}) {
  const engine = new FakeEngine(steps, changes.cpus);
  const clock = new FakeClock();
  const output: number[] = [];
  const input: number[] = [];
  const debug: number[] = [];
  const alarms: number[] = [];
  const signals = createSignals();
  const counters = new Float64Array(new ArrayBuffer(COUNTER_BYTES));
  const machine = new Machine({
    memory: GuestMemory.allocate(2 * 1024 ** 2),
    cpus: 1,
    createEngine: () => engine,
    source: { kernel: { name: "hlt", bytes: Uint8Array.of(0xf4) } },
    firmware: undefined,
    console: { input: { take: () => input.shift() ?? -1 }, output: { put: (b) => output.push(b) } },
    debugOutput: { put: (byte) => debug.push(byte) },
    debugExit: true,
    clock,
    signals,
    counters,
    setAlarm: (epochMs) => alarms.push(epochMs),
    ...changes,
  });
  return { machine, engine, clock, output, input, debug, alarms, signals, counters };
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
