/**
 * One vCPU of the wasm engine: its live architectural state and what is derived from it.
 *
 * The registers lie in a WebAssembly memory of the engine's own, in the layout of `CpuState`, so that
 * translated code reaches them and a snapshot is a copy. What only TypeScript uses, and uses at every
 * instruction, is in fields: V8 reads and writes them without a bounds check.
 */

import type { Cpuid } from "../../cpu/cpuid_model.ts";
import { Seg, SegField, State } from "../../cpu/state.ts";
import type { CpuBus, LocalApicPort } from "../cpu_bus.ts";
import type { Block } from "./block.ts";
import { FaultClass, GUEST_EXCEPTION } from "./exception.ts";
import type { Paging } from "./paging.ts";
import { PRIVATE_PAGES, TLB_WORDS, TlbSet } from "./tlb.ts";
import type { X87 } from "./x87_state.ts";

/** Word indices in `Cpu.s` (halves: low, then high). */
export const Word = {
  RIP: State.RIP / 4,
  RFLAGS: State.RFLAGS / 4,
  CR0: State.CR0 / 4,
  CR2: State.CR2 / 4,
  CR3: State.CR3 / 4,
  CR4: State.CR4 / 4,
  EFER: State.EFER / 4,
  XCR0: State.XCR0 / 4,
  GDTR: State.GDTR / 4,
  IDTR: State.IDTR / 4,
  DEBUG: State.DEBUG / 4,
  MSRS: State.MSRS / 4,
  SEGMENTS: State.SEGMENTS / 4,
  /** MXCSR, in the XSAVE area's legacy region (SDM 1 §10.5.1). */
  MXCSR: (State.XSAVE + 24) / 4,
  /** Physical x87 register 0, and MMX register 0 in its low half; 4 words each. */
  MMX: (State.XSAVE + 32) / 4,
  /** XMM0; 4 words each. */
  XMM: (State.XSAVE + 160) / 4,
  /** PKRU; not in the standard XSAVE area that the FPU part fills. */
  PKRU: (State.XSAVE + 2688) / 4,
} as const;

/** RFLAGS bits (SDM 1 §3.4.3). */
export const Flag = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

/** The status flags, which live in fields of `Cpu` and not in RFLAGS. */
export const STATUS_FLAGS = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF;

/** Size of code: of addresses and operands by default. */
export const CodeSize = { BITS16: 0, BITS32: 1, BITS64: 2 } as const;
export type CodeSize = typeof CodeSize[keyof typeof CodeSize];

/** What a vCPU has to look at between two instructions; bits of `Cpu.attention`. */
export const Attention = {
  /** The local APIC may have an interrupt. */
  INTERRUPT: 1 << 0,
  NMI: 1 << 1,
  INIT: 1 << 2,
  /** The machine wants the thread. */
  KICK: 1 << 3,
  /** Something changed after which the current block may not go on: code was written, or the mode. */
  BLOCK: 1 << 4,
  /** Halted, or waiting for a start-up interrupt: another vCPU's turn. */
  HALT: 1 << 5,
  /** Another vCPU's turn: PAUSE, or a failed MONITOR. */
  YIELD: 1 << 6,
} as const;

/** Whether MWAIT waits, and which interrupts end that. */
export const Waiting = { NO: 0, UNMASKED: 1, ANY: 2 } as const;
export type Waiting = typeof Waiting[keyof typeof Waiting];

/** Bytes of the line that MONITOR watches; CPUID leaf 5 says so. */
export const MONITOR_LINE = 64;

/** What a vCPU is made of. */
export interface CpuParts {
  readonly index: number;
  /** Guest RAM, of `GuestMemory.wasm`. */
  readonly ram: ArrayBufferLike;
  readonly bus: CpuBus;
  /** What the time-stamp counter counts, in nanoseconds. */
  readonly clock: { nowNs(): number };
  readonly cpuid: Cpuid;
  /** Of `createActivity`; by default nobody looks at it. */
  readonly activity?: Int32Array | undefined;
  /** Translation of linear addresses; set up for this vCPU. */
  readonly paging: (cpu: Cpu) => Paging;
  readonly x87: (cpu: Cpu) => X87;
}

