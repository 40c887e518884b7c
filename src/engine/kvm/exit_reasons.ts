/** One line for people about the exits that end a run. Cold: only the last exit of a guest comes here. */

import { offsetOf } from "../../base/struct.ts";
import { type Gpa, hex, PAGE_SIZE, pageOffset } from "../../base/u64.ts";
import { Cr0, Efer } from "../../cpu/modes.ts";
import { CpuState, Event, NO_VECTOR, Seg, State } from "../../cpu/state.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import { Ioctl } from "./ioctls.ts";
import {
  KVM_INTERNAL_ERROR_EMULATION,
  KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
  KvmExit,
  KvmRun,
  KvmSystemEvent,
  KvmTranslation,
} from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";

/** Longest x86 instruction (SDM 2A §2.3.11). */
const MAX_INSTRUCTION = 15;

/** Names of vectors 0 to 31 that have one (SDM 3A §6.3.1). */
const EXCEPTIONS: Readonly<Record<number, string>> = {
  ...{ 0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF" },
  ...{ 10: "#TS", 11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC" },
  ...{ 19: "#XM", 20: "#VE", 21: "#CP" },
};

const INTERNAL_ERRORS: Readonly<Record<number, string>> = {
  2: "exceptions that come together in a way it does not expect",
  3: "an exit while it was delivering an event",
  4: "an exit reason of the processor that it does not know",
};

/** The vCPU that exited, as the descriptions see it. */
export interface ExitedVcpu {
  readonly index: number;
  readonly fd: number;
  readonly view: DataView;
  readonly state: CpuState;
}

/** Where instruction bytes come from. */
export interface GuestAccess {
  readonly memory: GuestMemory;
  readonly scratch: Scratch;
}

/** Triple fault: where, the exception that started it when KVM still knows, and the instruction. */
export function describeShutdown(vcpu: ExitedVcpu, guest: GuestAccess): string {
  const { state } = vcpu;
  const title = `Triple fault on vCPU ${vcpu.index}`;
  if (isResetState(state)) {
    return `${title}: RIP is not known, because this host's KVM resets the vCPU`;
  }
  const bytes = guestInstruction(vcpu, guest);
  const code = bytes.length === 0 ? "" : `, instruction bytes ${spell(bytes)}`;
  const cr2 = `CR2 ${hex(state.get(State.CR2))}`;
  const vector = state.event(Event.EXCEPTION);
  if (vector === NO_VECTOR) return `${title} at ${where(state)}: ${cr2}${code}`;
  const errorCode = state.event(Event.ERROR_CODE);
  const error = errorCode === NO_VECTOR ? "" : `, error code ${hex(errorCode)}`;
  const name = EXCEPTIONS[vector] ?? "exception";
  return `${title} at ${where(state)}: the last exception is ${name} ` +
    `(vector ${vector}${error}), ${cr2}${code}`;
}

/** Whether an internal error is that KVM does not know an instruction. */
export function isEmulationFailure(run: DataView): boolean {
  const suberror = run.getUint32(offsetOf(KvmRun, "internal.suberror"), true);
  return suberror === KVM_INTERNAL_ERROR_EMULATION;
}

/** KVM gave up on the guest. */
export function describeInternalError(vcpu: ExitedVcpu, guest: GuestAccess): string {
  if (isEmulationFailure(vcpu.view)) {
    const bytes = exitInstruction(vcpu.view) ?? guestInstruction(vcpu, guest);
    const text = bytes.length === 0 ? "cannot be read" : spell(bytes);
    return `KVM cannot emulate the instruction on vCPU ${vcpu.index} at ${where(vcpu.state)}: ` +
      `its bytes ${bytes.length === 0 ? text : `are ${text}`}`;
  }
  const suberror = vcpu.view.getUint32(offsetOf(KvmRun, "internal.suberror"), true);
  const meaning = INTERNAL_ERRORS[suberror] ?? `suberror ${suberror}`;
  const data = internalData(vcpu.view);
  return `KVM met ${meaning} on vCPU ${vcpu.index} at ${where(vcpu.state)}` +
    (data === "" ? "" : `: ${data}`);
}

/** The processor refused the guest state. */
export function describeFailEntry(vcpu: ExitedVcpu): string {
  const at = offsetOf(KvmRun, "fail_entry.hardware_entry_failure_reason");
  const reason = vcpu.view.getBigUint64(at, true);
  const cpu = vcpu.view.getUint32(offsetOf(KvmRun, "fail_entry.cpu"), true);
  return `The processor refuses to enter the guest on vCPU ${vcpu.index} at ${
    where(vcpu.state)
  }: ` +
    `hardware reason ${hex(reason)} on host CPU ${cpu}`;
}

/** The guest asked KVM to end. */
export function describeSystemEvent(vcpu: ExitedVcpu): { reason: string; reset: boolean } {
  const type = vcpu.view.getUint32(offsetOf(KvmRun, "system_event.type"), true);
  const name = Object.entries(KvmSystemEvent).find(([, value]) => value === type)?.[0];
  return {
    reason: `System event on vCPU ${vcpu.index}: ${name?.toLowerCase() ?? `type ${type}`}`,
    reset: type === KvmSystemEvent.RESET,
  };
}

/** Any other exit: nothing that the engine asked KVM for. */
export function describeUnknownExit(vcpu: ExitedVcpu): string {
  const reason = vcpu.view.getUint32(offsetOf(KvmRun, "exit_reason"), true);
  const name = Object.entries(KvmExit).find(([, value]) => value === reason)?.[0];
  const hardware = vcpu.view.getBigUint64(offsetOf(KvmRun, "hw.hardware_exit_reason"), true);
  return `KVM ended the run of vCPU ${vcpu.index} at ${where(vcpu.state)} with exit reason ` +
    `${reason}${name === undefined ? "" : ` (KVM_EXIT_${name})`}, which nothing here handles` +
    (reason === KvmExit.UNKNOWN ? `: hardware exit reason ${hex(hardware)}` : "");
}

/** "RIP 0x… (64-bit, CPL 0)", with CS:IP in real mode. */
function where(state: CpuState): string {
  const cs = state.segment(Seg.CS);
  const rip = state.get(State.RIP);
  if ((state.get(State.CR0) & BigInt(Cr0.PE)) === 0n) {
    return `RIP ${hex(rip)} (real mode, CS ${hex(cs.selector)}, base ${hex(cs.base)})`;
  }
  const long = (state.get(State.EFER) & BigInt(Efer.LMA)) !== 0n && (cs.attributes & CS_L) !== 0;
  const bits = long ? 64 : (cs.attributes & CS_DB) !== 0 ? 32 : 16;
  return `RIP ${hex(rip)} (${bits}-bit, CPL ${cs.selector & 3})`;
}
const CS_L = 1 << 13, CS_DB = 1 << 14;

/** SVM leaves no state after a shutdown, so KVM puts the vCPU into the state after INIT. */
function isResetState(state: CpuState): boolean {
  return state.get(State.RIP) === 0xfff0n && state.segment(Seg.CS).selector === 0xf000 &&
    (state.get(State.CR0) & BigInt(Cr0.PE)) === 0n;
}

/** The bytes that KVM itself gives, when it does (Linux 5.15 and later). */
function exitInstruction(run: DataView): Uint8Array | undefined {
  const words = run.getUint32(offsetOf(KvmRun, "emulation_failure.ndata"), true);
  const flags = run.getUint32(offsetOf(KvmRun, "emulation_failure.flags"), true);
  if (words < 3 || (flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) === 0) {
    return undefined;
  }
  const size = run.getUint8(offsetOf(KvmRun, "emulation_failure.insn_size"));
  const at = run.byteOffset + offsetOf(KvmRun, "emulation_failure.insn_bytes");
  return new Uint8Array(run.buffer, at, Math.min(size, MAX_INSTRUCTION)).slice();
}

/** The bytes at CS:RIP, as far as KVM translates the address and RAM holds them. */
function guestInstruction(vcpu: ExitedVcpu, { memory, scratch }: GuestAccess): Uint8Array {
  const cs = vcpu.state.segment(Seg.CS);
  const linear = BigInt.asUintN(64, BigInt(cs.base) + vcpu.state.get(State.RIP));
  const bytes = new Uint8Array(MAX_INSTRUCTION);
  let length = 0;
  while (length < MAX_INSTRUCTION) {
    const at = translate(vcpu.fd, scratch, BigInt.asUintN(64, linear + BigInt(length)));
    if (at === undefined) break;
    const part = Math.min(MAX_INSTRUCTION - length, PAGE_SIZE - pageOffset(at));
    if (!memory.contains(at, part)) break;
    memory.read(at, bytes.subarray(length, length + part));
    length += part;
  }
  return bytes.subarray(0, length);
}

function translate(fd: number, scratch: Scratch, linear: bigint): Gpa | undefined {
  scratch.clear(KvmTranslation.size);
  scratch.view.setBigUint64(offsetOf(KvmTranslation, "linear_address"), linear, true);
  if (scratch.tryIoctl(fd, Ioctl.TRANSLATE, KvmTranslation.size) < 0) return undefined;
  if (scratch.view.getUint8(offsetOf(KvmTranslation, "valid")) === 0) return undefined;
  const address = scratch.view.getBigUint64(offsetOf(KvmTranslation, "physical_address"), true);
  return address < 2n ** 52n ? Number(address) as Gpa : undefined;
}

function internalData(run: DataView): string {
  const count = Math.min(run.getUint32(offsetOf(KvmRun, "internal.ndata"), true), 16);
  const at = offsetOf(KvmRun, "internal.data");
  return Array.from({ length: count }, (_, i) => hex(run.getBigUint64(at + i * 8, true))).join(" ");
}

/** "0f 0b": lower-case hexadecimal, as disassemblers print it. */
function spell(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
