/** The two sides: each runs a batch of an image of its own. */

import { gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import type { CpuState } from "../../../src/cpu/state.ts";
import { ExitCode } from "../../../src/engine/engine.ts";
import { KvmEngine } from "../../../src/engine/kvm/kvm_engine.ts";
import type { WasmEngine } from "../../../src/engine/wasm/wasm_engine.ts";
import type { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { wasmEngine } from "../wasm_guest.ts";
import { COUNT, DONE_PORT, IN_POINTER, OUT_POINTER } from "./driver.ts";
import { buildImage, startState } from "./image.ts";
import { At, BASE, In, Out, OUT_TOP, RAM_BYTES } from "./layout.ts";

/** Instructions of a batch at most, in the interpreter: repetitions included. */
const BUDGET = 50_000_000;

/** Runs the cases that stand in its memory. */
export interface Runner extends Disposable {
  readonly name: string;
  readonly memory: GuestMemory;
  /** All of the RAM. */
  readonly bytes: Uint8Array;
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
  readonly name = "interpreted";
  readonly #engine: WasmEngine = wasmEngine(this.memory, this.state).engine;

  run(first: number, count: number): void {
    this.prepare(first, count);
    const engine = this.#engine;
    for (let at: number = At.CODE; at < At.IN; at += PAGE_SIZE) {
      engine.guest.written(at / PAGE_SIZE, 0, PAGE_SIZE);
    }
    engine.vcpus[0].writeState(this.state);
    const code = engine.run(BUDGET);
    if (code !== ExitCode.HALT) {
      throw new Error(`The interpreted guest ended: exit ${code}, ${engine.exit.reason}`);
    }
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
  }
}
