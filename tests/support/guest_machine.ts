/** A machine that runs one of our guests on this thread, with devices of the test. */

import { NO_BYTE } from "../../src/devices/byte_stream.ts";
import type { CpuBus } from "../../src/engine/cpu_bus.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { KvmEngine, type KvmEngineOptions } from "../../src/engine/kvm/kvm_engine.ts";
import { assistFor } from "./kvm_guest.ts";
import { WasmEngine } from "../../src/engine/wasm/wasm_engine.ts";
import { RealClock, VirtualClock } from "../../src/machine/clock.ts";
import { type EngineMaker, Machine } from "../../src/machine/machine.ts";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { createSignals } from "../../src/machine/signals.ts";
import { COUNTER_BYTES } from "../../src/machine/stats.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import type { Pc } from "../../src/platform/pc.ts";
import { buildGuest, type GuestName } from "../../tools/guests.ts";
import type { EngineName } from "./engines.ts";

const RAM_BYTES = 16 * 1024 ** 2;

/** An MMIO access that left the engine: the machine's view of it. */
export interface MmioExit {
  readonly kind: "r" | "w";
  readonly gpa: number;
  readonly sizeBytes: number;
}

/** What came of a run. */
export interface GuestRun {
  readonly outcome: MachineOutcome;
  readonly output: string;
  readonly mmioExits: readonly MmioExit[];
}

/** With KVM. */
export interface RunOptions extends Pick<KvmEngineOptions, "maskMmioTo32Bits"> {
  /** Complete instructions that KVM does not know. */
  readonly assist?: boolean;
}

/** Runs `guest` on `engine` to its end; the guest must end by itself. */
export async function runOn(
  engine: EngineName,
  guest: GuestName,
  attach: (pc: Pc) => void,
  options: RunOptions = {},
): Promise<GuestRun> {
  const memory = GuestMemory.allocate(RAM_BYTES);
  const clock = engine === "kvm" ? new RealClock() : new VirtualClock();
  const mmioExits: MmioExit[] = [];
  const maker: EngineMaker = engine === "kvm"
    ? {
      irqchip: "engine",
      create: (devices) => {
        const assist = options.assist === true ? assistFor(memory, 1, devices) : undefined;
        return watchMmio(new KvmEngine({ memory, cpus: 1, ...options, assist }), mmioExits);
      },
    }
    : {
      irqchip: "machine",
      create: (bus) => new WasmEngine({ memory, cpus: 1, bus: watchBus(bus, mmioExits), clock }),
    };
  let output = "";
  using machine = new Machine({
    memory,
    cpus: 1,
    engine: maker,
    source: { kernel: { name: guest, bytes: await buildGuest(guest) } },
    firmware: undefined,
    console: {
      input: { take: () => NO_BYTE },
      output: { put: (byte) => void (output += String.fromCharCode(byte)) },
    },
    debugOutput: { put: () => {} },
    debugExit: true,
    clock,
    signals: createSignals(),
    counters: new Float64Array(new ArrayBuffer(COUNTER_BYTES)),
    setAlarm: () => {},
    attach,
  });
  return { outcome: machine.run(), output, mmioExits };
}

/** Notes every MMIO exit of `engine` in `exits`. */
function watchMmio(engine: KvmEngine, exits: MmioExit[]): KvmEngine {
  const run = engine.run.bind(engine);
  engine.run = (budget) => {
    const code = run(budget);
    if (code === ExitCode.MMIO_READ || code === ExitCode.MMIO_WRITE) {
      const { gpa, size } = engine.exit;
      exits.push({ kind: code === ExitCode.MMIO_READ ? "r" : "w", gpa, sizeBytes: size });
    }
    return code;
  };
  return engine;
}

/** `bus`, which notes every MMIO access in `exits`. */
function watchBus(bus: CpuBus, exits: MmioExit[]): CpuBus {
  return {
    localApics: bus.localApics,
    readPort: (port, size) => bus.readPort(port, size),
    writePort: (port, size, value) => bus.writePort(port, size, value),
    readMmio: (vcpu, gpa, size, into, at) => {
      exits.push({ kind: "r", gpa, sizeBytes: size });
      bus.readMmio(vcpu, gpa, size, into, at);
    },
    writeMmio: (vcpu, gpa, size, from, at) => {
      exits.push({ kind: "w", gpa, sizeBytes: size });
      bus.writeMmio(vcpu, gpa, size, from, at);
    },
  };
}
