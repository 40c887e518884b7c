/**
 * One PC with a guest in it, synchronous and on one thread: an engine, RAM, devices and a clock in
 * one loop. The loop routes what the engine cannot do itself to the buses, and allocates nothing.
 */

import { PAGE_SIZE } from "../base/u64.ts";
import type { BootSource, Entry, NamedBytes } from "../boot/boot.ts";
import { loadFirmware } from "../boot/firmware.ts";
import { firmwareKernel } from "../boot/linux/firmware_kernel.ts";
import { loadGuest } from "../boot/load_guest.ts";
import { MapType, ramMap } from "../boot/memory_map.ts";
import { CpuState, Event, MpState, State } from "../cpu/state.ts";
import type { ByteSink, ByteSource } from "../devices/byte_stream.ts";
import type { AccessSize, Clock } from "../devices/device.ts";
import { type Engine, type Exit, ExitCode } from "../engine/engine.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { Address } from "../platform/layout.ts";
import { linuxbootFiles } from "../platform/linuxboot/linuxboot.ts";
import { buildPc, type Pc, type PcOptions } from "../platform/pc.ts";
import type { MachineOutcome } from "./outcome.ts";
import { lower, raised, Signal, waitForSignal } from "./signals.ts";
import { Counter, epochMs } from "./stats.ts";

/** What a machine is made of. The machine owns the engine that `createEngine` gives. */
export interface MachineConfig {
  readonly memory: GuestMemory;
  readonly cpus: number;
  readonly createEngine: () => Engine;
  readonly source: BootSource;
  /** Firmware image, which then starts instead of the kernel; `memory` has a region for it. */
  readonly firmware: NamedBytes | undefined;
  /** Both ends of COM1. */
  readonly console: { readonly input: ByteSource; readonly output: ByteSink };
  /** What the guest writes to the debug consoles at ports 0xe9 and 0x402. */
  readonly debugOutput: ByteSink;
  readonly debugExit: boolean;
  readonly clock: Clock;
  /** Of `createSignals`. */
  readonly signals: Int32Array;
  /** Of `COUNTER_BYTES` bytes. */
  readonly counters: Float64Array;
  /**
   * Asked to raise `Signal.DEADLINE` and to kick the engine at `epochMs` milliseconds since the
   * Unix epoch; replaces what was asked before. Infinity: nothing.
   */
  readonly setAlarm: (epochMs: number) => void;
  /** Attaches further devices: tests and embedders. */
  readonly attach?: (pc: Pc) => void;
}

/** MTRR_DEF_TYPE (SDM 3A §11.11.2.1). */
const MTRR_DEF_TYPE = 0x2ff;
/** RFLAGS.IF (SDM 1 §3.4.3). */
const RFLAGS_IF = 1n << 9n;
/** Event.NMI, bit 0: one is pending. */
const NMI_PENDING = 1;
/** What KVM keeps for itself: an identity-map page and three of a TSS. */
const KVM_PAGES = { start: Address.KVM_IDENTITY_MAP, sizeBytes: 4 * PAGE_SIZE } as const;
/** The longest sleep of a machine whose guest waits, in milliseconds. */
const MAX_SLEEP_MS = 1000;

/** A PC that runs one guest once. */
export class Machine implements Disposable {
  readonly engine: Engine;
  /** What was loaded and how. */
  readonly entry: Entry;
  readonly #pc: Pc;
  readonly #clock: Clock;
  readonly #signals: Int32Array;
  readonly #counters: Float64Array;
  readonly #setAlarm: (epochMs: number) => void;
  readonly #vcpuState = new CpuState();
  #outcome: MachineOutcome | undefined;
  #deadlineNs = Infinity;

  /**
   * Builds the machine and loads the guest.
   * @throws DenovisorError of the engine and of the boot path.
   */
  constructor(config: MachineConfig) {
    this.#clock = config.clock;
    this.#signals = config.signals;
    this.#counters = config.counters;
    this.#setAlarm = config.setAlarm;
    const engine = config.createEngine();
    this.engine = engine;
    try {
      this.#pc = buildPc({
        cpus: config.cpus,
        memory: config.memory,
        memoryMap: [...ramMap(config.memory), { ...KVM_PAGES, type: MapType.RESERVED }],
        clock: config.clock,
        console: config.console,
        irq: (gsi) => ({ set: (level) => engine.setIrqLine(gsi, level) }),
        power: (event) => this.#end(event),
        debugExit: config.debugExit,
        debugOutput: config.debugOutput,
        firmwareLog: config.debugOutput,
        ...forFirmware(config),
      });
      config.attach?.(this.#pc);
      this.entry = load(config, this.#pc.acpiTables);
      engine.vcpus[0].writeState(this.entry.state);
      shareMemoryTypes(engine, this.entry.state);
    } catch (error) {
      engine[Symbol.dispose]();
      throw error;
    }
    this.#counters[Counter.READY_EPOCH_MS] = epochMs();
  }

  /** Runs the guest until the run ends. Call it once. */
  run(): MachineOutcome {
    const engine = this.engine;
    const counters = this.#counters;
    this.#attend();
    counters[Counter.STARTED_EPOCH_MS] = epochMs();
    while (this.#outcome === undefined) {
      const code = engine.run(0);
      counters[code]++;
      this.#dispatch(code, engine.exit);
    }
    counters[Counter.ENDED_EPOCH_MS] = epochMs();
    this.#countUnclaimed();
    return this.#outcome;
  }