/** One vCPU. */
export class Cpu {
  readonly index: number;
  /** The guest's only vCPU: there is none to yield to. */
  readonly isAlone: boolean;
  readonly memory: WebAssembly.Memory;
  /** The state and the TLB, as words, and by other widths: views of the same bytes. */
  readonly s: Int32Array;
  readonly u16: Uint16Array;
  readonly u8: Uint8Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly view: DataView;
  /** Guest RAM (and ROM), by offset in the WebAssembly memory. */
  readonly ram: DataView;
  readonly ramBytes: Uint8Array;
  readonly bus: CpuBus;
  readonly apic: LocalApicPort;
  readonly clock: { nowNs(): number };
  readonly cpuid: Cpuid;
  /** What the thread is at: `Activity`. */
  readonly activity: Int32Array;
  readonly paging: Paging;
  readonly x87: X87;

  /** Upper half of the 64-bit value whose lower half the last call returned. */
  hi = 0;

  // Status flags, each as a value that it is read off: no lazy evaluation, nothing to tell apart.
  /** CF: 0 or 1. */
  cf = 0;
  /** ZF is set when this is 0. */
  zero = 1;
  /** SF is bit 31. */
  sign = 0;
  /** PF is set when bits 7:0 have an even number of ones. */
  parity = 1;
  /** AF is bit 4. */
  aux = 0;
  /** OF is bit 31. */
  over = 0;

  // Derived from segments and control registers by `modes.ts`.
  cpl = 0;
  codeSize: CodeSize = CodeSize.BITS16;
  /** CS.L and EFER.LMA: 64-bit mode. */
  is64 = false;
  /** EFER.LMA: IA-32e mode, of which compatibility mode is a part. */
  longMode = false;
  /** CR0.PE without RFLAGS.VM. */
  protectedMode = false;
  v86 = false;
  /** SS.B: 32-bit stack; void in 64-bit mode. */
  stack32 = false;
  /** Index in `s` of the TLB sets that explicit data accesses use now: by CPL, SMAP and AC. */
  tlbRead = TlbSet.SUPERVISOR_READ;
  tlbWrite = TlbSet.SUPERVISOR_WRITE;
  /** Segments (bit by `Seg`) that are the whole 32-bit space and readable; writable. */
  flatRead = 0;
  flatWrite = 0;
  /** Those of 4 GiB that can be read and written, wherever they begin. */
  wholeSegments = 0;
  /** Offset in guest RAM of a read-modify-write under way; -1: not plain RAM, see paging.ts. */
  rmwAt = -1;
  /** Not 0: FPU, MMX or SSE instructions raise this vector + 1 (#UD or #NM) instead of running. */
  x87Trap = 0;
  mmxTrap = 0;
  sseTrap = 0;

  /** `Attention` bits. Not 0: the interpreter leaves its block after the current instruction. */
  attention = 0;
  /** Blocked by STI or MOV SS for one instruction (`Event.SHADOW` bits). */
  shadow = 0;
  /** NMIs are masked until IRET. */
  nmiMasked = false;
  /** One is waiting. */
  nmiPending = false;
  /** `MpState`. */
  mpState = 0;
  /** The guest's TSC less the clock's nanoseconds, halves. */
  tscOffsetLo = 0;
  tscOffsetHi = 0;

  /** Instructions retired before the current block; the current one's number is `retired + at`. */
  retired = 0;
  /** Position of the current instruction in `block`. */
  at = 0;
  block: Block | undefined = undefined;
  /** Instruction pointer that offset 0 of the current code page has: RIP = codeBase + offset. */
  codeBaseLo = 0;
  codeBaseHi = 0;
  /** Repetitions of string instructions beyond the first, within the current block. */
  repeats = 0;
  /** Instructions (and repetitions) that may still run in this slice, counted at block entry. */
  budget = 0;

  // The exception that `raise` has thrown.
  faultVector = 0;
  faultCode = 0;
  faultClass: FaultClass = FaultClass.FAULT;
  /** Vector of an event whose delivery is under way; -1: none. */
  delivering = -1;
  /** The state's `Event` block has an event that is to be delivered first. */
  injected = false;
  /** One line when the vCPU shut down. */
  shutdownReason = "";
  /** It did not shut down: the engine cannot go on. */
  failed = false;
  /** A data breakpoint is enabled: accesses to its page are looked at one by one. */
  watching = false;
  /** TF, a breakpoint on an instruction, or the like: instructions run one by one. */
  stepping = false;
  /** Bit i: data or I/O breakpoint i has been met by the current instruction. */
  debugHits = 0;
  /** MONITOR has been executed, and MWAIT has not. */
  monitoring = false;
  /** Offset in guest RAM of the monitored line; -1: stores to it cannot be seen. */
  monitorAt = -1;
  /** What the line held then. */
  readonly monitored = new Uint8Array(MONITOR_LINE);
  /** MWAIT waits: for interrupts that are not masked, or for any (SDM 3A §8.10.4). */
  waiting: Waiting = Waiting.NO;

