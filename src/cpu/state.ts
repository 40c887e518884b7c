/**
 * The architectural state of one vCPU, in one memory layout that both engines share, so that a
 * snapshot taken on one restores on the other. All fields little-endian. Where a field is narrower
 * than its slot the rest is zero.
 */

/** Byte offsets of 64-bit fields (and of the blocks that hold them) in the state. */
export const State = {
  /** 16 general registers of 8 bytes in encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8 … r15. */
  GPR: 0,
  RIP: 128,
  RFLAGS: 136,
  CR0: 144,
  CR2: 152,
  CR3: 160,
  CR4: 168,
  /** Task priority, bits 3:0 (SDM 3A §10.8.6.1). */
  CR8: 176,
  EFER: 184,
  XCR0: 192,
  /** IA32_APIC_BASE (SDM 3A §10.4.4). */
  APIC_BASE: 200,
  /** 8 segments of 16 bytes, in the order of `Seg`; fields by `SegField`. */
  SEGMENTS: 208,
  /** Base (8 bytes) and limit (4 bytes) of the GDT, then of the IDT. */
  GDTR: 336,
  IDTR: 352,
  /** DR0 to DR3, DR6, DR7: 8 bytes each. */
  DEBUG: 368,
  /** Events in flight: 32-bit fields by `Event`. */
  EVENTS: 416,
  /** Model-specific registers, 8 bytes each, in the order of `STATE_MSRS`. */
  MSRS: 448,
  /** Four 32-bit words of the generator behind RDRAND in the wasm engine; all zero before its first use. */
  RANDOM: 1008,
  /** XSAVE area in the standard format (SDM 1 §13.4). */
  XSAVE: 1024,
} as const;

/** Bytes of one vCPU's state; 4 KiB of it for the XSAVE area. */
export const STATE_BYTES = 5120;
/** Bytes of the XSAVE area. */
export const XSAVE_BYTES = 4096;

/** Indices of the general registers (SDM 2A §2.1.5, encoding order). */
export const Reg = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;

/** Indices of the segments: the six of the encoding order, then LDTR and TR. */
export const Seg = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** Byte offsets in a segment's 16 bytes. */
export const SegField = {
  /** 64 bits. */
  BASE: 0,
  /** 32 bits, in bytes: granularity already applied. */
  LIMIT: 8,
  /** 16 bits. */
  SELECTOR: 12,
  /**
   * 16 bits: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15: the access-rights layout of
   * SDM 3C §24.4.1. A segment that cannot be used has P clear.
   */
  ATTRIBUTES: 14,
} as const;

/** Byte offsets in the events block, 32 bits each. */
export const Event = {
  /** Vector of an exception that is being delivered, or `NO_VECTOR`. */
  EXCEPTION: 0,
  /** Its error code, or `NO_VECTOR` when it pushes none. */
  ERROR_CODE: 4,
  /** Vector of an external or software interrupt that is being delivered, or `NO_VECTOR`. */
  INTERRUPT: 8,
  /** 1 when that interrupt is a software one (INT n). */
  INTERRUPT_SOFT: 12,
  /** Bit 0: blocked by STI, bit 1: by MOV SS (SDM 3A §6.8). */
  SHADOW: 16,
  /** Bit 0: an NMI is pending, bit 1: NMIs are masked until IRET, bit 2: one is being delivered. */
  NMI: 20,
  /** `MpState`. */
  MP_STATE: 24,
} as const;

/** No vector in an event field. */
export const NO_VECTOR = 0xffff_ffff;

/** What a vCPU is doing between instructions. */
export const MpState = { RUNNABLE: 0, UNINITIALIZED: 1, INIT_RECEIVED: 2, HALTED: 3 } as const;

/** Variable ranges' MTRRs: 8 pairs of base and mask (SDM 3A §11.11.2.3). */
export const MTRR_VARIABLE: readonly number[] = Array.from({ length: 16 }, (_, i) => 0x200 + i);
/** Fixed ranges' MTRRs, of 8 types each (SDM 3A §11.11.2.2). */
export const MTRR_FIXED: readonly number[] = [
  ...[0x250, 0x258, 0x259],
  ...Array.from({ length: 8 }, (_, i) => 0x268 + i),
];

