/** A guest on the wasm engine by the virtual clock, on this thread, and a digest of its last state. */

import { NO_BYTE } from "../../src/devices/byte_stream.ts";
import type { NamedBytes } from "../../src/boot/boot.ts";
import { CpuState } from "../../src/cpu/state.ts";
import { type MmuMode } from "../../src/engine/wasm/guest_mmu.ts";
import type { JitOptions } from "../../src/engine/wasm/jit/translator.ts";
import { WasmEngine } from "../../src/engine/wasm/wasm_engine.ts";
import { VirtualClock } from "../../src/machine/clock.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { createSignals } from "../../src/machine/signals.ts";
import { COUNTER_BYTES } from "../../src/machine/stats.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";

/** How to run it. */
export interface WasmRunOptions {
  readonly kernel: NamedBytes;
  readonly append?: string;
  readonly initrd?: NamedBytes;
  readonly cpus?: number;
  readonly mmu?: MmuMode;
  readonly ramBytes?: number;
  /** Hot code is translated. */
  readonly jit?: JitOptions;
  /** Called at the end. */
  readonly onStats?: (stats: Record<string, number>) => void;
  /** The longest slice, in instructions: where slices end must not matter. */
  readonly sliceInstructions?: number;
}

/** What came of it. */
export interface WasmRun {
  readonly outcome: MachineOutcome;
  readonly output: string;
  readonly instructions: number;
  readonly guestNs: number;
  /** SHA-256 over RAM and the registers of all vCPUs. */
  readonly digest: string;
}

/** A virtual clock whose slices are shorter. */
class ShortSlices extends VirtualClock {
  readonly #most: number;

  constructor(most: number) {
    super();
    this.#most = most;
  }

  override budget(deadlineNs: number): number {
    return Math.min(super.budget(deadlineNs), this.#most);
  }
}

/** Runs the guest to its end; it must end by itself. */
export async function runOnWasm(options: WasmRunOptions): Promise<WasmRun> {
  const { kernel, append, initrd, jit, cpus = 1, mmu = "tdp", ramBytes = 16 * 1024 ** 2 } = options;
  const memory = GuestMemory.allocate(ramBytes);
  const clock = new ShortSlices(options.sliceInstructions ?? Infinity);
  const output: number[] = [];
  using machine = new Machine({
    memory,
    cpus,
    engine: {
      irqchip: "machine",
      create: (bus) =>
        new WasmEngine({ memory, cpus, bus, clock, mmu, ...jit === undefined ? {} : { jit } }),
    },
    source: {
      kernel,
      ...(append === undefined ? {} : { append }),
      initrds: initrd === undefined ? [] : [initrd],
    },
    firmware: undefined,
    console: { input: { take: () => NO_BYTE }, output: { put: (byte) => void output.push(byte) } },
    debugOutput: { put: () => {} },
    debugExit: true,
    clock,
    signals: createSignals(),
    counters: new Float64Array(new ArrayBuffer(COUNTER_BYTES)),
    setAlarm: () => {},
  });
  const outcome = machine.run();
  const engine = machine.engine as WasmEngine;
  options.onStats?.(engine.stats());
  return {
    outcome,
    output: new TextDecoder().decode(Uint8Array.from(output)),
    instructions: engine.retired,
    guestNs: clock.nowNs(),
    digest: await digestOf(memory, engine),
  };
}

async function digestOf(memory: GuestMemory, engine: WasmEngine): Promise<string> {
  const ram = new Uint8Array(memory.wasm.buffer as unknown as ArrayBuffer);
  const parts = [ram.slice()];
  for (const vcpu of engine.vcpus) {
    const state = new CpuState();
    vcpu.readState(state);
    const { buffer, byteOffset, byteLength } = state.view;
    parts.push(new Uint8Array(buffer, byteOffset, byteLength).slice());
  }
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