  [Symbol.dispose](): void {
    this.engine[Symbol.dispose]();
  }

  #dispatch(code: ExitCode, exit: Exit): void {
    const { ports, mmio } = this.#pc;
    switch (code) {
      case ExitCode.PORT_IN:
        ports.readString(exit.port, exit.size as AccessSize, exit.count, exit.data, exit.offset);
        return this.#updateAlarm();
      case ExitCode.PORT_OUT:
        ports.writeString(exit.port, exit.size as AccessSize, exit.count, exit.data, exit.offset);
        return this.#updateAlarm();
      case ExitCode.MMIO_READ:
        return mmio.read(exit.gpa, exit.size, exit.data, exit.offset);
      case ExitCode.MMIO_WRITE:
        return mmio.write(exit.gpa, exit.size, exit.data, exit.offset);
      case ExitCode.KICKED:
      case ExitCode.BUDGET:
        return this.#attend();
      case ExitCode.HALT:
        return this.#sleep();
      case ExitCode.SHUTDOWN:
        return this.#end({ kind: "triple-fault", reason: exit.reason });
      case ExitCode.SYSTEM_EVENT:
        return this.#end({ kind: exit.eventReset ? "reset" : "power-off" });
      case ExitCode.FAILED:
        return this.#end({ kind: "failed", reason: exit.reason });
    }
  }

  /** Does what other threads have asked for. */
  #attend(): void {
    const signals = this.#signals;
    if (raised(signals, Signal.STOP)) return this.#end({ kind: "stopped" });
    const input = lower(signals, Signal.INPUT);
    const deadline = lower(signals, Signal.DEADLINE);
    if (deadline) this.#deadlineNs = Infinity; // the alarm has gone off
    if (input || deadline) this.#poll();
    if (lower(signals, Signal.CHECK_HALT)) {
      this.#countUnclaimed();
      if (this.#haltedForGood()) this.#end({ kind: "halted" });
    }
  }

  /** No vCPU can run until a device brings an interrupt. */
  #sleep(): void {
    if (this.#haltedForGood()) return this.#end({ kind: "halted" });
    const leftMs = (this.#pc.nextDeadlineNs() - this.#clock.nowNs()) / 1e6;
    waitForSignal(this.#signals, Math.min(Math.max(leftMs, 0), MAX_SLEEP_MS));
    this.#poll();
    this.#attend();
  }

  #poll(): void {
    this.#pc.poll();
    this.#updateAlarm();
  }

  /** Asks to be woken when a device is due. */
  #updateAlarm(): void {
    const deadlineNs = this.#pc.nextDeadlineNs();
    if (deadlineNs === this.#deadlineNs) return;
    this.#deadlineNs = deadlineNs;
    this.#setAlarm(epochMs() + (deadlineNs - this.#clock.nowNs()) / 1e6);
  }

  /** True when every vCPU is halted with interrupts off, or waits for another one to start it. */
  #haltedForGood(): boolean {
    const state = this.#vcpuState;
    for (const vcpu of this.engine.vcpus) {
      vcpu.readState(state);
      const mpState = state.event(Event.MP_STATE);
      if (mpState === MpState.RUNNABLE) return false;
      if (mpState !== MpState.HALTED) continue;
      if ((state.get(State.RFLAGS) & RFLAGS_IF) !== 0n) return false;
      if ((state.event(Event.NMI) & NMI_PENDING) !== 0) return false;
    }
    return true;
  }

  /** The first reason to end is the outcome. */
  #end(outcome: MachineOutcome): void {
    this.#outcome ??= outcome;
  }

  #countUnclaimed(): void {
    const { ports, mmio } = this.#pc;
    this.#counters[Counter.UNCLAIMED_PORT] = ports.unclaimedReads + ports.unclaimedWrites;
    this.#counters[Counter.UNCLAIMED_MMIO] = mmio.unclaimedReads + mmio.unclaimedWrites;
  }
}

/** What firmware finds to boot: the kernel, when both are given, and the ROM that boots it. */
function forFirmware({ memory, firmware, source }: MachineConfig): Pick<PcOptions, "firmware"> {
  const { kernel } = source;
  if (firmware === undefined || kernel === undefined) return {};
  return {
    firmware: { kernel: firmwareKernel(memory, { ...source, kernel }), files: linuxbootFiles() },
  };
}

/** Puts the guest into RAM. */
function load(config: MachineConfig, acpiTables: Uint8Array): Entry {
  const { memory, source, firmware } = config;
  if (firmware !== undefined) return loadFirmware(memory, firmware);
  const entry = loadGuest(memory, source, { rsdp: Address.ACPI_TABLES, reserved: [KVM_PAGES] });
  memory.write(Address.ACPI_TABLES, acpiTables);
  return entry;
}

/** All processors have the same memory types (SDM 3A §11.11.8): those with which vCPU 0 starts. */
function shareMemoryTypes(engine: Engine, boot: CpuState): void {
  const type = boot.msr(MTRR_DEF_TYPE);
  const state = new CpuState();
  for (const vcpu of engine.vcpus.slice(1)) {
    vcpu.readState(state);
    state.setMsr(MTRR_DEF_TYPE, type);
    vcpu.writeState(state);
  }
}
