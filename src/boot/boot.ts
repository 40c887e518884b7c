/**
 * The boot path's contract: what is to be booted, and where the first vCPU starts.
 */

import type { CpuState } from "../cpu/state.ts";
import type { Gpa } from "../base/u64.ts";

/** A file's contents with the name that messages use. */
export interface NamedBytes {
  /** The path that the user gave, as a rule. */
  readonly name: string;
  /** The whole file. */
  readonly bytes: Uint8Array;
}

/** An initrd, or a module where the boot protocol has modules. */
export interface BootModule extends NamedBytes {
  /** The string that PVH and Multiboot pass with a module: its name, unless given here. */
  readonly commandLine?: string;
}

/** What the user asked to boot. */
export interface BootSource {
  /** bzImage, ELF (PVH or Linux entry), Multiboot or flat image: detected. */
  readonly kernel?: NamedBytes;
  /** In order; concatenated for Linux, one module each for other PVH and Multiboot kernels. */
  readonly initrds?: readonly BootModule[];
  /** Kernel command line. */
  readonly append?: string;
}

/** Guest physical addresses from `start` on. */
export interface AddressRange {
  /** The first address. */
  readonly start: Gpa;
  /** How many bytes follow from there. */
  readonly sizeBytes: number;
}

/** What a loader may want to tell the kernel about the machine. */
export interface BootPlatform {
  /** Where the ACPI RSDP lies. */
  readonly rsdp: Gpa;
  /** What the guest must leave alone besides firmware and the BIOS area: KVM's own pages. */
  readonly reserved?: readonly AddressRange[];
}

/** A loaded guest. */
export interface Entry {
  /** State of vCPU 0. */
  readonly state: CpuState;
  /** How it was loaded, in a few words, for the user: "bzImage 6.1.0, Linux 64-bit entry". */
  readonly description: string;
}
