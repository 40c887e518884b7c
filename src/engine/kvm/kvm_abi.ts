/**
 * Structures of <linux/kvm.h> and <asm/kvm.h>, as far as the engine uses them. A test compares every
 * size and offset with the C compiler's; the meaning is in Linux Documentation/virt/kvm/api.rst.
 */

import { array, type CType, struct, u16, u32, u64, u8, union } from "../../base/struct.ts";

/** Exit reasons (kvm_run.exit_reason). */
export const KvmExit = {
  UNKNOWN: 0,
  EXCEPTION: 1,
  IO: 2,
  HYPERCALL: 3,
  DEBUG: 4,
  HLT: 5,
  MMIO: 6,
  IRQ_WINDOW_OPEN: 7,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTR: 10,
  SET_TPR: 11,
  TPR_ACCESS: 12,
  NMI: 16,
  INTERNAL_ERROR: 17,
  SYSTEM_EVENT: 24,
  IOAPIC_EOI: 26,
  HYPERV: 27,
  X86_RDMSR: 29,
  X86_WRMSR: 30,
  DIRTY_RING_FULL: 31,
  AP_RESET_HOLD: 32,
  X86_BUS_LOCK: 33,
  XEN: 34,
  NOTIFY: 37,
  MEMORY_FAULT: 39,
} as const;

/** kvm_run.io.direction of an OUT; 0 is an IN. */
export const KVM_EXIT_IO_OUT = 1;

/** kvm_run.internal.suberror: the kernel's emulator does not know the instruction. */
export const KVM_INTERNAL_ERROR_EMULATION = 1;
/** kvm_run.emulation_failure.flags: insn_size and insn_bytes are valid. */
export const KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;

/** kvm_run.system_event.type. */
export const KvmSystemEvent = { SHUTDOWN: 1, RESET: 2, CRASH: 3 } as const;

/** kvm_userspace_memory_region.flags. */
export const KVM_MEM_READONLY = 2;

/** kvm_pit_config.flags: the kernel answers port 0x61. */
export const KVM_PIT_SPEAKER_DUMMY = 1;

/** kvm_cpuid_entry2.flags: `index` is part of the key. */
export const KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;

/** kvm_vcpu_events.flags of the fields that KVM_SET_VCPU_EVENTS takes only when asked to. */
export const KvmEventsValid = { NMI_PENDING: 1, SIPI_VECTOR: 2, SHADOW: 4 } as const;

/** KVM_CHECK_EXTENSION arguments. */
export const KvmCap = {
  IRQCHIP: 0,
  USER_MEMORY: 3,
  MP_STATE: 14,
  PIT2: 33,
  VCPU_EVENTS: 41,
  DEBUGREGS: 50,
  XSAVE: 55,
  XCRS: 56,
  MAX_VCPUS: 66,
  TSC_DEADLINE_TIMER: 72,
  READONLY_MEM: 81,
  IMMEDIATE_EXIT: 136,
} as const;

export const KvmRun = struct({
  request_interrupt_window: u8,
  immediate_exit: u8,
  padding1: array(u8, 6),
  exit_reason: u32,
  ready_for_interrupt_injection: u8,
  if_flag: u8,
  flags: u16,
  cr8: u64,
  apic_base: u64,
  "": union({
    hw: struct({ hardware_exit_reason: u64 }),
    fail_entry: struct({ hardware_entry_failure_reason: u64, cpu: u32 }),
    ex: struct({ exception: u32, error_code: u32 }),
    io: struct({ direction: u8, size: u8, port: u16, count: u32, data_offset: u64 }),
    mmio: struct({ phys_addr: u64, data: array(u8, 8), len: u32, is_write: u8 }),
    internal: struct({ suberror: u32, ndata: u32, data: array(u64, 16) }),
    emulation_failure: struct({
      suberror: u32,
      ndata: u32,
      flags: u64,
      insn_size: u8,
      insn_bytes: array(u8, 15),
    }),
    system_event: struct({ type: u32, ndata: u32, data: array(u64, 16) }),
    padding: array(u8, 256),
  }),
  kvm_valid_regs: u64,
  kvm_dirty_regs: u64,
});

export const KvmRegs = struct({
  ...{ rax: u64, rbx: u64, rcx: u64, rdx: u64, rsi: u64, rdi: u64, rsp: u64, rbp: u64 },
  ...{ r8: u64, r9: u64, r10: u64, r11: u64, r12: u64, r13: u64, r14: u64, r15: u64 },
  ...{ rip: u64, rflags: u64 },
});

export const KvmSegment = struct({
  ...{ base: u64, limit: u32, selector: u16, type: u8, present: u8, dpl: u8, db: u8, s: u8 },
  ...{ l: u8, g: u8, avl: u8, unusable: u8, padding: u8 },
});

export const KvmDtable = struct({ base: u64, limit: u16, padding: array(u16, 3) });

