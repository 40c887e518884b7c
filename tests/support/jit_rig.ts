/** One instruction of 64-bit code, interpreted and translated, from the same random states. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { long64State } from "../../src/cpu/modes.ts";
import { type CpuState, State, STATE_BYTES } from "../../src/cpu/state.ts";
import { CodeSize } from "../../src/engine/wasm/cpu.ts";
import { Decoder } from "../../src/engine/wasm/decode/decoder.ts";
import type { Insn } from "../../src/engine/wasm/insn.ts";
import { isBranch } from "../../src/engine/wasm/jit/emit/branch.ts";
import { emissionOf } from "../../src/engine/wasm/jit/emit/table.ts";
import type { WasmEngine } from "../../src/engine/wasm/wasm_engine.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import type { Random } from "./random.ts";
import { runToHalt, wasmEngine } from "./wasm_guest.ts";

/** Where things are in the guest: code, exception handlers, tables, stack, data. */
const CODE_AT = 0x1000;
const HANDLERS_AT = 0x3000;
const GDT_AT = 0x4000;
const IDT_AT = 0x5000;
const STACK_AT = 0x8000;
const STACK_BYTES = 256;
const TABLES_AT = 0x10_0000;
/** Two pages of data; the next address that is not mapped is 2 MiB. */
export const DATA_AT = 0x2_0000;
const DATA_BYTES = 0x2000;
/** Different contents of them: they take long to make. */
const PATTERNS = 8;
const VECTORS = 32;
const HLT = 0xf4;
/** TEST RBX, RBX: nobody sees the flags before. */
const TEST = "48 85 db";

/** Offset in the XSAVE area: which of its parts count (SDM 1 §13.4.2). */
const XSTATE_BV = 512;
/** Instructions at most. */
const BUDGET = 10_000;
/** CR4: PAE, OSFXSR, OSXMMEXCPT. */
const CR4 = 0x620;
/** Random MXCSRs among: the default, with PE, single exceptions unmasked, rounding, FTZ and DAZ. */
const MXCSRS = [0x1f80, 0x1fa0, 0x1f80, 0x1fa0, 0x1fbf, 0x1e80, 0x0f80, 0x1f20, 0x5f80, 0x9fa0];
const MORE_MXCSRS = [0x1fc0, 0x3fa0, 0x7fa0, 0x1d80, 0x1b80, 0x1780];

/** A guest whose first instruction is under test. */
class Side {
  readonly memory = GuestMemory.allocate(4 * 1024 ** 2);
  readonly engine: WasmEngine;

  constructor(code: Uint8Array, translated: boolean) {
    const { memory } = this;
    memory.writeU64(gpa(TABLES_AT), BigInt(TABLES_AT + 0x1000 | 7));
    memory.writeU64(gpa(TABLES_AT + 0x1000), BigInt(TABLES_AT + 0x2000 | 7));
    memory.writeU64(gpa(TABLES_AT + 0x2000), 0x87n); // 2 MiB
    memory.writeU64(gpa(GDT_AT + 8), 0x00af_9b00_0000_ffffn);
    memory.writeU64(gpa(GDT_AT + 16), 0x00cf_9300_0000_ffffn);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = HANDLERS_AT + vector * 16;
      memory.writeU8(gpa(handler), HLT);
      memory.writeU64(gpa(IDT_AT + vector * 16), BigInt(handler) | 0x8e00_0008_0000n);
    }
    code.forEach((byte, i) => memory.writeU8(gpa(CODE_AT + i), byte));
    const jit = translated ? { jit: { threshold: 1, maxBytes: 2 ** 28 } } : {};
    this.engine = wasmEngine(memory, initialState(), jit).engine;
  }

  /** Runs from a state, with these data; the state, then data and stack. */
  run(state: CpuState, data: Uint8Array, budget: number): Uint8Array {
    const { engine, memory } = this;
    memory.write(gpa(DATA_AT), data);
    engine.vcpus[0].writeState(state);
    const { code, state: after } = runToHalt(engine, budget);
    const out = new Uint8Array(STATE_BYTES + DATA_BYTES + STACK_BYTES + 1);
    out[out.length - 1] = code;
    out.set(new Uint8Array(after.view.buffer, after.view.byteOffset, STATE_BYTES));
    out.set(memory.view(gpa(DATA_AT), DATA_BYTES), STATE_BYTES);
    out.set(memory.view(gpa(STACK_AT - STACK_BYTES), STACK_BYTES), STATE_BYTES + DATA_BYTES);
    return out;
  }
}

/** See above. */
export class JitRig {
  readonly #interpreted: Side;
  readonly #translated: Side;
  readonly #bytes: string;
  readonly #data: Uint8Array[] = [];

  /** @param bytes The instruction, hexadecimal. */
  constructor(bytes: string, seesFlags = true) {
    this.#bytes = bytes;
    const insn = decode(bytes);
    assert(isBranch(insn, true) || emissionOf(insn, true) !== undefined, `${bytes} is interpreted`);
    const code = bytesOf(seesFlags ? bytes : `${bytes} ${TEST}`);
    const halting = Uint8Array.from([...code, HLT]);
    this.#interpreted = new Side(halting, false);
    this.#translated = new Side(halting, true);
  }

