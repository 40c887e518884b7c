/** Resource descriptors (ACPI 6.4 §6.4): which ports, interrupts and addresses a device uses. */

import { type Aml, buffer, dword, word } from "./aml.ts";

/** End tag; a checksum of zero counts as good (§6.4.2.9). */
const END: Aml = [0x79, 0];
/** Address space descriptors: resource types and flags (§6.4.3.5). */
const Space = { MEMORY: 0, IO: 1, BUS: 2 } as const;
/** Minimum and maximum are fixed (bits 2 and 3); positive decode. */
const FIXED = 0x0c;
/** Memory that is writable and not cacheable (§6.4.3.5.5). */
const MEMORY_FLAGS = 0x01;
/** The range covers ISA and non-ISA addresses (§6.4.3.5.5). */
const ENTIRE_RANGE = 0x03;

/** The resources of one device, as a buffer for its _CRS. */
export function resources(...descriptors: readonly Aml[]): Aml {
  return buffer([...descriptors.flat(), ...END]);
}

/** `count` ports from `first` on, all 16 address bits decoded (§6.4.2.5). */
export function ports(first: number, count: number): Aml {
  return [0x47, 1, ...word(first), ...word(first), 1, count];
}

/** An ISA interrupt: edge-triggered, active high (§6.4.2.1). */
export function isaIrq(irq: number): Aml {
  return [0x22, ...word(1 << irq)];
}

/** The buses below a bridge (§6.4.3.5.3). */
export function busWindow(first: number, last: number): Aml {
  return wordWindow(Space.BUS, 0, first, last);
}

/** The ports a bridge passes on (§6.4.3.5.3). */
export function portWindow(first: number, last: number): Aml {
  return wordWindow(Space.IO, ENTIRE_RANGE, first, last);
}

/** The 32-bit addresses a bridge passes on (§6.4.3.5.2). */
export function memoryWindow(first: number, last: number): Aml {
  return [
    0x87,
    ...word(23),
    Space.MEMORY,
    FIXED,
    MEMORY_FLAGS,
    ...dword(0),
    ...dword(first),
    ...dword(last),
    ...dword(0),
    ...dword(last - first + 1),
  ];
}

function wordWindow(space: number, flags: number, first: number, last: number): Aml {
  return [
    0x88,
    ...word(13),
    space,
    FIXED,
    flags,
    ...word(0),
    ...word(first),
    ...word(last),
    ...word(0),
    ...word(last - first + 1),
  ];
}
