/**
 * The wasm engine: x86-64 without a kernel's help. Its vCPUs share one thread and take turns by
 * instructions, so that a run is a function of its inputs.
 */

import { DenovisorError } from "../../base/errors.ts";
import { TWO_32 } from "../../base/u64.ts";
import { Cpuid } from "../../cpu/cpuid_model.ts";
import { resetState } from "../../cpu/modes.ts";
import {
  CpuState,
  Event,
  MpState,
  MTRR_FIXED,
  MTRR_VARIABLE,
  Seg,
  State,
} from "../../cpu/state.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import { Activity } from "../activity.ts";
import type { CpuBus } from "../cpu_bus.ts";
import { type BusEngine, Exit, ExitCode, type Vcpu } from "../engine.ts";
import { Attention, Cpu, Flag, Waiting, Word } from "./cpu.ts";
import { VCPU_SHUTDOWN } from "./exception.ts";
import { GuestMmu, type MmuMode } from "./guest_mmu.ts";
import { Interpreter } from "./interpreter.ts";
import { lineHasChanged } from "./isa/halt.ts";
import type { JitOptions } from "./jit/translator.ts";
import { Paging } from "./paging.ts";
import { readState, writeState } from "./state_copy.ts";
import { X87 } from "./x87_state.ts";

/** vCPUs of one guest at most. */
export const MAX_CPUS = 8;
/** Instructions of one vCPU's turn when there are several. */
const TURN = 10_000;
/** IA32_APIC_BASE of all but the bootstrap processor: enabled (SDM 3A §10.4.4). */
const AP_APIC_BASE = 0xfee0_0800;
/** INIT keeps the time-stamp counter, machine-check registers, MTRRs and others (SDM 3A table 9-1). */
const KEPT_MSRS: readonly number[] = [0x10, 0x17a, 0x1d9, 0x2ff, ...MTRR_VARIABLE, ...MTRR_FIXED];
/** Of `CpuSignals.startup`: none. */
const NO_STARTUP = -1;

/** What an engine is made of. */
export interface WasmEngineOptions {
  /** At most 4 GiB of it. */
  readonly memory: GuestMemory;
  /** 1 to `MAX_CPUS`. */
  readonly cpus: number;
  readonly bus: CpuBus;
  /** What the time-stamp counters count, in nanoseconds. */
  readonly clock: { nowNs(): number };
  readonly mmu?: MmuMode;
  /** Hot code is translated to WebAssembly; undefined: everything is interpreted. */
  readonly jit?: JitOptions | undefined;
  /** Of `createActivity`: the engine keeps it up to date while it runs. */
  readonly activity?: Int32Array | undefined;
}

/** A vCPU as inspection and boot see it. */
class WasmVcpu implements Vcpu {
  readonly cpu: Cpu;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
  }

  get index(): number {
    return this.cpu.index;
  }

  readState(into: CpuState): void {
    readState(this.cpu, into);
  }

  writeState(from: CpuState): void {
    writeState(this.cpu, from);
  }
}

/** Runs one guest by interpreting it. */
export class WasmEngine implements BusEngine {
  readonly name = "wasm";
  readonly hasIrqchip = false;
  readonly exit: Exit = new Exit();
  readonly vcpus: readonly WasmVcpu[];
  readonly #guest: GuestMmu;
  readonly #cpus: readonly Cpu[];
  readonly #interpreter: Interpreter;
  /** By vCPU: page of the start-up interrupt that has come, or NO_STARTUP. */
  readonly #startups: Int32Array;
  /** The vCPU whose turn it is, and how many instructions of it are left. */
  #turn = 0;
  #turnLeft = TURN;
  #kicked = false;
  /** The value of `retired` at which the current `run` ends. */
  #end = 0;