export const KvmSregs = struct({
  ...{ cs: KvmSegment, ds: KvmSegment, es: KvmSegment, fs: KvmSegment, gs: KvmSegment },
  ...{ ss: KvmSegment, tr: KvmSegment, ldt: KvmSegment, gdt: KvmDtable, idt: KvmDtable },
  ...{ cr0: u64, cr2: u64, cr3: u64, cr4: u64, cr8: u64, efer: u64, apic_base: u64 },
  interrupt_bitmap: array(u64, 4),
});

export const KvmXsave = struct({ region: array(u32, 1024) });

export const KvmXcr = struct({ xcr: u32, reserved: u32, value: u64 });
export const KvmXcrs = struct({
  nr_xcrs: u32,
  flags: u32,
  xcrs: array(KvmXcr, 16),
  padding: array(u64, 16),
});

export const KvmMsrEntry = struct({ index: u32, reserved: u32, data: u64 });
/** Followed by `nmsrs` entries. */
export const KvmMsrs = struct({ nmsrs: u32, pad: u32, entries: array(KvmMsrEntry, 0) });

export const KvmCpuidEntry2 = struct({
  ...{ function: u32, index: u32, flags: u32, eax: u32, ebx: u32, ecx: u32, edx: u32 },
  padding: array(u32, 3),
});
/** Followed by `nent` entries. */
export const KvmCpuid2 = struct({ nent: u32, padding: u32, entries: array(KvmCpuidEntry2, 0) });

export const KvmVcpuEvents = struct({
  exception: struct({ injected: u8, nr: u8, has_error_code: u8, pending: u8, error_code: u32 }),
  interrupt: struct({ injected: u8, nr: u8, soft: u8, shadow: u8 }),
  nmi: struct({ injected: u8, pending: u8, masked: u8, pad: u8 }),
  sipi_vector: u32,
  flags: u32,
  smi: struct({ smm: u8, pending: u8, smm_inside_nmi: u8, latched_init: u8 }),
  /** Reserved; its first bytes have got names since. */
  "": array(u8, 27),
  exception_has_payload: u8,
  exception_payload: u64,
});

export const KvmDebugregs = struct({
  db: array(u64, 4),
  dr6: u64,
  dr7: u64,
  flags: u64,
  reserved: array(u64, 9),
});

export const KvmMpState = struct({ mp_state: u32 });

export const KvmUserspaceMemoryRegion = struct({
  slot: u32,
  flags: u32,
  guest_phys_addr: u64,
  memory_size: u64,
  userspace_addr: u64,
});

export const KvmIrqLevel = struct({ irq: u32, level: u32 });

/** Of an interrupt line; the kernel's union has other kinds of routes, and is 32 bytes long. */
export const KvmIrqRoutingEntry = struct({
  ...{ gsi: u32, type: u32, flags: u32, pad: u32 },
  u: union({ irqchip: struct({ irqchip: u32, pin: u32 }), pad: array(u32, 8) }),
});

/** Entries follow. */
export const KvmIrqRouting = struct({ nr: u32, flags: u32, entries: array(KvmIrqRoutingEntry, 0) });

/** A route to a pin of an interrupt controller in the kernel, and those controllers. */
export const KVM_IRQ_ROUTING_IRQCHIP = 1;
export const KvmIrqchip = { PIC_MASTER: 0, PIC_SLAVE: 1, IOAPIC: 2 } as const;

export const KvmPitConfig = struct({ flags: u32, pad: array(u32, 15) });

export const KvmTranslation = struct({
  ...{ linear_address: u64, physical_address: u64, valid: u8, writeable: u8, usermode: u8 },
  pad: array(u8, 5),
});

export const KvmStatsHeader = struct({
  ...{ flags: u32, name_size: u32, num_desc: u32, id_offset: u32, desc_offset: u32 },
  data_offset: u32,
});
/** Followed by the name, of `KvmStatsHeader.name_size` bytes. */
export const KvmStatsDesc = struct({
  ...{ flags: u32, exponent: u16, size: u16, offset: u32, bucket_size: u32 },
});

/** Every structure here by its C name, for the test. */
export const KVM_STRUCTS: Readonly<Record<string, CType>> = {
  kvm_run: KvmRun,
  kvm_regs: KvmRegs,
  kvm_segment: KvmSegment,
  kvm_dtable: KvmDtable,
  kvm_sregs: KvmSregs,
  kvm_xsave: KvmXsave,
  kvm_xcr: KvmXcr,
  kvm_xcrs: KvmXcrs,
  kvm_msr_entry: KvmMsrEntry,
  kvm_msrs: KvmMsrs,
  kvm_cpuid_entry2: KvmCpuidEntry2,
  kvm_cpuid2: KvmCpuid2,
  kvm_vcpu_events: KvmVcpuEvents,
  kvm_debugregs: KvmDebugregs,
  kvm_mp_state: KvmMpState,
  kvm_userspace_memory_region: KvmUserspaceMemoryRegion,
  kvm_irq_level: KvmIrqLevel,
  kvm_irq_routing_entry: KvmIrqRoutingEntry,
  kvm_irq_routing: KvmIrqRouting,
  kvm_pit_config: KvmPitConfig,
  kvm_translation: KvmTranslation,
  kvm_stats_header: KvmStatsHeader,
  kvm_stats_desc: KvmStatsDesc,
};
