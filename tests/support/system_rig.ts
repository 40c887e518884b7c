/** One vCPU of the wasm engine that executes single instructions in a mode that a test chooses. */

import { gpa } from "../../src/base/u64.ts";
import { flat32State, long64State, realModeState } from "../../src/cpu/modes.ts";
import { type CpuState, Seg, SegField, State } from "../../src/cpu/state.ts";
import type { Cpu } from "../../src/engine/wasm/cpu.ts";
import { Word } from "../../src/engine/wasm/cpu.ts";
import { Decoder } from "../../src/engine/wasm/decode/decoder.ts";
import { GUEST_EXCEPTION } from "../../src/engine/wasm/exception.ts";
import { updateModes } from "../../src/engine/wasm/modes.ts";
import type { WasmEngine } from "../../src/engine/wasm/wasm_engine.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { type QuietApic, type RecordingBus, wasmEngine } from "./wasm_guest.ts";

/** Modes to start in. */
export type RigMode = "real" | "flat32" | "long64";
/** Where the page tables are: a gigabyte of identity, for all. */
const TABLES = 0x10_0000;
/** Where code is decoded from and RIP begins. */
export const CODE_AT = 0x1000;
/** Where data may be. */
export const DATA_AT = 0x2_0000;

/** What `run` returns when nothing was raised. */
export const NONE = -1;

/** A guest of 4 MiB. */
export class SystemRig {
  readonly memory = GuestMemory.allocate(4 * 1024 ** 2);
  readonly engine: WasmEngine;
  readonly bus: RecordingBus;
  readonly apic: QuietApic;
  readonly cpu: Cpu;
  /** What the clock says, in nanoseconds. */
  nowNs = 0;
  readonly #decoder = new Decoder();

  constructor(mode: RigMode) {
    this.memory.writeU64(gpa(TABLES), BigInt(TABLES + 0x1000 | 7));
    this.memory.writeU64(gpa(TABLES + 0x1000), 0x87n);
    const clock = { nowNs: () => this.nowNs };
    const { engine, bus } = wasmEngine(this.memory, stateOf(mode), { clock });
    this.engine = engine;
    this.bus = bus;
    this.apic = bus.localApics[0] as QuietApic;
    this.cpu = engine.vcpus[0].cpu;
    this.cpu.attention = 0;
  }

  /** Executes the instruction that `bytes` (hexadecimal) are; the vector that it raises, or NONE. */
  run(bytes: string): number {
    const code = Uint8Array.from(bytes.split(" "), (byte) => parseInt(byte, 16));
    const { cpu } = this;
    const { codeSize } = cpu;
    const offset = cpu.s[Word.RIP] & 4095;
    const insn = this.#decoder.decode(code, 0, code.length, offset, codeSize);
    if (insn === undefined) throw new Error(`Cannot decode ${bytes}: more bytes expected`);
    cpu.codeBaseLo = cpu.s[Word.RIP] & -4096;
    cpu.codeBaseHi = cpu.s[Word.RIP + 1];
    cpu.budget = 100_000;
    const ripLo = cpu.s[Word.RIP];
    cpu.s[Word.RIP] = cpu.codeBaseLo + insn.next;
    try {
      insn.exec(cpu, insn);
      return NONE;
    } catch (error) {
      if (error !== GUEST_EXCEPTION) throw error;
      cpu.s[Word.RIP] = ripLo;
      return cpu.faultVector;
    }
  }

  /** The program is now at privilege level `cpl`. */
  setCpl(cpl: number): void {
    for (const seg of [Seg.CS, Seg.SS]) {
      const at = (State.SEGMENTS + seg * 16 + SegField.ATTRIBUTES) / 2;
      this.cpu.u16[at] = this.cpu.u16[at] & ~0x60 | cpl << 5;
    }
    updateModes(this.cpu);
  }

  /** A 64-bit register of the state, by its word. */
  get(word: number): bigint {
    return this.cpu.view.getBigUint64(word * 4, true);
  }
  set(word: number, value: bigint | number): void {
    this.cpu.view.setBigUint64(word * 4, BigInt.asUintN(64, BigInt(value)), true);
  }

  /** General register `index`. */
  gpr(index: number): bigint {
    return this.get(index * 2);
  }
  setGpr(index: number, value: bigint | number): void {
    this.set(index * 2, value);
  }

  /** WRMSR; the vector that it raises, or NONE. */
  wrmsr(msr: number, value: bigint | number): number {
    const bits = BigInt.asUintN(64, BigInt(value));
    this.setGpr(1, msr);
    this.setGpr(0, bits & 0xffff_ffffn);
    this.setGpr(2, bits >> 32n);
    return this.run("0f 30");
  }
  /** RDMSR; undefined when it raises #GP. */
  rdmsr(msr: number): bigint | undefined {
    this.setGpr(1, msr);
    if (this.run("0f 32") !== NONE) return undefined;
    return this.gpr(2) << 32n | this.gpr(0);
  }
}

function stateOf(mode: RigMode): CpuState {
  const gdt = { base: 0, limit: 0 };
  const selectors = { cs: 8, ds: 16 };
  switch (mode) {
    case "real":
      return realModeState({ cs: 0, ip: CODE_AT, ds: 0, ss: 0, sp: 0x8000 });
    case "flat32":
      return flat32State({ eip: CODE_AT, gdt, selectors });
    case "long64":
      return long64State({ rip: CODE_AT, cr3: TABLES, gdt, selectors });
  }
}