  constructor(parts: CpuParts) {
    this.index = parts.index;
    this.isAlone = parts.bus.localApics.length === 1;
    this.memory = new WebAssembly.Memory({ initial: PRIVATE_PAGES, maximum: PRIVATE_PAGES });
    const { buffer } = this.memory;
    this.s = new Int32Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u8 = new Uint8Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.view = new DataView(buffer);
    this.ram = new DataView(parts.ram);
    this.ramBytes = new Uint8Array(parts.ram);
    this.bus = parts.bus;
    this.apic = parts.bus.localApics[parts.index];
    this.clock = parts.clock;
    this.cpuid = parts.cpuid;
    this.activity = parts.activity ?? new Int32Array(1);
    this.s.fill(1, TlbSet.FIRST, TlbSet.FIRST + TLB_WORDS);
    this.x87 = parts.x87(this);
    this.paging = parts.paging(this);
  }

  /**
   * Ends the current instruction with an exception: before it has changed anything.
   * @param code Error code; void for vectors that push none.
   */
  raise(vector: number, code = 0): never {
    this.faultVector = vector;
    this.faultCode = code;
    this.faultClass = FaultClass.FAULT;
    throw GUEST_EXCEPTION;
  }

  /** A non-maskable interrupt has come. */
  raiseNmi(): void {
    this.nmiPending = true;
    if (!this.nmiMasked) this.attention |= Attention.NMI;
  }

  /** IRET: the next NMI may come. */
  unmaskNmi(): void {
    this.nmiMasked = false;
    if (this.nmiPending) this.attention |= Attention.NMI;
  }

  /** The number of instructions that this vCPU has retired before the current one. */
  get now(): number {
    return this.retired + this.at + this.repeats;
  }

  /** RFLAGS bits 31:0, all of them. */
  get flags(): number {
    return this.s[Word.RFLAGS] & ~STATUS_FLAGS | 2 | this.statusFlags;
  }

  /** The six status flags in their places. */
  get statusFlags(): number {
    return this.cf | (evenParity(this.parity) << 2) | (this.aux & 16) |
      (this.zero === 0 ? 64 : 0) | (this.sign >>> 31 << 7) | (this.over >>> 31 << 11);
  }

  /** Sets the status flags from their places in `flags`. */
  setStatusFlags(flags: number): void {
    this.cf = flags & 1;
    this.parity = (flags >>> 2 & 1) ^ 1;
    this.aux = flags & 16;
    this.zero = ~flags & 64;
    this.sign = flags << 24;
    this.over = flags << 20;
  }

  /** Selector of segment `seg` of `Seg`. */
  selector(seg: number): number {
    return this.u16[(State.SEGMENTS + seg * 16 + SegField.SELECTOR) / 2];
  }
  attributes(seg: number): number {
    return this.u16[(State.SEGMENTS + seg * 16 + SegField.ATTRIBUTES) / 2];
  }
  /** Limit in bytes, unsigned. */
  limit(seg: number): number {
    return this.s[(State.SEGMENTS + seg * 16 + SegField.LIMIT) / 4] >>> 0;
  }
  baseLo(seg: number): number {
    return this.s[(State.SEGMENTS + seg * 16) / 4];
  }
  baseHi(seg: number): number {
    return this.s[(State.SEGMENTS + seg * 16) / 4 + 1];
  }

  /** Index of the current code segment's privilege: DPL of SS is the CPL (SDM 3A §5.5). */
  get stackDpl(): number {
    return this.attributes(Seg.SS) >>> 5 & 3;
  }
}

/** 1 when bits 7:0 have an even number of ones. */
export function evenParity(value: number): number {
  const nibble = value ^ value >>> 4;
  return 0x9669 >>> (nibble & 15) & 1;
}
