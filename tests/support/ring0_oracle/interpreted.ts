/** The other side: the wasm engine's interpreter. */

import { gpa, PAGE_SIZE } from "../../../src/base/u64.ts";
import { resetState } from "../../../src/cpu/modes.ts";
import { type CpuState, Reg, Seg } from "../../../src/cpu/state.ts";
import { ExitCode } from "../../../src/engine/engine.ts";
import type { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { wasmEngine } from "../wasm_guest.ts";
import { buildMemory } from "./image.ts";
import { RAM_BYTES } from "./layout.ts";
import { End } from "./native.ts";

/** Instructions of a case at most. */
const BUDGET = 200_000;

/** What a case may push. */
const STACK_BYTES = 64;

/** The interpreter. */
export class InterpretedSide {
  readonly memory: GuestMemory = buildMemory();
  readonly bytes: Uint8Array = this.memory.view(gpa(0), RAM_BYTES);
  #reason = "";
  /** The case has gone to what is no RAM. */
  leftRam = false;
  readonly #guest = wasmEngine(this.memory, resetState());

  constructor() {
    const { engine, bus } = this.#guest;
    bus.onPort = () => engine.kick();
  }

  /** Runs from `from` to the end of the case, and gives the state there. */
  run(from: CpuState, into: CpuState): End {
    const { engine, bus } = this.#guest;
    bus.log.length = 0;
    for (let page = 0; page < RAM_BYTES / PAGE_SIZE; page++) {
      engine.guest.written(page, 0, PAGE_SIZE);
    }
    engine.vcpus[0].writeState(from);
    const code = engine.run(BUDGET);
    engine.vcpus[0].readState(into);
    this.leftRam = bus.log.some((line) => line.startsWith("mmio")) || stackLeftRam(into) ||
      stackLeftRam(from);
    if (code === ExitCode.KICKED) return End.STOPPED;
    if (code === ExitCode.SHUTDOWN) return End.SHUTDOWN;
    if (code === ExitCode.BUDGET) return End.ENDLESS;
    this.#reason = `exit ${code}, ${engine.exit.reason}`;
    return End.FAILED;
  }

  /** How the last case has ended. */
  endText(end: End): string {
    return end === End.FAILED ? this.#reason : end;
  }
}

/** Whether the stack is where writes do not land, or reaches down to the end of all addresses. */
function stackLeftRam(state: CpuState): boolean {
  const { base, attributes } = state.segment(Seg.SS);
  const wide = (attributes & 0x4000) !== 0 || (state.segment(Seg.CS).attributes & 0x2000) !== 0;
  const sp = Number(BigInt.asUintN(wide ? 32 : 16, state.gpr(Reg.RSP)));
  return Number(base) + sp >= RAM_BYTES || wide && sp < STACK_BYTES;
}
