/** The two sides: each runs a batch of an image of its own. */

import { gfnOf, gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import type { CpuState } from "../../../src/cpu/state.ts";
import { ExitCode } from "../../../src/engine/engine.ts";
import { KvmEngine } from "../../../src/engine/kvm/kvm_engine.ts";
import { CodeSize } from "../../../src/engine/wasm/cpu.ts";
import type { JitOptions } from "../../../src/engine/wasm/jit/translator.ts";
import type { WasmEngine } from "../../../src/engine/wasm/wasm_engine.ts";
import type { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { wasmEngine } from "../wasm_guest.ts";
import { COUNT, DONE_PORT, IN_POINTER, OUT_POINTER } from "./driver.ts";
import { buildImage, startState } from "./image.ts";
import { At, BASE, codeAddress, In, Out, OUT_TOP, RAM_BYTES } from "./layout.ts";

/** Instructions of a batch at most, in the interpreter: repetitions included. */
const BUDGET = 50_000_000;

/** Runs the cases that stand in its memory. */
export interface Runner extends Disposable {
  readonly name: string;
  readonly memory: GuestMemory;
  /** All of the RAM. */
  readonly bytes: Uint8Array;
  /** Instructions that it has retired, where it counts them. */
  readonly retired: number;
  /** The code of the cases is new. */
  codeChanged(): void;
  /**
   * Runs `count` cases from `first` on.
   * @throws Error when the guest does not come to their end.
   */
  run(first: number, count: number): void;
}

abstract class ImageRunner implements Runner {
  abstract readonly name: string;
  readonly memory: GuestMemory = buildImage();
  readonly bytes: Uint8Array = this.memory.view(gpa(0), RAM_BYTES);
  protected readonly state: CpuState = startState();

  get retired(): number {
    return 0;
  }
  codeChanged(): void {}
  abstract run(first: number, count: number): void;
  abstract [Symbol.dispose](): void;

  protected prepare(first: number, count: number): void {
    const { memory } = this;
    memory.writeU64(gpa(IN_POINTER - BASE), BASE + At.IN + first * In.SIZE);
    memory.writeU64(gpa(OUT_POINTER - BASE), BASE + At.OUT + first * Out.SIZE + OUT_TOP);
    memory.writeU64(gpa(COUNT - BASE), count);
  }
}

/** The host's processor. */
export class NativeRunner extends ImageRunner {
  readonly name = "native";
  readonly #engine = new KvmEngine({ memory: this.memory, cpus: 1 });

  run(first: number, count: number): void {
    this.prepare(first, count);
    const engine = this.#engine;
    engine.vcpus[0].writeState(this.state);
    const code = engine.run(0);
    if (code !== ExitCode.PORT_OUT || engine.exit.port !== DONE_PORT) {
      throw new Error(`The native guest ended: exit ${code}, ${engine.exit.reason}`);
    }
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
  }
}

/** The wasm engine's interpreter. */
export class InterpretedRunner extends ImageRunner {
  readonly name: string = "interpreted";
  #engine: WasmEngine = this.makeEngine();
  #retired = 0;

  override get retired(): number {
    return this.#retired;
  }

  protected makeEngine(jit?: JitOptions): WasmEngine {
    return wasmEngine(this.memory, this.state, { jit }).engine;
  }

  protected get engine(): WasmEngine {
    return this.#engine;
  }
  protected set engine(engine: WasmEngine) {
    this.#engine = engine;
  }

  override codeChanged(): void {
    for (let at: number = At.CODE; at < At.IN; at += PAGE_SIZE) {
      this.#engine.guest.written(at / PAGE_SIZE, 0, PAGE_SIZE);
    }
  }

  run(first: number, count: number): void {
    this.prepare(first, count);
    const engine = this.#engine;
    engine.vcpus[0].writeState(this.state);
    const before = engine.retired;
    const code = engine.run(BUDGET);
    this.#retired = engine.retired - before;
    if (code !== ExitCode.HALT) {
      throw new Error(`The interpreted guest ended: exit ${code}, ${engine.exit.reason}`);
    }
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
  }
}

/** Executions of a block after which it is translated: modules of many blocks are made then. */
const THRESHOLD = 2;
/** Batches of one engine: where code is rewritten more often, it is translated later. */
const BATCHES = 4;
/** Bytes of modules at most. */
const MODULE_BYTES = 2 ** 28;

/** The wasm engine, which translates the cases' code after `WARM_UP` runs of the same batch. */
export class TranslatedRunner extends InterpretedRunner {
  override readonly name = "translated";
  #batches = 0;

  override codeChanged(): void {
    if (this.#batches++ % BATCHES !== 0) return super.codeChanged();
    this.engine = this.makeEngine({ threshold: THRESHOLD, maxBytes: MODULE_BYTES });
  }

  /** True when case `i` has been translated: its next run will be of the translation. */
  isTranslated(i: number, bits: 32 | 64): boolean {
    const at = codeAddress(i) - BASE;
    const page = at / PAGE_SIZE | 0;
    const size = bits === 64 ? CodeSize.BITS64 : CodeSize.BITS32;
    const block = this.engine.guest.code.page(page, gfnOf(gpa(at)), size).at(at % PAGE_SIZE);
    return block?.region !== undefined;
  }
}
/** Runs of a batch before its code is translated. */
export const WARM_UP = THRESHOLD;
