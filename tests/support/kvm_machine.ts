/** A machine on KVM that runs one of our guests on this thread, with devices of the test. */

import { ExitCode } from "../../src/engine/engine.ts";
import { KvmEngine, type KvmEngineOptions } from "../../src/engine/kvm/kvm_engine.ts";
import { RealClock } from "../../src/machine/clock.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { createSignals } from "../../src/machine/signals.ts";
import { COUNTER_BYTES } from "../../src/machine/stats.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { NO_BYTE } from "../../src/devices/byte_stream.ts";
import type { Pc } from "../../src/platform/pc.ts";
import { buildGuest, type GuestName } from "../../tools/guests.ts";

const RAM_BYTES = 16 * 1024 ** 2;

/** An MMIO access that left KVM: the machine's view of it. */
export interface MmioExit {
  readonly kind: "r" | "w";
  readonly gpa: number;
  readonly sizeBytes: number;
}

/** What came of a run. */
export interface KvmRunResult {
  readonly outcome: MachineOutcome;
  readonly output: string;
  readonly mmioExits: readonly MmioExit[];
}

/** Runs `guest` to its end; the guest must end by itself. */
export async function runOnKvm(
  guest: GuestName,
  attach: (pc: Pc) => void,
  options: Pick<KvmEngineOptions, "maskMmioTo32Bits"> = {},
): Promise<KvmRunResult> {
  const memory = GuestMemory.allocate(RAM_BYTES);
  const mmioExits: MmioExit[] = [];
  let output = "";
  using machine = new Machine({
    memory,
    cpus: 1,
    engine: {
      irqchip: "engine",
      create: () => watchMmio(new KvmEngine({ memory, cpus: 1, ...options }), mmioExits),
    },
    source: { kernel: { name: guest, bytes: await buildGuest(guest) } },
    firmware: undefined,
    console: {
      input: { take: () => NO_BYTE },
      output: { put: (byte) => void (output += String.fromCharCode(byte)) },
    },
    debugOutput: { put: () => {} },
    debugExit: true,
    clock: new RealClock(),
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
