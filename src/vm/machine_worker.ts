/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The thread of one machine: builds it, runs its guest to the end, and leaves. While the guest runs,
 * the thread is inside the engine and takes no messages: everything else goes through shared memory.
 */

import { asDenovisorError } from "../base/errors.ts";
import { TraceFile } from "../base/trace_file.ts";
import { RingReader, RingWriter } from "../base/ring.ts";
import type { BootSource } from "../boot/boot.ts";
import type { CpuidLeaf } from "../cpu/cpuid.ts";
import type { MmioBus } from "../engine/cpu_bus.ts";
import { KvmControl } from "../engine/kvm/control.ts";
import { KvmEngine } from "../engine/kvm/kvm_engine.ts";
import { WasmAssist } from "../engine/wasm/assist.ts";
import { WasmEngine } from "../engine/wasm/wasm_engine.ts";
import { AlarmSetter } from "../machine/alarm.ts";
import { type MachineClock, RealClock, VirtualClock } from "../machine/clock.ts";
import { type EngineMaker, Machine } from "../machine/machine.ts";
import { GuestMemory } from "../memory/guest_memory.ts";
import type { MachineMessage, MachineSetup } from "./messages.ts";

self.onmessage = (event: MessageEvent<MachineSetup>) => {
  post(host(event.data));
  self.close();
};

/** Runs the guest; the last message of this thread. */
function host(setup: MachineSetup): MachineMessage {
  try {
    using trace = jitTraceOf(setup);
    using machine = build(setup, trace);
    if (setup.firmware === undefined) release(setup.source);
    post({ type: "ready", description: machine.entry.description });
    return { type: "ended", outcome: machine.run(), engineStats: machine.engine.stats() };
  } catch (error) {
    return { type: "error", error: asDenovisorError(error).toMessage() };
  }
}

/** @throws DenovisorError `file` when the trace cannot be opened. */
function jitTraceOf({ engine }: MachineSetup): TraceFile | undefined {
  const path = engine.name === "wasm" ? engine.jitTrace : undefined;
  return path === undefined ? undefined : new TraceFile(path);
}

function build(setup: MachineSetup, trace: TraceFile | undefined): Machine {
  const { cpus, engine, source, firmware, debugExit, shared } = setup;
  const memory = GuestMemory.attach(setup.memory);
  const input = new RingReader(shared.input);
  const output = new RingWriter(shared.output);
  const debug = new RingWriter(shared.debug);
  const alarm = new AlarmSetter(shared.alarm);
  const isVirtual = engine.name === "wasm" && engine.clock === "virtual";
  const clock = isVirtual ? new VirtualClock() : new RealClock();
  return new Machine({
    memory,
    cpus,
    engine: makerOf(setup, memory, clock, trace),
    source,
    firmware,
    console: {
      input: { take: () => input.readByte() },
      output: { put: (byte) => void output.writeByte(byte) },
    },
    debugOutput: { put: (byte) => void debug.writeByte(byte) },
    debugExit,
    clock,
    signals: shared.signals,
    counters: shared.counters,
    setAlarm: (epochMs) => alarm.set(epochMs),
    activity: shared.activity,
  });
}

/** Gives back what files took that are in guest RAM now: they were sent here, nobody else has them. */
function release({ kernel, initrds = [] }: BootSource): void {
  for (const { bytes } of kernel === undefined ? initrds : [kernel, ...initrds]) {
    if (bytes.buffer instanceof ArrayBuffer && !bytes.buffer.detached) bytes.buffer.transfer(0);
  }
}

function makerOf(
  { engine, cpus, shared: { activity } }: MachineSetup,
  memory: GuestMemory,
  clock: MachineClock,
  trace: TraceFile | undefined,
): EngineMaker {
  if (engine.name === "kvm") {
    const control = KvmControl.attach(engine.control);
    const create = (devices: MmioBus) => {
      const assist = (cpuid: readonly CpuidLeaf[]) => {
        return new WasmAssist({ memory, cpus, cpuid, devices });
      };
      return new KvmEngine({ memory, cpus, control, assist: engine.assist ? assist : undefined });
    };
    return { irqchip: "engine", create };
  }
  const { mmu, jitBytes } = engine;
  const jit = jitBytes === 0 ? undefined : {
    maxBytes: jitBytes,
    trace: trace && ((bytes: Uint8Array) => trace.attempt(() => trace.write(bytes))),
  };
  return {
    irqchip: "machine",
    create: (bus) => new WasmEngine({ memory, cpus, bus, clock, mmu, jit, activity }),
  };
}

function post(message: MachineMessage): void {
  self.postMessage(message);
}
