/**
 * Copies a vCPU's architectural state between `CpuState` and KVM's structures: the one place that
 * knows both layouts.
 */

import { DenovisorError } from "../../base/errors.ts";
import { type CType, offsetOf } from "../../base/struct.ts";
import { hex } from "../../base/u64.ts";
import {
  type CpuState,
  Event,
  NO_VECTOR,
  Seg,
  State,
  STATE_BYTES,
  STATE_MSRS,
  XSAVE_BYTES,
} from "../../cpu/state.ts";
import { Ioctl } from "./ioctls.ts";
import {
  KvmDebugregs,
  KvmDtable,
  KvmEventsValid,
  KvmMpState,
  KvmMsrEntry,
  KvmMsrs,
  KvmRegs,
  KvmSegment,
  KvmSregs,
  KvmVcpuEvents,
  KvmXcrs,
  KvmXsave,
} from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";

/** Pairs of (offset in CpuState, offset in KVM's structure) of 64-bit fields. */
type FieldMap = ReadonlyArray<readonly [state: number, kvm: number]>;

const fields = (type: CType, names: Readonly<Record<string, number>>): FieldMap =>
  Object.entries(names).map(([name, state]) => [state, offsetOf(type, name)]);

/** General registers in encoding order, then RIP and RFLAGS: they are adjacent in CpuState. */
export const REGISTER_FIELDS: FieldMap = [
  ...["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"],
  ...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"],
].map((name, index) => [State.GPR + index * 8, offsetOf(KvmRegs, name)]);

/** Control registers, EFER and IA32_APIC_BASE in kvm_sregs. */
export const CONTROL_FIELDS: FieldMap = fields(KvmSregs, {
  cr0: State.CR0,
  cr2: State.CR2,
  cr3: State.CR3,
  cr4: State.CR4,
  cr8: State.CR8,
  efer: State.EFER,
  apic_base: State.APIC_BASE,
});

const DEBUG: FieldMap = [
  ...[0, 1, 2, 3].map((i) => [State.DEBUG + i * 8, offsetOf(KvmDebugregs, "db") + i * 8] as const),
  [State.DEBUG + 4 * 8, offsetOf(KvmDebugregs, "dr6")],
  [State.DEBUG + 5 * 8, offsetOf(KvmDebugregs, "dr7")],
];

/** Offsets of the segments in kvm_sregs, by `Seg`. */
const SEGMENTS: ReadonlyArray<readonly [seg: number, offset: number]> = Object.entries({
  ...{ es: Seg.ES, cs: Seg.CS, ss: Seg.SS, ds: Seg.DS },
  ...{ fs: Seg.FS, gs: Seg.GS, ldt: Seg.LDTR, tr: Seg.TR },
}).map(([name, seg]) => [seg, offsetOf(KvmSregs, name)]);

/** The bits of `SegField.ATTRIBUTES` as KVM's bytes: (name, first bit, mask). */
const ATTRIBUTES: ReadonlyArray<readonly [offset: number, shift: number, mask: number]> = [
  [offsetOf(KvmSegment, "type"), 0, 15],
  [offsetOf(KvmSegment, "s"), 4, 1],
  [offsetOf(KvmSegment, "dpl"), 5, 3],
  [offsetOf(KvmSegment, "present"), 7, 1],
  [offsetOf(KvmSegment, "avl"), 12, 1],
  [offsetOf(KvmSegment, "l"), 13, 1],
  [offsetOf(KvmSegment, "db"), 14, 1],
  [offsetOf(KvmSegment, "g"), 15, 1],
];
const ATTRIBUTES_PRESENT = 0x80;
const UNUSABLE = offsetOf(KvmSegment, "unusable");
const BASE = offsetOf(KvmSegment, "base");
const LIMIT = offsetOf(KvmSegment, "limit");
const SELECTOR = offsetOf(KvmSegment, "selector");
const TABLE_LIMIT = offsetOf(KvmDtable, "limit");

const TABLES: ReadonlyArray<readonly [state: number, kvm: number]> = [
  [State.GDTR, offsetOf(KvmSregs, "gdt")],
  [State.IDTR, offsetOf(KvmSregs, "idt")],
];

