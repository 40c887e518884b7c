/**
 * Random guests for the wasm engine, in a whole machine: their code, tables and start come of a seed.
 * Exceptions and interrupts lead, as long as the guest has not destroyed that, to a handler that
 * jumps anywhere in the program, so that most guests keep going.
 */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { Cr0, Cr4, Efer, flat32State, long64State, realModeState } from "../../src/cpu/modes.ts";
import { CpuState, Seg, State } from "../../src/cpu/state.ts";
import type { ExitCode } from "../../src/engine/engine.ts";
import type { JitOptions } from "../../src/engine/wasm/jit/translator.ts";
import { WasmEngine, type WasmEngineOptions } from "../../src/engine/wasm/wasm_engine.ts";
import { VirtualClock } from "../../src/machine/clock.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { createSignals, raise, Signal } from "../../src/machine/signals.ts";
import { COUNTER_BYTES, readCounters } from "../../src/machine/stats.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { type CodeBits, FOCUS, type Focus, FuzzCode } from "./fuzz_code.ts";
import { Random, seed } from "./random.ts";

const RAM = 0x40_0000;
const ROM = 0x1_0000;
/** Where things are in RAM; segment `SELECTORS` are at GDT. */
const At = {
  GDT: 0x1000,
  IDT: 0x2000,
  TSS: 0x3000,
  SEED: 0x3f00,
  HANDLER: 0x4000,
  /** The handler of real mode. */
  HANDLER16: 0x4100,
  /** Page tables, one after the other. */
  TABLES: 0x1_0000,
  TABLES_END: 0x1_8000,
  STACK: 0x8_f000,
  CODE: 0x10_0000,
  CODE_END: 0x12_0000,
} as const;
const CODE_SELECTOR = 0x8;
const DATA_SELECTOR = 0x10;
const PLACES: readonly number[] = [
  ...[0, At.GDT, At.IDT, At.TSS, At.TABLES, At.TABLES, At.TABLES + 0x1000, At.TABLES + 0x2000],
  ...[At.STACK, At.CODE, At.CODE, At.CODE_END, RAM - 8, RAM, 0xa_0000, 0xc000_0000],
  ...[0xfee0_0000, 0xfec0_0000, 0xffff_0000, 0xffff_fff0],
];

/** How vCPU 0 starts. */
export const STARTS = [
  "reset",
  "real",
  "protected",
  "paging32",
  "pae",
  "long",
  "long5",
] as const;
export type Start = typeof STARTS[number];

/** What a random guest is. */
export interface FuzzPlan {
  readonly start: Start;
  readonly focus: Focus;
  readonly mmu: "tdp" | "shadow";
  readonly cpus: number;
}

/** What became of a random guest. */
export interface FuzzReport {
  readonly plan: FuzzPlan;
  readonly instructions: number;
  /** Times that it was started: each time that it had ended itself, up to a bound. */
  readonly lives: number;
  readonly last: MachineOutcome;
  /** The longest that one call of the engine kept this thread, in milliseconds. */
  readonly slowestMs: number;
  /** Guests end in a state that can be printed: the counters and the engine's own. */
  readonly stats: string;
  /** Of RAM and registers at the end of each life. */
  readonly digest: number;
}

/** Guests that end themselves are started again so often, each time with other code. */
const MAX_LIVES = 50;

/** A guest that waits so often in a row without an instruction between waits for what never comes. */
const MAX_WAITS = 10_000;

/** An engine that notes how long it keeps its caller, and stops the machine after a while. */
class WatchedEngine extends WasmEngine {
  slowestMs = 0;
  readonly #signals: Int32Array;
  readonly #limit: number;
  #waits = 0;

  constructor(options: WasmEngineOptions, signals: Int32Array, limit: number) {
    super(options);
    this.#signals = signals;
    this.#limit = limit;
  }

  override run(budget: number): ExitCode {
    const { retired } = this;
    const startMs = performance.now();
    const code = super.run(budget);
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
    this.#waits = this.retired === retired ? this.#waits + 1 : 0;
    if (this.retired >= this.#limit || this.#waits === MAX_WAITS) raise(this.#signals, Signal.STOP);
    return code;
  }
}

/** A clock without anybody to wait for: a guest that waits for input is stopped. */
class FuzzClock extends VirtualClock {
  override idle(deadlineNs: number, signals: Int32Array): void {
    if (deadlineNs === Infinity) return void raise(signals, Signal.STOP);
    this.input(); // it never waits at the host's pace
    super.idle(deadlineNs, signals);
  }
}

/** Random guests one after the other, in the same memory. */
export class FuzzGuests {
  readonly #memory = GuestMemory.allocate(RAM, ROM);

