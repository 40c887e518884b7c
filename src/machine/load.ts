/** The guest's way into a machine's memory. */

import { PAGE_SIZE } from "../base/u64.ts";
import type { BootSource, Entry, NamedBytes } from "../boot/boot.ts";
import { loadFirmware } from "../boot/firmware.ts";
import { firmwareKernel } from "../boot/linux/firmware_kernel.ts";
import { loadGuest } from "../boot/load_guest.ts";
import { CpuState } from "../cpu/state.ts";
import type { Engine } from "../engine/engine.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { Address } from "../platform/layout.ts";
import { linuxbootFiles } from "../platform/linuxboot/linuxboot.ts";
import type { PcOptions } from "../platform/pc.ts";

/** What is loaded. */
export interface GuestSource {
  readonly memory: GuestMemory;
  readonly source: BootSource;
  /** Firmware image, which then starts instead of the kernel; `memory` has a region for it. */
  readonly firmware: NamedBytes | undefined;
}

/** MTRR_DEF_TYPE (SDM 3A §11.11.2.1). */
const MTRR_DEF_TYPE = 0x2ff;
/**
 * What KVM keeps for itself: an identity-map page and three of a TSS. Guests find the same map on
 * every engine.
 */
export const KVM_PAGES = { start: Address.KVM_IDENTITY_MAP, sizeBytes: 4 * PAGE_SIZE } as const;

/** What firmware finds to boot: the kernel, when both are given, and the ROM that boots it. */
export function forFirmware(
  { memory, firmware, source }: GuestSource,
): Pick<PcOptions, "firmware"> {
  const { kernel } = source;
  if (firmware === undefined || kernel === undefined) return {};
  return {
    firmware: { kernel: firmwareKernel(memory, { ...source, kernel }), files: linuxbootFiles() },
  };
}

/**
 * Puts the guest into RAM, and the vCPUs of `engine` at its start.
 * @throws DenovisorError of the boot path.
 */
export function load(guest: GuestSource, acpiTables: Uint8Array, engine: Engine): Entry {
  const entry = loadMemory(guest, acpiTables);
  engine.vcpus[0].writeState(entry.state);
  shareMemoryTypes(engine, entry.state);
  return entry;
}

function loadMemory({ memory, source, firmware }: GuestSource, acpiTables: Uint8Array): Entry {
  if (firmware !== undefined) return loadFirmware(memory, firmware);
  const entry = loadGuest(memory, source, { rsdp: Address.ACPI_TABLES, reserved: [KVM_PAGES] });
  memory.write(Address.ACPI_TABLES, acpiTables);
  return entry;
}

/** All processors have the same memory types (SDM 3A §11.11.8): those with which vCPU 0 starts. */
function shareMemoryTypes(engine: Engine, boot: CpuState): void {
  const type = boot.msr(MTRR_DEF_TYPE);
  const state = new CpuState();
  for (const vcpu of engine.vcpus.slice(1)) {
    vcpu.readState(state);
    state.setMsr(MTRR_DEF_TYPE, type);
    vcpu.writeState(state);
  }
}
