/**
 * Where things are in the PC: one table of ports, interrupt lines and physical addresses.
 */

import { gpa } from "../base/u64.ts";

/** I/O ports. */
export const Port = {
  /** 8259As: command and data each, and where their inputs are made level-triggered. */
  PIC_MASTER: 0x20,
  PIC_SLAVE: 0xa0,
  PIC_MASTER_ELCR: 0x4d0,
  PIC_SLAVE_ELCR: 0x4d1,
  /** 8254: three counters and the control word. */
  PIT: 0x40,
  /** 8042 keyboard controller: data, and status/command. */
  I8042_DATA: 0x60,
  I8042_COMMAND: 0x64,
  /** System control port B: PIT channel 2 gate and speaker. */
  SYSTEM_CONTROL_B: 0x61,
  /** MC146818 index and data. */
  CMOS_INDEX: 0x70,
  CMOS_DATA: 0x71,
  /** Power-on self-test code. */
  POST: 0x80,
  /** System control port A: fast A20 and reset. */
  SYSTEM_CONTROL_A: 0x92,
  /** Bochs and QEMU debug console. */
  DEBUGCON: 0xe9,
  /** Debug exit (QEMU's isa-debug-exit). */
  DEBUG_EXIT: 0xf4,
  /** SeaBIOS' debug console. */
  SEABIOS_DEBUGCON: 0x402,
  COM1: 0x3f8,
  /** fw_cfg: selector, data, DMA address (2 × 32 bits, big-endian). */
  FW_CFG_SELECTOR: 0x510,
  FW_CFG_DATA: 0x511,
  FW_CFG_DMA: 0x514,
  /** ACPI PM1a event block (4 bytes), control block (2), PM timer (4). */
  PM1_EVENT: 0x600,
  PM1_CONTROL: 0x604,
  PM_TIMER: 0x608,
  /** PCI configuration address and data. */
  PCI_ADDRESS: 0xcf8,
  /** Reset control register, inside the PCI address port's dword. */
  RESET_CONTROL: 0xcf9,
  PCI_DATA: 0xcfc,
} as const;

/** Global system interrupts; ISA IRQ n is GSI n. */
export const Gsi = { TIMER: 0, KEYBOARD: 1, COM1: 4, RTC: 8, SCI: 9, MOUSE: 12 } as const;

/** Guest physical addresses. */
export const Address = {
  /** End of conventional memory; the extended BIOS data area follows. */
  EBDA: gpa(0x9_fc00),
  /** VGA memory and option ROMs: not for the guest's allocator. */
  VGA: gpa(0xa_0000),
  /** ACPI tables and the RSDP, in the BIOS area that operating systems search (ACPI 6.4 §5.2.5.1). */
  ACPI_TABLES: gpa(0xe_0000),
  /** End of the first megabyte. */
  HIGH_MEMORY: gpa(0x10_0000),
  IOAPIC: gpa(0xfec0_0000),
  LOCAL_APIC: gpa(0xfee0_0000),
  /** Pages KVM keeps for itself on Intel hosts: the identity-map page and three of a TSS. */
  KVM_IDENTITY_MAP: gpa(0xfeff_c000),
  KVM_TSS: gpa(0xfeff_d000),
} as const;