  /** Runs the guest of `seed` for so many instructions, translated when `jit` is given. */
  run(seed: number, instructions: number, jit?: JitOptions): FuzzReport {
    const random = new Random(seed);
    const plan: FuzzPlan = {
      start: random.pick(STARTS),
      focus: random.pick(FOCUS),
      mmu: random.oneIn(3) ? "shadow" : "tdp",
      cpus: random.pick([1, 1, 1, 2, 4]),
    };
    let left = instructions;
    let slowestMs = 0, digest = 0;
    for (let lives = 1;; lives++) {
      const life = this.#live(random, plan, left, jit);
      digest = Math.imul(digest, 31) + life.digest | 0;
      left -= life.instructions;
      slowestMs = Math.max(slowestMs, life.slowestMs);
      if (left <= 0 || lives === MAX_LIVES) {
        return { ...life, plan, instructions: instructions - left, lives, slowestMs, digest };
      }
    }
  }

  #live(
    random: Random,
    plan: FuzzPlan,
    limit: number,
    jit: JitOptions | undefined,
  ): Omit<FuzzReport, "plan" | "lives"> {
    const memory = this.#memory;
    const signals = createSignals();
    const counters = new Float64Array(COUNTER_BYTES / 8);
    const clock = new FuzzClock();
    let engine: WatchedEngine | undefined;
    memory.fill(gpa(0), RAM, 0);
    using machine = new Machine({
      memory,
      cpus: plan.cpus,
      engine: {
        irqchip: "machine",
        create: (bus) => {
          const { cpus, mmu } = plan;
          const options = { memory, cpus, bus, clock, mmu, jit };
          return engine = new WatchedEngine(options, signals, limit);
        },
      },
      source: { initrds: [], append: "" },
      firmware: { name: "fuzz", bytes: noise(random, ROM) },
      console: { input: { take: () => -1 }, output: { put: () => {} } },
      debugOutput: { put: () => {} },
      debugExit: true,
      clock,
      signals,
      counters,
      setAlarm: () => {},
    });
    const state = prepare(memory, random, plan);
    if (state !== undefined) machine.engine.vcpus[0].writeState(state);
    const last = machine.run();
    const after = new CpuState();
    let digest = digestOf(memory.view(gpa(0), RAM));
    for (const vcpu of machine.engine.vcpus) {
      vcpu.readState(after);
      digest = digest ^ digestOf(new Uint8Array(after.view.buffer)) + vcpu.index;
    }
    const { retired, slowestMs } = engine!;
    const stats = JSON.stringify({ ...readCounters(counters), ...engine!.stats() });
    return { instructions: retired, last, slowestMs, stats, digest };
  }
}

/** FNV-1a, by words. */
function digestOf(bytes: Uint8Array): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  let hash = 0x811c_9dc5 | 0;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i], 0x0100_0193);
  return hash;
}

/** Fills RAM; gives the state to start in, if it is not the one after reset. */
function prepare(memory: GuestMemory, random: Random, plan: FuzzPlan): CpuState | undefined {
  const { start, focus } = plan;
  const bits: CodeBits = start.startsWith("long")
    ? 64
    : start === "reset" || start === "real"
    ? 16
    : 32;
  const code = new FuzzCode(random, bits, PLACES);
  const length = At.CODE_END - At.CODE;
  // What is not written again below is what guests reach by stray jumps.
  memory.write(gpa(At.TABLES_END), noise(random, At.STACK - At.TABLES_END));
  const program = code.program(length, focus);
  memory.write(gpa(At.CODE), program);
  if (bits === 16) { // several times, since jumps go anywhere below 640 KiB
    for (let at: number = At.TABLES_END; at + length <= At.STACK; at += length) {
      memory.write(gpa(at), program);
    }
  }
  memory.writeU32(gpa(At.SEED), random.u32());
  memory.write(gpa(At.HANDLER), HANDLER);
  memory.write(gpa(At.HANDLER16), HANDLER16);
  for (let vector = 0; vector < 256; vector++) memory.writeU32(gpa(vector * 4), At.HANDLER16);
  writeTables(memory, bits, random.oneIn(4) ? random : undefined);
  switch (start) {
    case "reset":
      return undefined;
    case "real": {
      const state = realModeState({ cs: 0x1800, ip: 0, ds: 0, ss: 0x8000, sp: 0xf000 });
      if (random.oneIn(2)) { // as after a visit to protected mode
        const flat = { base: 0, limit: 0xffff_ffff, selector: 0, attributes: 0x93 };
        for (const seg of [Seg.ES, Seg.DS]) state.setSegment(seg, flat);
      }
      return state;
    }
    case "long":
    case "long5":
      return long64(memory, random, start === "long5");
    default:
      return protected32(memory, random, start);
  }
}