/** Offsets in the XSAVE area's legacy region and header (SDM 1 §13.4.1 and §13.4.2). */
const Xsave = { FCW: 0, MXCSR: 24, X87_END: 160, XSTATE_BV: 512 } as const;
/** Values after FNINIT and reset (SDM 1 §8.1.5 and §10.2.3). */
const FCW_INIT = 0x37f, MXCSR_INIT = 0x1f80;
/** State components of XSTATE_BV. */
const X87 = 1, SSE = 2;

const event = (name: string) => offsetOf(KvmVcpuEvents, name);

/** Reads and writes the state of the vCPUs of one VM. */
export class KvmStateAccess {
  readonly #scratch: Scratch;
  readonly #view: DataView;
  /** Slots of `STATE_MSRS` that this host's KVM has. */
  readonly #msrSlots: readonly number[];

  /** `vcpuFd`: any vCPU of the VM, with its CPUID set; on it the host's MSRs are found out. */
  constructor(scratch: Scratch, vcpuFd: number) {
    this.#scratch = scratch;
    this.#view = scratch.view;
    this.#msrSlots = STATE_MSRS.map((_, slot) => slot).filter((slot) => this.#hasMsr(vcpuFd, slot));
  }

  /** Copies the whole state of the vCPU out. @throws DenovisorError `kvm` */
  read(vcpuFd: number, into: CpuState): void {
    this.#readRegs(vcpuFd, into);
    this.#readSregs(vcpuFd, into);
    this.#readXsave(vcpuFd, into);
    this.#get(vcpuFd, Ioctl.GET_XCRS, KvmXcrs, "extended control registers");
    into.set(State.XCR0, this.#view.getBigUint64(offsetOf(KvmXcrs, "xcrs") + 8, true));
    this.#get(vcpuFd, Ioctl.GET_DEBUGREGS, KvmDebugregs, "debug registers");
    this.#copyOut(DEBUG, into);
    this.#readMsrs(vcpuFd, into);
    this.#readEvents(vcpuFd, into);
    this.#get(vcpuFd, Ioctl.GET_MP_STATE, KvmMpState, "run state");
    into.setEvent(Event.MP_STATE, this.#view.getUint32(0, true));
  }

  /** Replaces the whole state of the vCPU. @throws DenovisorError `kvm` when KVM refuses a value */
  write(vcpuFd: number, from: CpuState): void {
    this.#writeSregs(vcpuFd, from);
    this.#writeXcr0(vcpuFd, from);
    this.#writeXsave(vcpuFd, from);
    this.#writeRegs(vcpuFd, from);
    this.#writeDebug(vcpuFd, from);
    this.#writeMsrs(vcpuFd, from, this.#msrSlots);
    this.#writeEvents(vcpuFd, from, KvmEventsValid.NMI_PENDING | KvmEventsValid.SHADOW);
    this.#writeMpState(vcpuFd, from);
  }

  /**
   * Writes the parts of the state in which `to` differs from `from`, which is the vCPU's, and always
   * the general registers: with them KVM forgets an exception that it has not begun to deliver. An
   * NMI that comes meanwhile stays pending.
   * @throws DenovisorError `kvm` when KVM refuses a value
   */
  writeChanges(vcpuFd: number, from: CpuState, to: CpuState): void {
    const differs = (start: number, end: number) => {
      for (let at = start; at < end; at += 4) {
        if (from.view.getInt32(at, true) !== to.view.getInt32(at, true)) return true;
      }
      return false;
    };
    const eventDiffers = (field: number) => from.event(field) !== to.event(field);
    const slots = this.#msrSlots.filter((slot) => {
      return differs(State.MSRS + slot * 8, State.MSRS + slot * 8 + 8);
    });
    if (differs(State.CR0, State.XCR0) || differs(State.APIC_BASE, State.DEBUG)) {
      this.#writeSregs(vcpuFd, to);
    }
    if (differs(State.XCR0, State.APIC_BASE)) this.#writeXcr0(vcpuFd, to);
    if (differs(State.XSAVE, STATE_BYTES)) this.#writeXsave(vcpuFd, to);
    this.#writeRegs(vcpuFd, to);
    if (differs(State.DEBUG, State.EVENTS)) this.#writeDebug(vcpuFd, to);
    if (slots.length > 0) this.#writeMsrs(vcpuFd, to, slots);
    if (eventDiffers(Event.SHADOW) || eventDiffers(Event.NMI)) {
      this.#writeEvents(vcpuFd, to, KvmEventsValid.SHADOW);
    }
    if (eventDiffers(Event.MP_STATE)) this.#writeMpState(vcpuFd, to);
  }

