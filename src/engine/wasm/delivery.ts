/** Delivery of exceptions and interrupts, and what comes of faults in it (SDM 3A chapter 6). */

import { hex } from "../../base/u64.ts";
import { Event, NO_VECTOR, Seg, State } from "../../cpu/state.ts";
import { type Cpu, Flag, Word } from "./cpu.ts";
import { enterHandler, NO_CODE } from "./event_entry.ts";
import { FaultClass, GUEST_EXCEPTION, VCPU_SHUTDOWN, Vector } from "./exception.ts";
import { updateTlbSets } from "./modes.ts";

/** Bit 0 of an error code: the exception came of an event from outside the program (SDM 3A §6.13). */
const EXT = 1;
/** Classes for double faults (SDM 3A table 6-4). */
const Severity = { BENIGN: 0, CONTRIBUTORY: 1, PAGE_FAULT: 2 } as const;
type Severity = typeof Severity[keyof typeof Severity];
/** Exceptions in a row, each raised by the delivery of the one before, that end the vCPU. */
const MAX_CHAIN = 8;

/** Bit by vector: exceptions that push an error code (SDM 3A table 6-1). */
const WITH_CODE = bits(
  Vector.DF,
  Vector.TS,
  Vector.NP,
  Vector.SS,
  Vector.GP,
  Vector.PF,
  Vector.AC,
);
/** Error codes that have EXT. */
const WITH_EXT = bits(Vector.TS, Vector.NP, Vector.SS, Vector.GP);
const CONTRIBUTORY = bits(Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP);

function bits(...vectors: number[]): number {
  return vectors.reduce((all, vector) => all | 1 << vector, 0);
}

/**
 * Delivers the exception that `Cpu.raise` has thrown, and what goes wrong in that, up to the double
 * fault. RIP is where the saved one shall point. A triple fault throws `VCPU_SHUTDOWN`.
 */
export function deliverException(cpu: Cpu): void {
  updateTlbSets(cpu);
  let vector = cpu.faultVector;
  let code = cpu.faultCode;
  for (let chain = 0; chain < MAX_CHAIN; chain++) {
    cpu.delivering = vector;
    if (tryToEnter(cpu, vector, (WITH_CODE >>> vector & 1) !== 0 ? code : NO_CODE)) {
      cpu.delivering = -1;
      return;
    }
    const second = cpu.faultVector;
    if (makesDoubleFault(vector, second)) {
      if (vector === Vector.DF) break;
      vector = Vector.DF;
      code = 0;
    } else {
      vector = second;
      code = cpu.faultCode;
    }
  }
  shutDown(cpu, vector);
}

/**
 * Delivers an interrupt: an external one or an NMI, with whatever goes wrong in that; a software one
 * (INT n) raises its exceptions like any instruction.
 */
export function deliverInterrupt(cpu: Cpu, vector: number, soft: boolean): void {
  if (soft) {
    enterHandler(cpu, vector, true, NO_CODE, cpu.flags);
    return;
  }
  cpu.faultClass = FaultClass.TRAP;
  cpu.delivering = vector;
  if (!tryToEnter(cpu, vector, NO_CODE)) deliverException(cpu);
  cpu.delivering = -1;
}

/** Delivers the event that was in flight when the state was taken that `writeState` has set. */
export function deliverInjected(cpu: Cpu): void {
  const exception = event(cpu, Event.EXCEPTION);
  const code = event(cpu, Event.ERROR_CODE);
  const interrupt = event(cpu, Event.INTERRUPT);
  cpu.injected = false;
  cpu.block = undefined;
  cpu.faultClass = FaultClass.FAULT;
  if (exception !== NO_VECTOR) {
    cpu.faultVector = exception & 31;
    cpu.faultCode = code === NO_VECTOR ? 0 : code;
    deliverException(cpu);
  } else {
    deliverInterrupt(cpu, interrupt & 0xff, event(cpu, Event.INTERRUPT_SOFT) !== 0);
  }
}

function event(cpu: Cpu, field: number): number {
  return cpu.s[(State.EVENTS + field) / 4] >>> 0;
}

/** Enters a handler; false when that raised an exception, which is in the vCPU. */
function tryToEnter(cpu: Cpu, vector: number, code: number): boolean {
  // Faults will run their instruction again, past breakpoints at it (SDM 3B §17.3.1.1).
  const again = cpu.faultClass === FaultClass.FAULT && vector !== Vector.DB;
  try {
    enterHandler(cpu, vector, false, code, again ? cpu.flags | Flag.RF : cpu.flags);
    return true;
  } catch (error) {
    if (error !== GUEST_EXCEPTION) throw error;
    updateTlbSets(cpu);
    if ((WITH_EXT >>> cpu.faultVector & 1) !== 0) cpu.faultCode |= EXT;
    return false;
  }
}

/** Whether `second`, raised in the delivery of `first`, makes a double fault (SDM 3A table 6-5). */
function makesDoubleFault(first: number, second: number): boolean {
  const later = severityOf(second);
  if (later === Severity.BENIGN) return false;
  if (first === Vector.DF) return true;
  const earlier = severityOf(first);
  if (earlier === Severity.PAGE_FAULT) return true;
  return earlier === Severity.CONTRIBUTORY && later === Severity.CONTRIBUTORY;
}

function severityOf(vector: number): Severity {
  if (vector === Vector.PF) return Severity.PAGE_FAULT;
  return (CONTRIBUTORY >>> vector & 1) !== 0 ? Severity.CONTRIBUTORY : Severity.BENIGN;
}

/** Nothing can be delivered any more (SDM 3A §6.15, #DF: shutdown mode). */
function shutDown(cpu: Cpu, vector: number): never {
  const rip = BigInt.asUintN(64, BigInt(cpu.s[Word.RIP + 1]) << 32n) |
    BigInt(cpu.s[Word.RIP] >>> 0);
  const what = vector === Vector.DF ? "Triple fault" : `Exceptions ${vector} without end`;
  cpu.shutdownReason = `${what} on vCPU ${cpu.index} at RIP ${hex(rip)} ` +
    `(CS ${hex(cpu.selector(Seg.CS))}): the last exception is vector ${cpu.faultVector}, ` +
    `error code ${hex(cpu.faultCode)}, in the delivery of another one`;
  cpu.delivering = -1;
  throw VCPU_SHUTDOWN;
}