  /** Both must do the same from a random state. `change` may prepare it further. */
  check(random: Random, change: (state: CpuState, data: Uint8Array) => void = () => {}): void {
    const state = randomState(random);
    if (this.#data.length < PATTERNS) this.#data.push(randomData(random));
    const data = random.pick(this.#data);
    change(state, data);
    const budget = random.oneIn(8) ? 1 + random.below(100) : BUDGET;
    const expected = this.#interpreted.run(state, data, budget);
    const actual = this.#translated.run(state, data, budget);
    assertEquals(this.#translated.engine.retired, this.#interpreted.engine.retired);
    const at = expected.findIndex((byte, i) => byte !== actual[i]) & ~7;
    if (at < 0) return;
    const part = (bytes: Uint8Array) => hexOf(bytes.subarray(at, at + 8));
    assertEquals(
      `${this.#bytes}: ${part(actual)} at ${at}`,
      `${this.#bytes}: ${part(expected)} at ${at}`,
    );
  }

  /** Instructions that translated code has left to the interpreter. */
  get bails(): number {
    return this.#translated.engine.stats().jit_bails;
  }
}

function decode(bytes: string): Insn {
  const code = bytesOf(bytes);
  const insn = new Decoder().decode(code, 0, code.length, 0, CodeSize.BITS64);
  assert(insn !== undefined);
  return insn;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text.split(" "), (byte) => parseInt(byte, 16));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function initialState(): CpuState {
  const gdt = { base: GDT_AT, limit: 0x17 };
  const state = long64State({ rip: CODE_AT, cr3: TABLES_AT, gdt, selectors: { cs: 8, ds: 16 } });
  state.setTable(State.IDTR, IDT_AT, VECTORS * 16 - 1);
  state.set(State.CR4, CR4);
  state.set(State.XSAVE + XSTATE_BV, 2); // XMM registers are not as after reset
  return state;
}

function randomState(random: Random): CpuState {
  const state = initialState();
  for (let i = 0; i < 16; i++) state.setGpr(i, randomInteger(random));
  state.setGpr(4, STACK_AT);
  for (const reg of [6, 7]) state.setGpr(reg, randomAddress(random));
  state.set(State.RFLAGS, 2 | random.u32() & 0xcd5); // DF among the status flags
  const more = random.oneIn(8);
  state.view.setUint32(State.XSAVE + 24, random.pick(more ? MORE_MXCSRS : MXCSRS), true);
  const kind = random.below(5);
  for (let i = 0; i < 32; i++) state.set(State.XSAVE + 160 + 8 * i, randomLane(random, kind));
  return state;
}

function randomInteger(random: Random): bigint {
  const value = random.u64();
  const shift = BigInt(random.below(64));
  return random.pick([value, value >> shift, -(value >> shift), 0n, -1n, 1n << shift, 5n]);
}

/** Mostly aligned and inside; across pages, at the end of what is mapped, not canonical. */
function randomAddress(random: Random): bigint {
  const inside = DATA_AT + 256 + random.below(200) * 16;
  const address = random.pick([inside, inside, inside, inside + random.below(16)]);
  const rare = random.below(40);
  if (rare === 0) return BigInt(DATA_AT + 4096 - 1 - random.below(16));
  if (rare === 1) return BigInt(0x20_0000 - random.below(20));
  if (rare === 2) return (1n << 47n) - BigInt(random.below(16));
  return BigInt(address);
}

/** 64 bits of a vector: of one kind all over, so that operands fit each other. */
function randomLane(random: Random, kind: number): bigint {
  const f64 = (value: number) => new BigUint64Array(new Float64Array([value]).buffer)[0];
  const f32 = () => BigInt(new Uint32Array(new Float32Array([number()]).buffer)[0]);
  const number = () =>
    random.pick([
      random.below(1000) - 500,
      (random.below(1 << 30) - (1 << 29)) / 2 ** random.below(40),
      (random.u32() - 2 ** 31) * 2 ** (random.below(40) - 20),
      0,
      -0,
      1 + random.below(100) / 2 ** 52,
    ]);
  switch (kind) {
    case 0: // numbers only
      return f64(number());
    case 1:
      return f32() << 32n | f32();
    case 2:
      return random.pick([random.u64(), f64(number()), ...EDGES]);
    case 3: // any exponent
      return random.u64() & ~(1n << 51n) | random.pick([0n, 1n << 51n]);
    default:
      return random.pick([random.u64(), 0n, -1n, BigInt(random.below(300))]) & (1n << 64n) - 1n;
  }
}

/** Zeros, the smallest and largest of all kinds, infinities, NaNs; doubles and pairs of singles. */
const EDGES = [
  ...[0n, 1n, 0xf_ffff_ffff_ffffn, 0x10_0000_0000_0000n, 0x10_0000_0000_0001n],
  ...[
    0x7fefn << 48n,
    0x7fef_ffff_ffff_ffffn,
    0x7ff0n << 48n,
    0x7ff8n << 48n,
    0x7ff0_0000_0000_0001n,
  ],
  ...[0x3ffn << 52n, 0x41e0_0000_0000_0000n, 0x41df_ffff_ffc0_0000n, 0x43e0_0000_0000_0000n],
  ...[
    0x7f80_0000_0080_0000n,
    0x7fc0_0000_007f_ffffn,
    0x7f7f_ffff_0080_0001n,
    0x7f80_0001_8000_0000n,
  ],
].flatMap((value) => [value, value | 1n << 63n]);

function randomData(random: Random): Uint8Array {
  const data = new Uint8Array(DATA_BYTES);
  const view = new DataView(data.buffer);
  const kind = random.below(5);
  for (let i = 0; i < DATA_BYTES; i += 8) view.setBigUint64(i, randomLane(random, kind), true);
  return data;
}
