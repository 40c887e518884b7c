/** What is looked at of a case and its two results to explain a difference. */

import { type CpuState, Reg, Seg, type Segment, State } from "../../../src/cpu/state.ts";
import { Flag } from "../../../src/engine/wasm/cpu.ts";
import type { Case } from "./generate.ts";
import { Vector } from "../../../src/engine/wasm/exception.ts";
import { At, HANDLER_BYTES } from "./layout.ts";
import { End } from "./native.ts";

/** Vectors have handlers up to here. */
const VECTORS = 256;
const PREFIXES: readonly number[] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66];
/** Bytes that a case may push or pop. */
const EDGE = 64;

/** How a side has ended a case. */
export interface Outcome {
  readonly end: End;
  readonly state: CpuState;
}

/** What comes of checks that fail. */
const FAULTS: readonly number[] = [
  ...[Vector.DF, Vector.TS, Vector.NP, Vector.SS, Vector.GP, Vector.PF],
];

/** A case and its results. */
export class Observed {
  readonly family: string;
  readonly bits: 16 | 32 | 64;
  /** IA-32e mode. */
  readonly long: boolean;
  /** Operand size in bytes, as the prefixes give it. */
  readonly size: number;
  /** The instruction without prefixes, "0f b2 06 …". */
  readonly opcode: string;
  /** A prefix that names SS. */
  readonly hasStackPrefix: boolean;
  /** RFLAGS, bits 31:0. */
  readonly startFlags: number;
  /** RFLAGS.TF was set. */
  readonly stepped: boolean;
  /** SS.B was set, or it is 64-bit code. */
  readonly stackIs32: boolean;
  /** The stack pointer was near an end of a 16-bit stack. */
  readonly atStackEdge: boolean;
  /** Vectors whose handlers were entered, or -1; 8 for a shutdown, which double faults lead to. */
  readonly nativeVector: number;
  readonly interpretedVector: number;
  readonly #interpreted: CpuState;

  constructor(test: Case, from: CpuState, native: Outcome, interpreted: Outcome) {
    const { mode } = test;
    this.family = test.family;
    this.bits = mode.bits;
    this.long = mode.long;
    let at = 0;
    let small = false;
    while (PREFIXES.includes(test.code[at])) small ||= test.code[at++] === 0x66;
    this.hasStackPrefix = test.code.slice(0, at).includes(0x36);
    const rex = mode.bits === 64 && (test.code[at] & 0xf0) === 0x40 ? test.code[at++] : 0;
    const usual = mode.bits === 16 ? 2 : 4;
    this.size = (rex & 8) !== 0 ? 8 : small ? 6 - usual : usual;
    this.opcode = test.code.slice(at).map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    this.startFlags = from.view.getUint32(State.RFLAGS, true);
    this.stepped = (this.startFlags & Flag.TF) !== 0;
    this.stackIs32 = mode.bits === 64 || (from.segment(Seg.SS).attributes & 0x4000) !== 0;
    const sp = Number(from.gpr(Reg.RSP) & 0xffffn);
    this.atStackEdge = sp < EDGE || sp > 0x1_0000 - EDGE;
    this.nativeVector = vectorOf(native);
    this.interpretedVector = vectorOf(interpreted);
    this.#interpreted = interpreted.state;
  }

  /** The interpreter has raised a fault, and the other side none. */
  get onlyInterpreterFaults(): boolean {
    return FAULTS.includes(this.interpretedVector) && !FAULTS.includes(this.nativeVector);
  }

  get interpreterFaults(): boolean {
    return FAULTS.includes(this.interpretedVector);
  }
  get nativeFaults(): boolean {
    return FAULTS.includes(this.nativeVector);
  }

  /** A segment as the interpreter has left it. */
  interpretedSegment(seg: number): Segment {
    return this.#interpreted.segment(seg);
  }
}

function vectorOf({ end, state }: Outcome): number {
  if (end === End.SHUTDOWN) return Vector.DF;
  const offset = state.view.getUint32(State.RIP, true) - At.HANDLERS;
  return offset >= 0 && offset < VECTORS * HANDLER_BYTES ? Math.floor(offset / HANDLER_BYTES) : -1;
}
