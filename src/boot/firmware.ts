/**
 * Firmware (`--bios`): it ends at 4 GiB, where the reset vector is, and PC firmware finds the copy
 * of its last 128 KiB below 1 MiB, where the chipset of a PC shows it too.
 */

import { gpa, PAGE_SIZE, TWO_32 } from "../base/u64.ts";
import { resetState } from "../cpu/modes.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { Address } from "../platform/layout.ts";
import type { Entry, NamedBytes } from "./boot.ts";
import { imageError } from "./image.ts";

/** The shadow: 0xe0000 to 0xfffff. */
const SHADOW_BYTES = 0x2_0000;
/**
 * The largest firmware. Below this much, counted down from 4 GiB, lie the APICs and the pages that
 * KVM keeps.
 */
export const MAX_FIRMWARE_BYTES = 0x100_0000;

/**
 * How much firmware the guest's memory needs, for `GuestMemory.allocate`.
 * @throws DenovisorError `image` when the file cannot be firmware.
 */
export function firmwareBytes(firmware: NamedBytes): number {
  const sizeBytes = firmware.bytes.length;
  if (sizeBytes === 0 || sizeBytes % PAGE_SIZE !== 0 || sizeBytes > MAX_FIRMWARE_BYTES) {
    throw imageError(
      firmware,
      `firmware of ${sizeBytes} bytes, expected a multiple of ${PAGE_SIZE} up to ${MAX_FIRMWARE_BYTES}`,
      { sizeBytes },
    );
  }
  return sizeBytes;
}

/**
 * Writes `firmware` to the memory's firmware region, which has `firmwareBytes(firmware)` bytes, and
 * its shadow to RAM. The vCPU starts at the reset vector.
 * @throws DenovisorError `image` when the file cannot be firmware or RAM ends below 1 MiB.
 */
export function loadFirmware(memory: GuestMemory, firmware: NamedBytes): Entry {
  const sizeBytes = firmwareBytes(firmware);
  if (!memory.contains(0, Address.HIGH_MEMORY)) {
    throw imageError(
      firmware,
      `the guest has ${memory.ramBytes} bytes of RAM, firmware needs 1 MiB`,
      { ramBytes: memory.ramBytes },
    );
  }
  const shadow = firmware.bytes.subarray(Math.max(0, sizeBytes - SHADOW_BYTES));
  memory.write(gpa(TWO_32 - sizeBytes), firmware.bytes);
  memory.write(gpa(Address.HIGH_MEMORY - shadow.length), shadow);
  return { state: resetState(), description: "firmware, reset vector" };
}
