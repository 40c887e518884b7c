/** Guests of a few hand-assembled bytes for tests of the wasm engine, without a machine around it. */

import type { CpuBus, LocalApicPort } from "../../src/engine/cpu_bus.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { WasmEngine, type WasmEngineOptions } from "../../src/engine/wasm/wasm_engine.ts";
import { CpuState } from "../../src/cpu/state.ts";
import type { GuestMemory } from "../../src/memory/guest_memory.ts";

/** A local APIC without interrupts, but for what a test says is there. */
export class QuietApic implements LocalApicPort {
  pending = false;
  taskPriority = 0;
  baseLo = 0xfee0_0900 | 0;
  baseHi = 0;
  msrLo = 0;
  msrHi = 0;
  hasInterrupt(): boolean {
    return this.pending;
  }
  acknowledge(): number {
    return -1;
  }
  restoreBase(lo: number, hi: number): void {
    this.baseLo = lo;
    this.baseHi = hi;
  }
  readMsr(): boolean {
    return false;
  }
  writeMsr(): boolean {
    return false;
  }
  setTscOffset(): void {}
  init(): void {}
}

/** Ports and device memory that keep what is written, and a list of it all. */
export class RecordingBus implements CpuBus {
  readonly localApics: readonly LocalApicPort[];
  /** "out 0x10 1 0x41", "mmio write 0xfee00000 4 0x1". */
  readonly log: string[] = [];
  /** What a port or an address reads as; by default all ones. */
  answer: (address: number, size: number) => number = () => -1;
  /** Called after each port write. */
  onPort: (port: number, value: number) => void = () => {};

  constructor(cpus = 1) {
    this.localApics = Array.from({ length: cpus }, () => new QuietApic());
  }

  readPort(port: number, size: number): number {
    const value = this.answer(port, size) & mask(size);
    this.log.push(`in ${hex(port)} ${size}`);
    return value >>> 0;
  }
  writePort(port: number, size: number, value: number): void {
    this.log.push(`out ${hex(port)} ${size} ${hex((value & mask(size)) >>> 0)}`);
    this.onPort(port, (value & mask(size)) >>> 0);
  }
  readMmio(_vcpu: number, gpa: number, size: number, into: DataView, at: number): void {
    const value = this.answer(gpa, size);
    for (let i = 0; i < size; i++) into.setUint8(at + i, value >> 8 * Math.min(i, 3));
    this.log.push(`mmio read ${hex(gpa)} ${size}`);
  }
  writeMmio(_vcpu: number, gpa: number, size: number, from: DataView, at: number): void {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = value << 8n | BigInt(from.getUint8(at + i));
    this.log.push(`mmio write ${hex(gpa)} ${size} 0x${value.toString(16)}`);
  }
}

/** An engine over `memory` whose vCPU 0 starts in `state`. */
export function wasmEngine(
  memory: GuestMemory,
  state: CpuState,
  options: Partial<WasmEngineOptions> = {},
): { engine: WasmEngine; bus: RecordingBus } {
  const cpus = options.cpus ?? 1;
  const bus = new RecordingBus(cpus);
  let engine: WasmEngine | undefined = undefined;
  const clock = { nowNs: () => engine?.retired ?? 0 };
  engine = new WasmEngine({ memory, cpus, bus, clock, ...options });
  engine.vcpus[0].writeState(state);
  return { engine, bus };
}

/** Runs until HLT, shutdown or `budget` instructions; gives the exit and the state behind it. */
export function runToHalt(
  engine: WasmEngine,
  budget = 1_000_000,
): { code: ExitCode; state: CpuState } {
  const code = engine.run(budget);
  const state = new CpuState();
  engine.vcpus[0].readState(state);
  return { code, state };
}

function mask(size: number): number {
  return size === 4 ? -1 : (1 << 8 * size) - 1;
}

function hex(value: number): string {
  return "0x" + value.toString(16);
}