  #get(fd: number, request: number, type: CType, what: string): void {
    this.#scratch.ioctl(fd, request, type.size, `read the vCPU's ${what}`);
  }

  #set(fd: number, request: number, type: CType, what: string, from: CpuState): void {
    const at = `CR0 ${hex(from.get(State.CR0))}, CR4 ${hex(from.get(State.CR4))}, ` +
      `EFER ${hex(from.get(State.EFER))}, RIP ${hex(from.get(State.RIP))}`;
    this.#scratch.ioctl(fd, request, type.size, `set the vCPU's ${what} (${at})`);
  }

  #copyOut(map: FieldMap, into: CpuState): void {
    for (const [state, kvm] of map) into.set(state, this.#view.getBigUint64(kvm, true));
  }

  #copyIn(map: FieldMap, from: CpuState): void {
    for (const [state, kvm] of map) this.#view.setBigUint64(kvm, from.get(state), true);
  }

  #readRegs(fd: number, into: CpuState): void {
    this.#get(fd, Ioctl.GET_REGS, KvmRegs, "general registers");
    this.#copyOut(REGISTER_FIELDS, into);
  }

  #writeRegs(fd: number, from: CpuState): void {
    this.#scratch.clear(KvmRegs.size);
    this.#copyIn(REGISTER_FIELDS, from);
    this.#set(fd, Ioctl.SET_REGS, KvmRegs, "general registers", from);
  }

  #writeDebug(fd: number, from: CpuState): void {
    this.#scratch.clear(KvmDebugregs.size);
    this.#copyIn(DEBUG, from);
    this.#set(fd, Ioctl.SET_DEBUGREGS, KvmDebugregs, "debug registers", from);
  }

  #writeMpState(fd: number, from: CpuState): void {
    this.#view.setUint32(0, from.event(Event.MP_STATE), true);
    this.#set(fd, Ioctl.SET_MP_STATE, KvmMpState, "run state", from);
  }

  #readSregs(fd: number, into: CpuState): void {
    this.#get(fd, Ioctl.GET_SREGS, KvmSregs, "system registers");
    this.#copyOut(CONTROL_FIELDS, into);
    copySegmentsOut(this.#view, into);
  }

  #writeSregs(fd: number, from: CpuState): void {
    this.#scratch.clear(KvmSregs.size);
    this.#copyIn(CONTROL_FIELDS, from);
    copySegmentsIn(this.#view, from);
    this.#set(fd, Ioctl.SET_SREGS, KvmSregs, "system registers", from);
  }

  #readXsave(fd: number, into: CpuState): void {
    this.#get(fd, Ioctl.GET_XSAVE, KvmXsave, "XSAVE area");
    xsaveBytes(into).set(this.#scratch.bytes.subarray(0, XSAVE_BYTES));
  }

  /**
   * A component whose XSTATE_BV bit is clear is in its initial state whatever its bytes are, except
   * that KVM keeps the old MXCSR: so the x87 and SSE parts are always spelled out.
   */
  #writeXsave(fd: number, from: CpuState): void {
    const { bytes, view } = this.#scratch;
    bytes.set(xsaveBytes(from));
    const present = view.getUint32(Xsave.XSTATE_BV, true);
    if ((present & X87) === 0) {
      bytes.fill(0, 0, Xsave.MXCSR);
      bytes.fill(0, Xsave.MXCSR + 8, Xsave.X87_END);
      view.setUint16(Xsave.FCW, FCW_INIT, true);
    }
    if ((present & SSE) === 0) {
      view.setUint32(Xsave.MXCSR, MXCSR_INIT, true);
      bytes.fill(0, Xsave.X87_END, Xsave.X87_END + 256);
    }
    view.setUint32(Xsave.XSTATE_BV, present | X87 | SSE, true);
    this.#set(fd, Ioctl.SET_XSAVE, KvmXsave, "XSAVE area", from);
  }

  #writeXcr0(fd: number, from: CpuState): void {
    const at = offsetOf(KvmXcrs, "xcrs");
    this.#scratch.clear(KvmXcrs.size);
    this.#view.setUint32(offsetOf(KvmXcrs, "nr_xcrs"), 1, true);
    this.#view.setBigUint64(at + 8, from.get(State.XCR0), true);
    this.#set(fd, Ioctl.SET_XCRS, KvmXcrs, "extended control registers", from);
  }

  #hasMsr(fd: number, slot: number): boolean {
    this.#putMsr(0, slot, 0n);
    return this.#scratch.tryIoctl(fd, Ioctl.GET_MSRS, msrBytes(1)) === 1;
  }

  /** Entry `position` of the kvm_msrs in the scratch memory, which then has that many and one. */
  #putMsr(position: number, slot: number, value: bigint): void {
    const at = msrBytes(position);
    this.#view.setUint32(offsetOf(KvmMsrs, "nmsrs"), position + 1, true);
    this.#view.setUint32(at, STATE_MSRS[slot], true);
    this.#view.setBigUint64(at + offsetOf(KvmMsrEntry, "data"), value, true);
  }

  #readMsrs(fd: number, into: CpuState): void {
    const slots = this.#msrSlots;
    slots.forEach((slot, position) => this.#putMsr(position, slot, 0n));
    const done = this.#scratch.tryIoctl(fd, Ioctl.GET_MSRS, msrBytes(slots.length));
    this.#checkMsrs(done, slots, "read");
    slots.forEach((slot, position) => {
      const at = msrBytes(position) + offsetOf(KvmMsrEntry, "data");
      into.set(State.MSRS + slot * 8, this.#view.getBigUint64(at, true));
    });
  }

  #writeMsrs(fd: number, from: CpuState, slots: readonly number[]): void {
    slots.forEach((slot, at) => this.#putMsr(at, slot, from.get(State.MSRS + slot * 8)));
    const done = this.#scratch.tryIoctl(fd, Ioctl.SET_MSRS, msrBytes(slots.length));
    this.#checkMsrs(done, slots, "set");
  }

  /** KVM returns how many MSRs it did; it stops at the first that it refuses. */
  #checkMsrs(done: number, slots: readonly number[], verb: string): void {
    if (done === slots.length) return;
    const msr = STATE_MSRS[slots[Math.max(done, 0)]];
    const value = this.#view.getBigUint64(msrBytes(Math.max(done, 0)) + 8, true);
    throw new DenovisorError(
      "kvm",
      `Cannot ${verb} MSR ${hex(msr)} of the vCPU: KVM refuses it (value ${hex(value)})`,
      { msr, value },
    );
  }

  #readEvents(fd: number, into: CpuState): void {
    const view = this.#view;
    this.#get(fd, Ioctl.GET_VCPU_EVENTS, KvmVcpuEvents, "events");
    const u8 = (name: string) => view.getUint8(event(name));
    const excepted = u8("exception.injected") !== 0 || u8("exception.pending") !== 0;
    const coded = excepted && u8("exception.has_error_code") !== 0;
    const code = view.getUint32(event("exception.error_code"), true);
    into.setEvent(Event.EXCEPTION, excepted ? u8("exception.nr") : NO_VECTOR);
    into.setEvent(Event.ERROR_CODE, coded ? code : NO_VECTOR);
    const interrupted = u8("interrupt.injected") !== 0;
    into.setEvent(Event.INTERRUPT, interrupted ? u8("interrupt.nr") : NO_VECTOR);
    into.setEvent(Event.INTERRUPT_SOFT, interrupted ? u8("interrupt.soft") : 0);
    into.setEvent(Event.SHADOW, swapShadow(u8("interrupt.shadow")));
    const nmi = flag(u8("nmi.pending"), 1) | flag(u8("nmi.masked"), 2) |
      flag(u8("nmi.injected"), 4);
    into.setEvent(Event.NMI, nmi);
  }

  /** `valid`: which of the parts that have a flag are written, of `KvmEventsValid`. */
  #writeEvents(fd: number, from: CpuState, valid: number): void {
    const view = this.#view;
    this.#scratch.clear(KvmVcpuEvents.size);
    const put = (name: string, value: number) => view.setUint8(event(name), value);
    const vector = from.event(Event.EXCEPTION);
    if (vector !== NO_VECTOR) {
      const code = from.event(Event.ERROR_CODE);
      put("exception.injected", 1);
      put("exception.nr", vector);
      put("exception.has_error_code", code === NO_VECTOR ? 0 : 1);
      view.setUint32(event("exception.error_code"), code === NO_VECTOR ? 0 : code, true);
    }
    if (from.event(Event.INTERRUPT) !== NO_VECTOR) {
      put("interrupt.injected", 1);
      put("interrupt.nr", from.event(Event.INTERRUPT));
      put("interrupt.soft", from.event(Event.INTERRUPT_SOFT));
    }
    put("interrupt.shadow", swapShadow(from.event(Event.SHADOW)));
    const nmi = from.event(Event.NMI);
    put("nmi.pending", nmi & 1);
    put("nmi.masked", nmi >> 1 & 1);
    put("nmi.injected", nmi >> 2 & 1);
    view.setUint32(event("flags"), valid, true);
    this.#set(fd, Ioctl.SET_VCPU_EVENTS, KvmVcpuEvents, "events", from);
  }
}