/** The MSRs that are part of the state, in the order of their slots (numbers: SDM 4 §2.1). */
export const STATE_MSRS: readonly number[] = [
  0xc000_0081, // STAR
  0xc000_0082, // LSTAR
  0xc000_0083, // CSTAR
  0xc000_0084, // SFMASK
  0xc000_0102, // KERNEL_GS_BASE
  0xc000_0103, // TSC_AUX
  0x0000_0174, // SYSENTER_CS
  0x0000_0175, // SYSENTER_ESP
  0x0000_0176, // SYSENTER_EIP
  0x0000_0010, // TIME_STAMP_COUNTER
  0x0000_003b, // TSC_ADJUST
  0x0000_0277, // PAT
  0x0000_01a0, // MISC_ENABLE
  0x0000_02ff, // MTRR_DEF_TYPE
  0x0000_06e0, // TSC_DEADLINE
  0x0000_01d9, // DEBUGCTL
  0x0000_017a, // MCG_STATUS
  ...MTRR_VARIABLE,
  ...MTRR_FIXED,
];

/** One vCPU's state with access by offset. For set-up, inspection and snapshots; engines use the raw layout. */
export class CpuState {
  readonly view: DataView;

  /** Wraps STATE_BYTES at `offset` of `buffer`; by default fresh zeroed ones with no event in flight. */
  constructor(buffer: ArrayBufferLike = new ArrayBuffer(STATE_BYTES), offset = 0) {
    this.view = new DataView(buffer, offset, STATE_BYTES);
    if (arguments.length === 0) {
      this.setEvent(Event.EXCEPTION, NO_VECTOR);
      this.setEvent(Event.ERROR_CODE, NO_VECTOR);
      this.setEvent(Event.INTERRUPT, NO_VECTOR);
    }
  }

  /** The 64-bit field at a `State` offset. */
  get(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }
  set(offset: number, value: bigint | number): void {
    this.view.setBigUint64(offset, BigInt.asUintN(64, BigInt(value)), true);
  }

  /** General register `index` of `Reg`. */
  gpr(index: number): bigint {
    return this.get(State.GPR + index * 8);
  }
  setGpr(index: number, value: bigint | number): void {
    this.set(State.GPR + index * 8, value);
  }

  /** Segment `index` of `Seg`. */
  segment(index: number): Segment {
    const at = State.SEGMENTS + index * 16;
    return {
      base: this.view.getBigUint64(at + SegField.BASE, true),
      limit: this.view.getUint32(at + SegField.LIMIT, true),
      selector: this.view.getUint16(at + SegField.SELECTOR, true),
      attributes: this.view.getUint16(at + SegField.ATTRIBUTES, true),
    };
  }
  setSegment(index: number, segment: Segment): void {
    const at = State.SEGMENTS + index * 16;
    this.view.setBigUint64(at + SegField.BASE, BigInt(segment.base), true);
    this.view.setUint32(at + SegField.LIMIT, segment.limit, true);
    this.view.setUint16(at + SegField.SELECTOR, segment.selector, true);
    this.view.setUint16(at + SegField.ATTRIBUTES, segment.attributes, true);
  }

  /** A descriptor-table register: `State.GDTR` or `State.IDTR`. */
  setTable(offset: number, base: bigint | number, limit: number): void {
    this.view.setBigUint64(offset, BigInt(base), true);
    this.view.setUint32(offset + 8, limit, true);
  }

  /** A field of `Event`. */
  event(field: number): number {
    return this.view.getUint32(State.EVENTS + field, true);
  }
  setEvent(field: number, value: number): void {
    this.view.setUint32(State.EVENTS + field, value, true);
  }

  /** An MSR of `STATE_MSRS` by its number. */
  msr(index: number): bigint {
    return this.get(msrOffset(index));
  }
  setMsr(index: number, value: bigint | number): void {
    this.set(msrOffset(index), value);
  }
}

/** A segment register with its hidden part. */
export interface Segment {
  readonly base: bigint | number;
  readonly limit: number;
  readonly selector: number;
  readonly attributes: number;
}

function msrOffset(index: number): number {
  const slot = STATE_MSRS.indexOf(index);
  if (slot < 0) throw new RangeError(`Cannot find MSR 0x${index.toString(16)} in the vCPU state`);
  return State.MSRS + slot * 8;
}
