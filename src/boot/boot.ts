/**
 * The boot path's door: what is to be booted, and where the first vCPU starts.
 */

import type { CpuState } from "../cpu/state.ts";
import type { Gpa } from "../base/u64.ts";

/** A file's contents with the name that messages use. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What the user asked to boot. */
export interface BootSource {
  /** bzImage, ELF (PVH or 64-bit entry), Multiboot or flat image: detected. */
  readonly kernel?: NamedBytes;
  /** In order; concatenated for Linux, one module each for Multiboot. */
  readonly initrds?: readonly NamedBytes[];
  /** Kernel command line. */
  readonly append?: string;
}

/** What a loader may want to tell the kernel about the machine. */
export interface BootPlatform {
  /** Where the ACPI RSDP lies. */
  readonly rsdp: Gpa;
}

/** A loaded guest. */
export interface Entry {
  /** State of vCPU 0. */
  readonly state: CpuState;
  /** How it was loaded, in a few words, for the user: "Linux 6.1.0 bzImage, 64-bit entry". */
  readonly description: string;
}