/** `length` random bytes, a multiple of 4. */
function noise(random: Random, length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(length / 4);
  for (let i = 0; i < words.length; i++) words[i] = random.u32();
  return new Uint8Array(words.buffer);
}

/** GDT, IDT, TSS; some gates are nonsense where `random` is given. */
function writeTables(memory: GuestMemory, bits: CodeBits, random: Random | undefined): void {
  const codeSegment = bits === 64 ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn;
  const tss = BigInt(At.TSS) << 16n | 0x0000_8900_0000_0fffn;
  const descriptors = [0n, codeSegment, 0x00cf_9300_0000_ffffn, tss, 0n, 0x00cf_fb00_0000_ffffn];
  descriptors.forEach((entry, i) => memory.writeU64(gpa(At.GDT + i * 8), entry));
  memory.writeU64(gpa(At.TSS + 4), At.STACK);
  memory.writeU32(gpa(At.TSS + 8), DATA_SELECTOR);
  const size = bits === 64 ? 16 : 8;
  for (let vector = 0; vector < 256; vector++) {
    const at = gpa(At.IDT + vector * size);
    const kind = random?.oneIn(8) ? random.u32() & 0xffe0 : 0x8e00;
    memory.writeU32(at, CODE_SELECTOR << 16 | At.HANDLER);
    memory.writeU32(gpa(at + 4), kind);
    if (random?.oneIn(32)) memory.writeU64(at, random.u64());
  }
}

function protected32(memory: GuestMemory, random: Random, start: Start): CpuState {
  const gdt = { base: At.GDT, limit: 0x2f };
  const selectors = { cs: CODE_SELECTOR, ds: DATA_SELECTOR };
  const state = flat32State({ eip: At.CODE, gdt, selectors });
  state.setTable(State.IDTR, At.IDT, 0x7ff);
  state.setGpr(4, At.STACK);
  if (start === "protected") return state;
  state.set(State.CR3, At.TABLES);
  state.set(State.CR0, state.get(State.CR0) | BigInt(Cr0.PG));
  if (start === "pae") {
    state.set(State.CR4, Cr4.PAE);
    for (let i = 0; i < 4; i++) {
      const table = At.TABLES + 0x1000 * (i + 1);
      memory.writeU64(gpa(At.TABLES + i * 8), table | 1);
      fillTable(
        memory,
        random,
        table,
        512,
        (entry) => BigInt((i * 512 + entry) * 0x20_0000 | 0x83) & 0xffff_ffffn,
      );
    }
    if (random.oneIn(2)) state.set(State.EFER, Efer.NXE);
  } else {
    state.set(State.CR4, Cr4.PSE);
    for (let i = 0; i < 1024; i++) {
      memory.writeU32(gpa(At.TABLES + i * 4), (i * 0x40_0000 | 0x83) >>> 0);
      if (i > 1 && random.oneIn(4)) memory.writeU32(gpa(At.TABLES + i * 4), random.u32());
    }
  }
  return state;
}

function long64(memory: GuestMemory, random: Random, five: boolean): CpuState {
  const gdt = { base: At.GDT, limit: 0x2f };
  const selectors = { cs: CODE_SELECTOR, ds: DATA_SELECTOR };
  const state = long64State({ rip: At.CODE, cr3: At.TABLES, gdt, selectors });
  state.setTable(State.IDTR, At.IDT, 0xfff);
  state.setGpr(4, At.STACK);
  let table: number = At.TABLES;
  for (let level = five ? 5 : 4; level > 2; level--, table += 0x1000) {
    const next = BigInt(table + 0x1000 | 0x7);
    fillTable(memory, random, table, 512, (entry) => entry === 0 ? next : 0n);
  }
  // The first gibibyte, by 2 MiB pages; the one with the APICs, by a 1 GiB page.
  fillTable(memory, random, table, 512, (entry) => BigInt(entry * 0x20_0000 | 0x87));
  memory.writeU64(gpa(table - 0x1000 + 24), 0xc000_0087n);
  if (five) state.set(State.CR4, Cr4.PAE | Cr4.LA57);
  if (random.oneIn(2)) state.set(State.EFER, Efer.LME | Efer.LMA | Efer.NXE | Efer.SCE);
  return state;
}