/** Copies segments and descriptor tables out of the kvm_sregs at the start of `view`. */
export function copySegmentsOut(view: DataView, into: CpuState): void {
  for (const [seg, at] of SEGMENTS) {
    let attributes = 0;
    for (const [offset, shift, mask] of ATTRIBUTES) {
      attributes |= (view.getUint8(at + offset) & mask) << shift;
    }
    if (view.getUint8(at + UNUSABLE) !== 0) attributes &= ~ATTRIBUTES_PRESENT;
    into.setSegment(seg, {
      base: view.getBigUint64(at + BASE, true),
      limit: view.getUint32(at + LIMIT, true),
      selector: view.getUint16(at + SELECTOR, true),
      attributes,
    });
  }
  for (const [table, at] of TABLES) {
    const limit = view.getUint16(at + TABLE_LIMIT, true);
    into.setTable(table, view.getBigUint64(at, true), limit);
  }
}

/** Copies segments and descriptor tables into the kvm_sregs at the start of `view`. */
export function copySegmentsIn(view: DataView, from: CpuState): void {
  for (const [seg, at] of SEGMENTS) {
    const { base, limit, selector, attributes } = from.segment(seg);
    view.setBigUint64(at + BASE, BigInt(base), true);
    view.setUint32(at + LIMIT, limit, true);
    view.setUint16(at + SELECTOR, selector, true);
    for (const [offset, shift, mask] of ATTRIBUTES) {
      view.setUint8(at + offset, attributes >> shift & mask);
    }
    view.setUint8(at + UNUSABLE, (attributes & ATTRIBUTES_PRESENT) === 0 ? 1 : 0);
  }
  for (const [table, at] of TABLES) {
    view.setBigUint64(at + offsetOf(KvmDtable, "base"), from.get(table), true);
    view.setUint16(at + TABLE_LIMIT, Number(from.get(table + 8)), true);
  }
}

/** Bytes of a kvm_msrs with `count` entries; also the offset of entry `count`. */
function msrBytes(count: number): number {
  return KvmMsrs.size + count * KvmMsrEntry.size;
}

function xsaveBytes(state: CpuState): Uint8Array {
  return new Uint8Array(state.view.buffer, state.view.byteOffset + State.XSAVE, XSAVE_BYTES);
}

/** `Event.SHADOW` has STI in bit 0 and MOV SS in bit 1, KVM the other way round; both directions. */
function swapShadow(bits: number): number {
  return (bits & 1) << 1 | bits >> 1 & 1;
}

function flag(byte: number, bit: number): number {
  return byte === 0 ? 0 : bit;
}
