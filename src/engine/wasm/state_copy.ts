/** The whole architectural state of a vCPU, out of it and into it: snapshots, boot, inspection. */

import { type CpuState, Event, NO_VECTOR, State, STATE_BYTES } from "../../cpu/state.ts";
import { Attention, type Cpu, Waiting, Word } from "./cpu.ts";
import { updateDebug } from "./debug.ts";
import { guestTsc, setGuestTsc, TSC_ADJUST_WORD } from "./isa/tsc.ts";
import { msrWord } from "./isa/msr.ts";
import { updateModes } from "./modes.ts";
import { extendedInUse, wordOf } from "./xsave_area.ts";

/** Fields of the XSAVE area (SDM 1 §13.4.1 and §13.4.2), by their place in the state. */
const Xsave = {
  MXCSR: State.XSAVE + 24,
  MXCSR_MASK: State.XSAVE + 28,
  XMM: State.XSAVE + 160,
  /** Behind the last XMM register. */
  XMM_END: State.XSAVE + 416,
  XSTATE_BV: State.XSAVE + 512,
} as const;
/** State components (SDM 1 §13.1). */
const X87 = 1 << 0;
const SSE = 1 << 1;
/** MXCSR after reset, and the bits that it has (SDM 1 §10.2.3). */
const MXCSR_INIT = 0x1f80;
const MXCSR_BITS = 0xffff;
const IA32_TSC_DEADLINE = 0x6e0;
const IA32_TSC = 0x10;

/** Copies the state of `cpu` out. */
export function readState(cpu: Cpu, into: CpuState): void {
  const { view } = into;
  new Uint8Array(view.buffer, view.byteOffset, STATE_BYTES).set(cpu.u8.subarray(0, STATE_BYTES));
  view.setInt32(State.RFLAGS, cpu.flags, true);
  into.set(State.CR8, cpu.apic.taskPriority);
  writeHalves(view, State.APIC_BASE, cpu.apic.baseLo, cpu.apic.baseHi);
  const tsc = guestTsc(cpu);
  writeHalves(view, msrWord(IA32_TSC) * 4, tsc, cpu.hi);
  const deadline = cpu.apic.readMsr(IA32_TSC_DEADLINE);
  const at = msrWord(IA32_TSC_DEADLINE) * 4;
  writeHalves(view, at, deadline ? cpu.apic.msrLo : 0, deadline ? cpu.apic.msrHi : 0);

  cpu.x87.save(view, State.XSAVE, true);
  view.setUint32(Xsave.MXCSR_MASK, MXCSR_BITS, true);
  writeHalves(view, Xsave.XSTATE_BV, X87 | SSE | extendedInUse(cpu), 0);
  writeHalves(view, Xsave.XSTATE_BV + 8, 0, 0); // the standard format

  into.setEvent(Event.SHADOW, cpu.shadow);
  into.setEvent(Event.NMI, (cpu.nmiPending ? 1 : 0) | (cpu.nmiMasked ? 2 : 0));
  into.setEvent(Event.MP_STATE, cpu.mpState);
  if (cpu.injected) return; // as they were set
  into.setEvent(Event.EXCEPTION, NO_VECTOR);
  into.setEvent(Event.ERROR_CODE, NO_VECTOR);
  into.setEvent(Event.INTERRUPT, NO_VECTOR);
  into.setEvent(Event.INTERRUPT_SOFT, 0);
}

/** Replaces the state of `cpu`. An event that was being delivered will be, before anything else. */
export function writeState(cpu: Cpu, from: CpuState): void {
  const { view } = from;
  const { s } = cpu;
  cpu.u8.set(new Uint8Array(view.buffer, view.byteOffset, STATE_BYTES));
  cpu.setStatusFlags(s[Word.RFLAGS]);
  restoreUnits(cpu, view);

  const at = msrWord(IA32_TSC) * 4;
  setGuestTsc(cpu, view.getInt32(at, true), view.getInt32(at + 4, true));
  s[TSC_ADJUST_WORD] = view.getInt32(TSC_ADJUST_WORD * 4, true);
  s[TSC_ADJUST_WORD + 1] = view.getInt32(TSC_ADJUST_WORD * 4 + 4, true);
  cpu.apic.restoreBase(s[State.APIC_BASE / 4], s[State.APIC_BASE / 4 + 1]);
  cpu.apic.taskPriority = s[State.CR8 / 4] & 15;
  const deadline = msrWord(IA32_TSC_DEADLINE);
  cpu.apic.writeMsr(IA32_TSC_DEADLINE, s[deadline], s[deadline + 1]);

  const nmi = from.event(Event.NMI);
  cpu.shadow = from.event(Event.SHADOW) & 3;
  // One that was being delivered comes again.
  cpu.nmiMasked = (nmi & 6) === 2;
  cpu.nmiPending = (nmi & 5) !== 0;
  cpu.mpState = from.event(Event.MP_STATE);
  cpu.injected = from.event(Event.EXCEPTION) !== NO_VECTOR ||
    from.event(Event.INTERRUPT) !== NO_VECTOR;
  cpu.shutdownReason = "";
  cpu.failed = false;
  cpu.monitoring = false;
  cpu.waiting = Waiting.NO; // MWAIT may end for any reason
  cpu.delivering = -1;
  cpu.block = undefined;
  cpu.debugHits = 0;
  cpu.attention |= Attention.BLOCK | Attention.INTERRUPT | Attention.NMI;
  updateModes(cpu);
  cpu.paging.reset();
  updateDebug(cpu);
}

/** FPU and SSE registers; a component that XSTATE_BV leaves out is in its initial state. */
function restoreUnits(cpu: Cpu, view: DataView): void {
  const { s } = cpu;
  const components = view.getUint32(Xsave.XSTATE_BV, true);
  if ((components & X87) !== 0) {
    cpu.x87.restore(view, State.XSAVE, true);
  } else {
    cpu.x87.init();
    s.fill(0, Word.MMX, Word.XMM);
  }
  if ((components & SSE) !== 0) {
    s[Word.MXCSR] &= MXCSR_BITS;
  } else {
    s[Word.MXCSR] = MXCSR_INIT;
    s.fill(0, Xsave.XMM / 4, Xsave.XMM_END / 4);
  }
  for (const component of cpu.cpuid.components) {
    const word = wordOf(component);
    if ((components & component.bit) === 0) s.fill(0, word, word + component.sizeBytes / 4);
  }
}

function writeHalves(view: DataView, at: number, lo: number, hi: number): void {
  view.setInt32(at, lo, true);
  view.setInt32(at + 4, hi, true);
}
