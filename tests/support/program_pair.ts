/**
 * A small program of 64-bit ring-0 code, once interpreted and once translated, which must end alike:
 * registers, memory, exceptions and the count of instructions. The first 2 MiB are mapped by pages of
 * 4 KiB that a test can take away or send elsewhere; every exception's handler halts.
 */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { long64State } from "../../src/cpu/modes.ts";
import { CpuState, State, STATE_BYTES } from "../../src/cpu/state.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { CodeSize } from "../../src/engine/wasm/cpu.ts";
import { Decoder } from "../../src/engine/wasm/decode/decoder.ts";
import type { Insn } from "../../src/engine/wasm/insn.ts";
import type { WasmEngine, WasmEngineOptions } from "../../src/engine/wasm/wasm_engine.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { type RecordingBus, runToHalt, wasmEngine } from "./wasm_guest.ts";

/** Where things are. The stack grows down from its page's end. */
export const CODE_AT = 0x1000;
export const HANDLERS_AT = 0x3000;
export const STACK_AT = 0x9000;
export const DATA_AT = 0x2_0000;
const GDT_AT = 0x4000;
const IDT_AT = 0x5000;
const TABLES_AT = 0x10_0000;
const PAGE_TABLE_AT = TABLES_AT + 0x3000;
const VECTORS = 64;
const HLT = 0xf4;
/** Present, writable, user, accessed, dirty. */
const ENTRY = 0x67;
/** CR4: PAE, PGE, OSFXSR, OSXMMEXCPT. */
const CR4 = 0x6a0;

/** Bytes of hexadecimal text, of which each may have a comment behind `;`. */
export function code(...lines: readonly string[]): Uint8Array {
  const text = lines.map((line) => line.replace(/;.*/, "")).join(" ").trim();
  return Uint8Array.from(text.split(/\s+/), (byte) => parseInt(byte, 16));
}

/** Decodes 64-bit instructions that follow each other from an offset in a page on. */
export function decodeAll(
  bytes: Uint8Array,
  offset = 0,
  codeSize: CodeSize = CodeSize.BITS64,
): Insn[] {
  const decoder = new Decoder();
  const insns: Insn[] = [];
  for (let at = 0; at < bytes.length;) {
    const insn = decoder.decode(bytes, at, bytes.length, offset + at, codeSize);
    assert(insn !== undefined, `no instruction at ${at}`);
    insns.push(insn);
    at = insn.next - offset;
  }
  return insns;
}

/** What a test may choose. */
export interface ProgramOptions {
  readonly engine?: Partial<WasmEngineOptions>;
  /** Prepares registers and the like. */
  readonly state?: (state: CpuState) => void;
  /** Prepares memory. */
  readonly memory?: (memory: GuestMemory) => void;
  /** Prepares the engine. */
  readonly prepare?: (engine: WasmEngine, bus: RecordingBus) => void;
  /** Entries of a block after which it is translated; with 1, each block alone. */
  readonly threshold?: number;
  readonly budget?: number;
  /** Instructions that are run at a time. */
  readonly slice?: number;
}

/** How one of the two has ended. */
export class Side {
  readonly memory = GuestMemory.allocate(4 * 1024 ** 2);
  readonly engine: WasmEngine;
  readonly bus: RecordingBus;
  readonly state: CpuState;
  readonly exit: ExitCode;

  constructor(bytes: Uint8Array, options: ProgramOptions, translated: boolean) {
    const { memory } = this;
    const table = (at: number, to: number) => memory.writeU64(gpa(at), BigInt(to | ENTRY));
    table(TABLES_AT, TABLES_AT + 0x1000);
    table(TABLES_AT + 0x1000, TABLES_AT + 0x2000);
    table(TABLES_AT + 0x2000, PAGE_TABLE_AT);
    for (let page = 0; page < 512; page++) mapPage(memory, page * 4096, page * 4096);
    memory.writeU64(gpa(GDT_AT + 8), 0x00af_9b00_0000_ffffn);
    memory.writeU64(gpa(GDT_AT + 16), 0x00cf_9300_0000_ffffn);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = HANDLERS_AT + vector * 16;
      memory.writeU8(gpa(handler), HLT);
      memory.writeU64(gpa(IDT_AT + vector * 16), BigInt(handler) | 0x8e00_0008_0000n);
    }
    memory.write(gpa(CODE_AT), bytes);
    options.memory?.(memory);
    const gdt = { base: GDT_AT, limit: 0x17 };
    const first = long64State({
      rip: CODE_AT,
      cr3: TABLES_AT,
      gdt,
      selectors: { cs: 8, ds: 16 },
    });
    first.setTable(State.IDTR, IDT_AT, VECTORS * 16 - 1);
    first.set(State.CR4, CR4);
    first.setGpr(4, STACK_AT);
    options.state?.(first);
    const { threshold = 1 } = options;
    const jit = translated ? { jit: { threshold, maxBytes: 2 ** 26 } } : {};
    const { engine, bus } = wasmEngine(memory, first, { ...options.engine, ...jit });
    this.engine = engine;
    this.bus = bus;
    options.prepare?.(engine, bus);
    const budget = options.budget ?? 1_000_000;
    const slice = options.slice ?? budget;
    let ran = runToHalt(engine, slice);
    while (ran.code === ExitCode.BUDGET && engine.retired < budget) {
      ran = runToHalt(engine, Math.min(slice, budget - engine.retired));
    }
    this.exit = ran.code;
    this.state = ran.state;
  }

  /** Vector of the exception or interrupt in whose handler it has halted. */
  get vector(): number {
    return (Number(this.state.get(State.RIP)) - 1 - HANDLERS_AT) / 16;
  }

  get stats(): Record<string, number> {
    return this.engine.stats();
  }
}

/** Maps a page below 2 MiB to a frame; `flags` 0: it is missing. */
export function mapPage(memory: GuestMemory, page: number, frame: number, flags = ENTRY): void {
  memory.writeU64(gpa(PAGE_TABLE_AT + page / 4096 * 8), BigInt(flags === 0 ? 0 : frame | flags));
}

/** Runs a program on both, and compares how they end. */
export function runBoth(
  bytes: Uint8Array,
  options: ProgramOptions = {},
): { interpreted: Side; translated: Side } {
  const interpreted = new Side(bytes, options, false);
  const translated = new Side(bytes, options, true);
  assertEquals(translated.exit, interpreted.exit);
  assertEquals(translated.engine.retired, interpreted.engine.retired);
  for (let at = 0; at < STATE_BYTES; at += 8) {
    assertEquals(translated.state.get(at), interpreted.state.get(at), `state at ${at}`);
  }
  const ram = (side: Side) => new BigUint64Array(side.memory.wasm.buffer);
  const [actual, expected] = [ram(translated), ram(interpreted)];
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) {
      assertEquals(actual[i], expected[i], `memory at 0x${(i * 8).toString(16)}`);
    }
  }
  assertEquals(translated.bus.log, interpreted.bus.log);
  return { interpreted, translated };
}
