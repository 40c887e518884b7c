/**
 * Random programs, interpreted and translated: registers, memory, devices and instructions counted
 * must be the same. Many programs stand in memory at once and run in several states each, so that
 * most of them run as translated code, compiled in batches.
 */

import { gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import { Cr0, Cr4 } from "../../../src/cpu/modes.ts";
import { CpuState, Seg, State, STATE_BYTES } from "../../../src/cpu/state.ts";
import { ExitCode } from "../../../src/engine/engine.ts";
import type { WasmEngine } from "../../../src/engine/wasm/wasm_engine.ts";
import type { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { Random } from "../random.ts";
import { QuietApic, RecordingBus, wasmEngine } from "../wasm_guest.ts";
import { type Program, ProgramWriter } from "./code.ts";
import { bases, type Bits, buildImage, setBase, startState } from "./image.ts";
import {
  At,
  CODE_PAGES,
  Linear,
  RAM_BYTES,
  SLOT_BYTES,
  SLOT_SHIFT,
  SLOTS,
  TARGETS,
  TIMER,
  Variable,
} from "./layout.ts";

/** What is to be run. */
export interface FuzzOptions {
  readonly seed: number;
  readonly bits: Bits;
  /** Runs of programs. */
  readonly runs: number;
  /** States in which each program is run. */
  readonly states: number;
  /** Executions of a block after which it is translated. */
  readonly threshold: number;
  /** Programs write to their own code. */
  readonly modifying?: boolean;
}

/** What has been run. */
export interface FuzzResult {
  readonly runs: number;
  readonly instructions: number;
  /** The translator's counters, summed. */
  readonly stats: Readonly<Record<string, number>>;
  /** The first difference. */
  readonly difference: string | undefined;
}

/** Instructions of a run at most. */
const MAX_RUN = 160;
/** RFLAGS: the status flags and DF are drawn, IF is set as a rule. */
const STATUS = 0x8d5;
const IF = 0x200, DF = 0x400;

/** Numbers at the limits of operand sizes. */
const EDGES = [0n, 1n, -1n, 0x7fn, 0x80n, 0x7fffn, 0x8000n, 0x7fff_ffffn, 0x8000_0000n].flatMap(
  (n) => [n, n << 32n, n | ~0xffffn],
);

/** A timer that the test raises. */
class TimerApic extends QuietApic {
  override acknowledge(): number {
    if (!this.pending) return -1;
    this.pending = false;
    return TIMER;
  }
}

/** Devices that answer by what they have been asked, and remember all of it. */
class HashingBus extends RecordingBus {
  readonly apic = new TimerApic();
  override readonly localApics = [this.apic];
  hash = 0;

  #mix(value: number): number {
    return this.hash = Math.imul(this.hash ^ value, 0x0100_0193) + 1 | 0;
  }
  override readPort(port: number, size: number): number {
    return this.#mix(port * 8 + size) >>> 32 - size * 8;
  }
  override writePort(port: number, _size: number, value: number): void {
    this.#mix(port);
    this.#mix(value);
  }
  override readMmio(_vcpu: number, gpa: number, size: number, into: DataView, at: number): void {
    for (let i = 0; i < size; i++) into.setUint8(at + i, this.#mix(gpa + i) >>> 13);
  }
  override writeMmio(_vcpu: number, gpa: number, size: number, from: DataView, at: number): void {
    for (let i = 0; i < size; i++) {
      this.#mix(gpa + i);
      this.#mix(from.getUint8(at + i));
    }
  }
}

/** One side. */
class Side {
  readonly memory: GuestMemory;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly state = new CpuState();
  readonly stateWords = new Int32Array(this.state.view.buffer, 0, STATE_BYTES / 4);
  bus = new HashingBus();
  engine!: WasmEngine;
  retired = 0;

  constructor(bits: Bits) {
    this.memory = buildImage(bits);
    this.bytes = this.memory.view(gpa(0), RAM_BYTES);
    this.words = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, RAM_BYTES / 4);
  }

  /** A new engine, which knows nothing of any code. */
  renew(start: CpuState, threshold?: number): void {
    this.bus = new HashingBus();
    const jit = threshold === undefined ? undefined : { threshold, maxBytes: 2 ** 28 };
    this.engine = wasmEngine(this.memory, start, { bus: this.bus, jit }).engine;
  }

  run(start: CpuState, slices: readonly number[], limit: number): ExitCode {
    const { engine, bus, memory } = this;
    engine.vcpus[0].writeState(start);
    bus.hash = 0;
    bus.apic.pending = false;
    const before = engine.retired;
    let code: ExitCode = ExitCode.BUDGET;
    for (let i = 0; i < slices.length && limit > 0 && code === ExitCode.BUDGET; i++) {
      const budget = Math.min(Math.abs(slices[i]), limit);
      if (slices[i] < 0) { // with an interrupt at its beginning
        bus.apic.pending = true;
        engine.interrupt(0);
      }
      code = engine.run(budget);
      limit -= budget;
    }
    this.retired = engine.retired - before;
    engine.vcpus[0].readState(this.state);
    memory.takeWrites();
    return code;
  }
}

/** A program with what it starts from. */
interface Start {
  readonly state: CpuState;
  readonly slices: number[];
  readonly variables: BigInt64Array;
}

/** Runs programs until one differs. */
export function fuzzPrograms(options: FuzzOptions): FuzzResult {
  return new Fuzz(options).run();
}

class Fuzz {
  readonly #options: FuzzOptions;
  readonly #random: Random;
  readonly #reference: Side;
  readonly #tested: Side;
  readonly #writer: ProgramWriter;
  readonly #pristine: Uint8Array;
  readonly #pristineWords: Int32Array;
  readonly #stats: Record<string, number> = {};
  #instructions = 0;

  constructor(options: FuzzOptions) {
    const { seed, bits } = options;
    this.#options = options;
    this.#random = new Random(seed);
    this.#reference = new Side(bits);
    this.#tested = new Side(bits);
    this.#writer = new ProgramWriter(this.#random, bits);
    this.#pristine = this.#reference.bytes.slice();
    this.#pristineWords = new Int32Array(this.#pristine.buffer);
  }

  run(): FuzzResult {
    const { runs } = this.#options;
    let done = 0;
    let difference: string | undefined;
    for (let batch = 0; done < runs && difference === undefined; batch++) {
      const programs = this.#write();
      [done, difference] = this.#batch(batch, programs, done);
      for (const [name, value] of Object.entries(this.#tested.engine.stats())) {
        this.#stats[name] = (this.#stats[name] ?? 0) + value;
      }
    }
    return { runs: done, instructions: this.#instructions, stats: this.#stats, difference };
  }

  /** Fills the code with programs and the data with numbers. */
  #write(): Program[] {
    const programs: Program[] = [];
    const pristine = this.#pristine;
    pristine.fill(0xf4, At.CODE, At.CODE + CODE_PAGES * PAGE_SIZE);
    for (let i = 0; i < SLOTS; i++) {
      const offset = slotOffset(i);
      const program = this.#writer.make(Linear.CODE + offset);
      pristine.set(program.code, At.CODE + offset);
      programs.push(program);
    }
    const data = new BigInt64Array(pristine.buffer, At.DATA, (At.CODE - At.DATA) / 8);
    for (let n = 0; n < data.length; n++) data[n] = this.#number();
    for (const side of [this.#reference, this.#tested]) side.bytes.set(pristine);
    const start = startState(this.#options.bits, 0);
    this.#reference.renew(start);
    this.#tested.renew(start, this.#options.threshold);
    return programs;
  }

  #batch(
    batch: number,
    programs: readonly Program[],
    done: number,
  ): [done: number, difference: string | undefined] {
    const { runs, states } = this.#options;
    for (let state = 0; state < states && done < runs; state++) {
      for (let i = 0; i < programs.length && done < runs; i++) {
        const start = this.#draw(programs[i], i);
        done++;
        if (this.#same(start, MAX_RUN)) {
          this.#instructions += this.#reference.retired;
          continue;
        }
        return [done, `${batch}.${state}/${i}: ${this.#explain(programs[i], i, start)}`];
      }
    }
    return [done, undefined];
  }

  /** Registers and the rest of a program's start. */
  #draw(program: Program, i: number): Start {
    const r = this.#random;
    const { bits, modifying } = this.#options;
    const ring = r.oneIn(bits === 64 ? 3 : 6) ? 0 : 3;
    const state = startState(bits, ring);
    const base = r.pick(bases(bits));
    const code = base + BigInt(Linear.CODE + slotOffset(i));
    const address = (block: number) => code + BigInt(program.blocks[block]);
    const any = () => address(r.below(program.blocks.length));
    const own = Linear.CODE_ALIAS + slotOffset(i) + r.below(SLOT_BYTES);
    const pointer = () => base + BigInt(modifying === true && r.oneIn(2) ? own : this.#pointer());
    for (let n = 0; n < 16; n++) state.setGpr(n, BigInt.asUintN(bits, this.#number()));
    for (const n of [5, 6, 7, 14]) state.setGpr(n, BigInt.asUintN(bits, pointer()));
    state.setGpr(1, r.below(12));
    const top = base + BigInt(Linear.STACK + 0x1000 + r.below(4) * 64 + (r.oneIn(12) ? 4 : 0));
    state.setGpr(4, top);
    state.set(State.RIP, address(0));
    const status = r.u32() & STATUS | 2 | (r.oneIn(8) ? DF : 0) | (r.oneIn(6) ? 0 : IF);
    state.set(State.RFLAGS, status);
    // SSE instructions raise #NM, or are none.
    if (r.oneIn(16)) state.set(State.CR0, state.get(State.CR0) | BigInt(Cr0.TS));
    if (r.oneIn(16)) state.set(State.CR4, state.get(State.CR4) & ~BigInt(Cr4.OSFXSR));
    setBase(state, Seg.FS, ring, bits === 64 ? base + BigInt(Linear.DATA + 0x100) : 0x10_0100n);
    setBase(state, Seg.GS, ring, base + BigInt(Linear.DATA + 0x900));
    const variables = new BigInt64Array(20);
    for (let n = 0; n < TARGETS; n++) variables[Variable.TARGETS / 8 + n] = any();
    variables[Variable.RSP / 8] = top;
    variables[Variable.RSI / 8] = base + BigInt(Linear.DATA + 64 + r.below(0x1000));
    variables[Variable.RDI / 8] = base + BigInt(Linear.ALIAS + 64 + r.below(0x1000));
    return { state, slices: this.#slices(), variables };
  }

  #number(): bigint {
    const r = this.#random;
    switch (r.below(5)) {
      case 0:
        return BigInt(r.below(16));
      case 3:
        return r.pick(EDGES);
      case 1:
        return BigInt(r.u32() >> r.below(32));
      case 2:
        return 1n << BigInt(r.below(64));
      default:
        return r.u64();
    }
  }

  /** An address in data; now and then one that is not as others. */
  #pointer(): number {
    const r = this.#random;
    switch (r.below(10)) {
      case 0:
        return r.pick([
          Linear.READ_ONLY,
          Linear.ABSENT,
          Linear.SUPERVISOR,
          Linear.DEVICE,
        ]) + r.below(0x1000);
      case 1:
      case 2: // where pages meet
        return r.pick([0x1000, 0x1000, 0x2000, 0x4000]) + Linear.DATA - r.below(24);
      default:
        return r.pick([Linear.DATA, Linear.ALIAS]) + 128 + r.below(0x1f00);
    }
  }

  /** Lengths of the slices, negative where an interrupt comes first. */
  #slices(): number[] {
    const r = this.#random;
    const slices: number[] = [];
    for (let left = MAX_RUN; left > 0;) {
      const length = Math.min(left, r.oneIn(3) ? 1 + r.below(8) : 1 + r.below(MAX_RUN));
      slices.push(r.oneIn(4) ? -length : length);
      left -= length;
    }
    return slices;
  }

  /** Runs on both sides for `limit` instructions; true when nothing differs. */
  #same(start: Start, limit: number): boolean {
    const a = this.#reference, b = this.#tested;
    const codes = [a, b].map((side) => {
      this.#restore(side, start);
      return side.run(start.state, start.slices, limit);
    });
    if (codes[0] !== codes[1] || a.retired !== b.retired || a.bus.hash !== b.bus.hash) return false;
    for (let n = 0; n < STATE_BYTES / 4; n++) if (a.stateWords[n] !== b.stateWords[n]) return false;
    return firstDifference(a.words, b.words) < 0;
  }

  #restore(side: Side, { variables }: Start): void {
    side.bytes.set(this.#pristine.subarray(0, At.HANDLERS));
    side.bytes.set(this.#pristine.subarray(At.VARIABLES, At.CODE), At.VARIABLES);
    side.bytes.set(new Uint8Array(variables.buffer), At.VARIABLES);
    // What has been executed must be told of; most of it has not changed.
    this.#restoreCode(side, At.HANDLERS);
    for (let page = 0; page < CODE_PAGES; page++) {
      this.#restoreCode(side, At.CODE + page * PAGE_SIZE);
    }
  }

  #restoreCode(side: Side, at: number): void {
    const end = at + PAGE_SIZE;
    if (firstDifference(side.words, this.#pristineWords, at / 4, end / 4) < 0) return;
    side.bytes.set(this.#pristine.subarray(at, end), at);
    side.engine.guest.written(at / PAGE_SIZE, 0, PAGE_SIZE);
  }

  /** The shortest run that differs, and how. */
  #explain(program: Program, i: number, start: Start): string {
    const { code, blocks } = program;
    let limit = 1;
    while (limit < MAX_RUN && this.#same(start, limit)) limit++;
    const lines = [
      `after ${limit} instructions, RIP before ${this.#ripAfter(start, limit - 1)}`,
      `code at ${(Linear.CODE + slotOffset(i)).toString(16)}: ${
        [...code].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
      }`,
      `blocks ${blocks.map((offset) => offset.toString(16))}; slices ${start.slices}`,
    ];
    if (this.#same(start, limit)) lines.push("it does not differ once more");
    const a = this.#reference, b = this.#tested;
    lines.push(`retired ${a.retired} ${b.retired}; devices ${a.bus.hash} ${b.bus.hash}`);
    for (let n = 0, shown = 0; n < STATE_BYTES / 4 && shown < 12; n++) {
      if (a.stateWords[n] === b.stateWords[n]) continue;
      lines.push(`state ${n * 4}: ${hex(a.stateWords[n])} but ${hex(b.stateWords[n])}`);
      shown++;
    }
    for (let n = 0, shown = 0; n < RAM_BYTES / 4 && shown < 12; n++) {
      if (a.words[n] === b.words[n]) continue;
      lines.push(`[${hex(n * 4)}]: ${hex(a.words[n])} but ${hex(b.words[n])}`);
      shown++;
    }
    return lines.join("\n");
  }

  #ripAfter(start: Start, limit: number): string {
    if (limit > 0) this.#same(start, limit);
    const { state } = limit > 0 ? this.#reference : start;
    return state.get(State.RIP).toString(16);
  }
}

function slotOffset(i: number): number {
  return SLOT_SHIFT + i * SLOT_BYTES;
}

function firstDifference(a: Int32Array, b: Int32Array, from = 0, to = a.length): number {
  for (let n = from; n < to; n++) if (a[n] !== b[n]) return n;
  return -1;
}

function hex(value: number): string {
  return (value >>> 0).toString(16);
}