  /** @throws DenovisorError `usage` for too many vCPUs, `memory-size` for too much memory. */
  constructor(options: WasmEngineOptions) {
    const { memory, cpus, bus, clock } = options;
    if (!(Number.isInteger(cpus) && cpus >= 1 && cpus <= MAX_CPUS)) {
      throw new DenovisorError(
        "usage",
        `Cannot run ${cpus} vCPUs: the wasm engine has 1 to ${MAX_CPUS}`,
        { cpus },
      );
    }
    const bytes = memory.wasm.buffer.byteLength;
    if (bytes > TWO_32) {
      throw new DenovisorError(
        "memory-size",
        `Cannot run a guest with ${bytes} bytes of memory: the wasm engine takes up to ${TWO_32}`,
        { bytes },
      );
    }
    const models = Array.from({ length: cpus }, (_, index) => new Cpuid(index, cpus));
    this.#guest = new GuestMmu(memory, options.mmu ?? "tdp", models[0].maxPhyAddrBits);
    this.#interpreter = new Interpreter(this.#guest, options.jit);
    this.#cpus = models.map((cpuid, index) =>
      new Cpu({
        index,
        ram: memory.wasm.buffer,
        bus,
        clock,
        cpuid,
        activity: options.activity,
        x87: (cpu) => new X87(cpu),
        paging: (cpu) => new Paging(cpu, this.#guest),
      })
    );
    this.vcpus = this.#cpus.map((cpu) => new WasmVcpu(cpu));
    this.#startups = new Int32Array(cpus).fill(NO_STARTUP);
    const state = resetState();
    this.#cpus.forEach((cpu, index) => {
      state.setEvent(Event.MP_STATE, index === 0 ? MpState.RUNNABLE : MpState.UNINITIALIZED);
      if (index > 0) state.set(State.APIC_BASE, AP_APIC_BASE);
      writeState(cpu, state);
    });
    this.#guest.onCodeWritten = () => this.#leaveBlocks();
  }

  /** Instructions retired so far by all vCPUs, before the current one. */
  get retired(): number {
    let sum = 0;
    for (let i = 0; i < this.#cpus.length; i++) sum += this.#cpus[i].now;
    return sum;
  }

  /** The MMU, for its trace and its counters. */
  get guest(): GuestMmu {
    return this.#guest;
  }

  run(budget: number): ExitCode {
    this.#cpus[0].activity[0] = Activity.INTERPRETER;
    this.#guest.takeWrites();
    this.#end = budget > 0 ? this.retired + budget : Number.MAX_SAFE_INTEGER;
    for (;;) {
      if (this.#kicked) {
        this.#kicked = false;
        return ExitCode.KICKED;
      }
      if (this.retired >= this.#end) return ExitCode.BUDGET;
      const cpu = this.#next();
      if (cpu === undefined) return ExitCode.HALT;
      const code = this.#runTurn(cpu);
      if (code !== undefined) return code;
    }
  }

  /** The current `run` ends `instructions` after the current one: a device is due then. */
  limit(instructions: number): void {
    const end = this.retired + 1 + Math.max(0, instructions);
    if (end >= this.#end) return;
    this.#end = end;
    const cpu = this.#cpus[this.#turn];
    // The budget counts from the beginning of the block.
    cpu.budget = Math.min(cpu.budget, cpu.at + cpu.repeats + 1 + instructions);
    cpu.attention |= Attention.BLOCK;
  }

  /** `run` returns KICKED after the current instruction. */
  kick(): void {
    this.#kicked = true;
    this.#leaveBlocks();
    this.#cpus[this.#turn].attention |= Attention.KICK;
  }

  interrupt(vcpu: number): void {
    this.#cpus[vcpu].attention |= Attention.INTERRUPT;
  }

  nmi(vcpu: number): void {
    this.#cpus[vcpu].raiseNmi();
  }

  init(vcpu: number): void {
    this.#startups[vcpu] = NO_STARTUP;
    this.#cpus[vcpu].attention |= Attention.INIT;
  }

  startup(vcpu: number, page: number): void {
    const cpu = this.#cpus[vcpu];
    const waits = (cpu.attention & Attention.INIT) !== 0 ||
      cpu.mpState === MpState.UNINITIALIZED || cpu.mpState === MpState.INIT_RECEIVED;
    if (waits) this.#startups[vcpu] = page;
  }

  stats(): Record<string, number> {
    const stats: Record<string, number> = {
      instructions: this.retired,
      blocks: this.#interpreter.blocks,
      tlb_misses: this.#cpus.reduce((sum, cpu) => sum + cpu.paging.tlbMisses, 0),
    };
    return { ...stats, ...this.#interpreter.stats(), ...this.#guest.mmu.stats() };
  }

  /** Completes the trace. Throws what its writer throws. */
  [Symbol.dispose](): void {
    this.#interpreter.end();
  }

  /** Runs one vCPU for its turn; an exit code ends the whole `run`. */
  #runTurn(cpu: Cpu): ExitCode | undefined {
    const left = this.#end - this.retired;
    cpu.budget = this.#cpus.length === 1 ? left : Math.min(left, this.#turnLeft);
    const before = cpu.retired;
    let code: ExitCode | undefined;
    try {
      this.#interpreter.run(cpu);
    } catch (error) {
      if (error !== VCPU_SHUTDOWN) throw error;
      this.exit.vcpu = cpu.index;
      this.exit.reason = cpu.shutdownReason;
      code = cpu.failed ? ExitCode.FAILED : ExitCode.SHUTDOWN;
    }
    this.#turnLeft -= cpu.retired - before;
    const { attention } = cpu;
    if ((attention & (Attention.YIELD | Attention.HALT)) !== 0) {
      cpu.attention &= ~(Attention.YIELD | Attention.HALT);
      this.#turnLeft = 0;
    }
    cpu.attention &= ~Attention.KICK;
    if ((attention & Attention.INIT) !== 0) this.#initialize(cpu);
    return code;
  }

  /** The vCPU that runs next; undefined when all wait. */
  #next(): Cpu | undefined {
    const cpus = this.#cpus;
    const current = cpus[this.#turn];
    if (this.#turnLeft > 0 && this.#isRunnable(current)) return current;
    for (let step = 1; step <= cpus.length; step++) {
      const index = (this.#turn + step) % cpus.length;
      if (!this.#isRunnable(cpus[index])) continue;
      this.#turn = index;
      this.#turnLeft = TURN;
      return cpus[index];
    }
    return undefined;
  }

  /** Whether a vCPU can run, woken by what has come for it. */
  #isRunnable(cpu: Cpu): boolean {
    if ((cpu.attention & Attention.INIT) !== 0) this.#initialize(cpu);
    switch (cpu.mpState) {
      case MpState.RUNNABLE:
        return cpu.waiting === Waiting.NO || this.#endMwait(cpu);
      case MpState.HALTED:
        return this.#wake(cpu);
      default:
        return this.#start(cpu);
    }
  }

  /** HLT ends with an interrupt that is not masked, or an NMI (SDM 2A HLT). */
  #wake(cpu: Cpu): boolean {
    const { attention } = cpu;
    const interrupted = (attention & Attention.INTERRUPT) !== 0 &&
      (cpu.s[Word.RFLAGS] & Flag.IF) !== 0 && cpu.apic.hasInterrupt();
    const nmi = cpu.nmiPending && !cpu.nmiMasked;
    if (!interrupted && !nmi) return false;
    cpu.mpState = MpState.RUNNABLE;
    return true;
  }

  /** MWAIT ends with a store to the line, an interrupt or an NMI (SDM 3A §8.10.4). */
  #endMwait(cpu: Cpu): boolean {
    const interrupted = cpu.apic.hasInterrupt() &&
      (cpu.waiting === Waiting.ANY || (cpu.s[Word.RFLAGS] & Flag.IF) !== 0);
    const nmi = cpu.nmiPending && !cpu.nmiMasked;
    if (!interrupted && !nmi && !lineHasChanged(cpu)) return false;
    cpu.waiting = Waiting.NO;
    return true;
  }

  /** INIT (SDM 3A §9.1, §8.4.2): the bootstrap processor starts anew, the others wait. */
  #initialize(cpu: Cpu): void {
    const state = resetState();
    const old = new CpuState();
    readState(cpu, old);
    // INIT keeps the FPU's registers, too (SDM 3A table 9-1).
    new Uint8Array(state.view.buffer).set(
      new Uint8Array(old.view.buffer, State.XSAVE, 4096),
      State.XSAVE,
    );
    for (const msr of KEPT_MSRS) state.setMsr(msr, old.msr(msr));
    state.set(State.RANDOM, old.get(State.RANDOM));
    state.set(State.RANDOM + 8, old.get(State.RANDOM + 8));
    state.set(State.APIC_BASE, old.get(State.APIC_BASE));
    const bootstrap = (old.get(State.APIC_BASE) & 0x100n) !== 0n;
    state.setEvent(Event.MP_STATE, bootstrap ? MpState.RUNNABLE : MpState.INIT_RECEIVED);
    cpu.attention = 0;
    cpu.apic.init();
    writeState(cpu, state);
  }

  /** A start-up interrupt begins execution at the page it names (SDM 3A §8.4.4). */
  #start(cpu: Cpu): boolean {
    const page = this.#startups[cpu.index];
    if (page === NO_STARTUP) return false;
    this.#startups[cpu.index] = NO_STARTUP;
    const state = new CpuState();
    readState(cpu, state);
    const code = { base: page * 4096, limit: 0xffff, selector: page << 8, attributes: 0x9b };
    state.setSegment(Seg.CS, code);
    state.set(State.RIP, 0);
    state.setEvent(Event.MP_STATE, MpState.RUNNABLE);
    writeState(cpu, state);
    return true;
  }

  /** No vCPU may stay in a block that it has entered. */
  #leaveBlocks(): void {
    for (let i = 0; i < this.#cpus.length; i++) this.#cpus[i].attention |= Attention.BLOCK;
  }
}