/** Entries of a table; all but the first are nonsense now and then. */
function fillTable(
  memory: GuestMemory,
  random: Random,
  table: number,
  count: number,
  entryAt: (index: number) => bigint,
): void {
  const rate = random.pick([2, 8, 1000]);
  for (let i = 0; i < count; i++) {
    const nonsense = random.oneIn(2)
      ? random.u64()
      : BigInt(At.TABLES + random.below(8) * 0x1000 | random.below(0x1000));
    memory.writeU64(gpa(table + i * 8), i > 1 && random.oneIn(rate) ? nonsense : entryAt(i));
  }
}

/** Jumps to a random byte of the program, with a fresh stack: 32 and 64-bit code alike. */
const HANDLER = Uint8Array.from([
  ...[0x8b, 0x04, 0x25, ...word(At.SEED)], // mov eax, [SEED]
  ...[0x69, 0xc0, ...word(1664525)], // imul eax, eax, 1664525
  ...[0x05, ...word(1013904223)], // add eax, 1013904223
  ...[0x89, 0x04, 0x25, ...word(At.SEED)], // mov [SEED], eax
  ...[0xbc, ...word(At.STACK)], // mov esp, STACK
  ...[0xc1, 0xe8, 8], // shr eax, 8
  ...[0x25, ...word(At.CODE_END - At.CODE - 1)], // and eax, …
  ...[0x05, ...word(At.CODE)], // add eax, CODE
  ...[0xff, 0xe0], // jmp eax
]);

/** The same for real mode: to anywhere in the lower 320 KiB. */
const HANDLER16 = Uint8Array.from([
  ...[0x2e, 0x66, 0xa1, At.SEED & 255, At.SEED >> 8], // mov eax, cs:[SEED]
  ...[0x66, 0x69, 0xc0, ...word(1664525)],
  ...[0x66, 0x05, ...word(1013904223)],
  ...[0x2e, 0x66, 0xa3, At.SEED & 255, At.SEED >> 8], // mov cs:[SEED], eax
  ...[0xbc, 0x00, 0xf0], // mov sp, 0xf000
  ...[0x66, 0xc1, 0xe8, 2], // shr eax, 2
  ...[0x66, 0x50, 0xcb], // push eax; retf
]);

function word(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}

/** The longest that a call of the engine may keep its thread, in one of so many runs. */
const STALL_MS = 1000;
const RUNS = 3;

/**
 * Runs the guests of the seeds `first` to `last`, or the one of DENOVISOR_SEED, for so many
 * instructions each.
 */
export function checkRandomGuests(first: number, last: number, instructions: number): void {
  const guests = new FuzzGuests();
  const given = Deno.env.get("DENOVISOR_SEED");
  if (given !== undefined) first = last = seed(1);
  for (let current = first; current <= last; current++) {
    const which = `DENOVISOR_SEED=${current}`;
    let report: FuzzReport;
    try {
      report = guests.run(current, instructions);
      // The guest does the same again: a stall of its own making comes back, one of the host does not.
      for (let run = 1; report.slowestMs >= STALL_MS && run < RUNS; run++) {
        report = guests.run(current, instructions);
      }
    } catch (error) {
      throw new Error(which, { cause: error });
    }
    const what = `${which}: ${JSON.stringify(report)}`;
    assert(report.slowestMs < STALL_MS, what);
    assert(report.instructions > 0 && JSON.parse(report.stats).instructions > 0, what);
    assert(report.last.kind !== "failed", what);
  }
}

/** Runs guests interpreted and translated: they must end alike, and translated code must have run. */
export function checkTranslatedGuests(count: number, instructions: number, jit: JitOptions): void {
  const guests = new FuzzGuests();
  let entries = 0;
  const given = Deno.env.get("DENOVISOR_SEED");
  const first = given === undefined ? 1 : seed(1);
  const last = given === undefined ? count : first;
  for (let current = first; current <= last; current++) {
    const which = `DENOVISOR_SEED=${current}`;
    const interpreted = guests.run(current, instructions);
    const translated = guests.run(current, instructions, jit);
    entries += JSON.parse(translated.stats).jit_entries;
    assertEquals(outcome(translated), outcome(interpreted), which);
  }
  assert(entries > (last - first + 1) * LEAST_ENTRIES, `only ${entries} entries`);
}
/** Entries into translated code by a random guest. */
const LEAST_ENTRIES = 100;

function outcome({ plan, instructions, lives, last, digest }: FuzzReport) {
  return { plan, instructions, lives, last, digest };
}
