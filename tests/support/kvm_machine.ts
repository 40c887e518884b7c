/** A machine on KVM that runs one of our guests on this thread, with devices of the test. */

import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
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

/** Runs `guest` to its end; the guest must end by itself. */
export async function runOnKvm(
  guest: GuestName,
  attach: (pc: Pc) => void,
): Promise<{ outcome: MachineOutcome; output: string }> {
  const memory = GuestMemory.allocate(RAM_BYTES);
  let output = "";
  using machine = new Machine({
    memory,
    cpus: 1,
    createEngine: () => new KvmEngine({ memory, cpus: 1 }),
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
  return { outcome: machine.run(), output };
}
