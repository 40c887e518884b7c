/**
 * The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
 */

import { hex } from "../../base/u64.ts";
import { type Image, printable } from "../image.ts";

/** Offsets in the file, and in boot_params, of the fields that this loader reads or writes. */
export const Field = {
  SETUP_SECTS: 0x1f1,
  SYSSIZE: 0x1f4,
  VID_MODE: 0x1fa,
  BOOT_FLAG: 0x1fe,
  JUMP: 0x200,
  HEADER: 0x202,
  VERSION: 0x206,
  KERNEL_VERSION: 0x20e,
  TYPE_OF_LOADER: 0x210,
  LOADFLAGS: 0x211,
  SETUP_MOVE_SIZE: 0x212,
  CODE32_START: 0x214,
  RAMDISK_IMAGE: 0x218,
  RAMDISK_SIZE: 0x21c,
  HEAP_END_PTR: 0x224,
  CMD_LINE_PTR: 0x228,
  INITRD_ADDR_MAX: 0x22c,
  KERNEL_ALIGNMENT: 0x230,
  RELOCATABLE_KERNEL: 0x234,
  MIN_ALIGNMENT: 0x235,
  XLOADFLAGS: 0x236,
  CMDLINE_SIZE: 0x238,
  HARDWARE_SUBARCH: 0x23c,
  PAYLOAD_OFFSET: 0x248,
  PAYLOAD_LENGTH: 0x24c,
  SETUP_DATA: 0x250,
  PREF_ADDRESS: 0x258,
  INIT_SIZE: 0x260,
} as const;

/** The setup header starts here, and boot_params has room for it up to HEADER_LIMIT. */
export const HEADER_START = 0x1f1;
export const HEADER_LIMIT = 0x290;

export const LoadFlag = { LOADED_HIGH: 1 << 0, CAN_USE_HEAP: 1 << 7 } as const;
export const XLoadFlag = { KERNEL_64: 1 << 0, CAN_BE_LOADED_ABOVE_4G: 1 << 1 } as const;

/** "HdrS" */
const MAGIC = [0x48, 0x64, 0x72, 0x53];
const BOOT_FLAG = [0x55, 0xaa];
/** Opcode of a short jump, whose operand tells where the header ends. */
const JUMP_SHORT = 0xeb;
const SECTOR = 512;

/** Protocol versions and where the fields that each brought end; newer ones brought none used here. */
const HEADER_ENDS: readonly (readonly [version: number, end: number])[] = [
  [0x20a, 0x264],
  [0x209, 0x258],
  [0x208, 0x250],
  [0x207, 0x248],
  [0x206, 0x23c],
  [0x205, 0x235],
  [0x203, 0x230],
  [0x202, 0x22c],
  [0x201, 0x226],
  [0x200, 0x224],
];

/** What the header says; where its version has no such field, what boot.rst says to assume. */
export interface SetupHeader {
  readonly version: number;
  /** The header as it stands in the file, from HEADER_START on. */
  readonly raw: Uint8Array;
  /** Bytes of the boot sector and real-mode code: the protected-mode code follows. */
  readonly setupBytes: number;
  /** The protected-mode code. */
  readonly code: Uint8Array;
  readonly loadflags: number;
  readonly xloadflags: number;
  /** Highest address that an initrd may occupy. */
  readonly initrdAddrMax: number;
  /** Longest command line in bytes, without its terminating zero. */
  readonly cmdlineSize: number;
  readonly relocatable: boolean;
  /** Alignment in bytes that the kernel prefers, and the least that it takes. */
  readonly kernelAlignment: number;
  readonly minAlignment: number;
  /** 0 when the kernel has no preference. */
  readonly prefAddress: number;
  /** Bytes that the kernel needs from its runtime start on; 0 when unknown. */
  readonly initSize: number;
  readonly payloadOffset: number;
  readonly payloadLength: number;
  /** "6.1.0-18-amd64", or "" when the file does not say. */
  readonly kernelVersion: string;
}

/** True when the file has a setup header of protocol 2.00 or later. */
export function hasSetupHeader(image: Image): boolean {
  return image.startsWith(BOOT_FLAG, Field.BOOT_FLAG) && image.startsWith(MAGIC, Field.HEADER);
}

/**
 * Reads and checks the header of a file for which `hasSetupHeader` holds.
 * @throws DenovisorError `image` when it is cut off or contradicts itself.
 */
export function readSetupHeader(image: Image): SetupHeader {
  const version = image.u16(Field.VERSION, "the protocol version");
  const raw = image.slice(HEADER_START, headerEnd(image, version) - HEADER_START, "setup header");
  const u32 = (offset: number) => image.u32(offset, "the setup header");
  const setupBytes = (1 + (image.u8(Field.SETUP_SECTS, "setup_sects") || 4)) * SECTOR;
  const kernelAlignment = version >= 0x205 ? u32(Field.KERNEL_ALIGNMENT) : 1;
  return {
    version,
    raw,
    setupBytes,
    code: protectedModeCode(image, version, setupBytes),
    loadflags: image.u8(Field.LOADFLAGS, "loadflags"),
    xloadflags: version >= 0x20c ? image.u16(Field.XLOADFLAGS, "xloadflags") : 0,
    initrdAddrMax: version >= 0x203 ? u32(Field.INITRD_ADDR_MAX) : 0x37ff_ffff,
    cmdlineSize: version >= 0x206 ? u32(Field.CMDLINE_SIZE) : 255,
    relocatable: version >= 0x205 && image.u8(Field.RELOCATABLE_KERNEL, "relocatable_kernel") !== 0,
    kernelAlignment,
    minAlignment: version >= 0x20a
      ? minAlignment(image.u8(Field.MIN_ALIGNMENT, "min_alignment"), kernelAlignment)
      : kernelAlignment,
    prefAddress: version >= 0x20a ? image.u64(Field.PREF_ADDRESS, "pref_address") : 0,
    initSize: version >= 0x20a ? u32(Field.INIT_SIZE) : 0,
    payloadOffset: version >= 0x208 ? u32(Field.PAYLOAD_OFFSET) : 0,
    payloadLength: version >= 0x208 ? u32(Field.PAYLOAD_LENGTH) : 0,
    kernelVersion: kernelVersion(image, setupBytes),
  };
}

/** Where the header ends, by the jump over it; checked against what its version has. */
function headerEnd(image: Image, version: number): number {
  const needed = HEADER_ENDS.find(([since]) => version >= since);
  if (needed === undefined) {
    throw image.error(`its boot protocol version is ${hex(version)}, expected 0x200 or later`, {
      version,
    });
  }
  const opcode = image.u8(Field.JUMP, "the jump over the setup header");
  const end = Field.HEADER + image.u8(Field.JUMP + 1, "the jump over the setup header");
  if (opcode !== JUMP_SHORT || end < needed[1]) {
    throw image.error(
      `its setup header ends at ${hex(end)} by the jump at 0x200 (opcode ${hex(opcode)}), ` +
        `protocol version ${hex(version)} needs opcode 0xeb and an end at ${
          hex(needed[1])
        } or later`,
      { opcode, end, version },
    );
  }
  return Math.min(end, HEADER_LIMIT);
}

/** The 32/64-bit code after the real-mode code: syssize paragraphs of 16 bytes. */
function protectedModeCode(image: Image, version: number, setupBytes: number): Uint8Array {
  if (setupBytes >= image.sizeBytes) {
    throw image.error(
      `it is truncated: the file has ${image.sizeBytes} bytes, ` +
        `its real-mode code alone ${setupBytes} (setup_sects)`,
      { fileBytes: image.sizeBytes, setupBytes },
    );
  }
  const present = image.sizeBytes - setupBytes;
  // Before 2.04 the field has 16 bits, too few for a bzImage, and is not to be trusted.
  if (version < 0x204) return image.bytes.subarray(setupBytes);
  const sizeBytes = image.u32(Field.SYSSIZE, "syssize") * 16;
  if (sizeBytes === 0) throw image.error("it has no code: its syssize is 0");
  // Some images do not fill their last paragraph.
  if (sizeBytes - present >= 16) {
    throw image.error(
      `it is truncated: ${present} bytes of protected-mode code, expected ${sizeBytes} (syssize)`,
      { codeBytes: present, expected: sizeBytes },
    );
  }
  return image.bytes.subarray(setupBytes, setupBytes + sizeBytes);
}

/** 2^exponent, the least alignment the kernel takes; without one it takes only the preferred. */
function minAlignment(exponent: number, kernelAlignment: number): number {
  return exponent === 0 ? kernelAlignment : Math.min(2 ** exponent, kernelAlignment);
}

/** The first word of the version string, which the field points to less 0x200. */
function kernelVersion(image: Image, setupBytes: number): string {
  const pointer = image.u16(Field.KERNEL_VERSION, "kernel_version");
  if (pointer === 0 || pointer + SECTOR >= setupBytes) return "";
  return printable(image.bytes.subarray(pointer + SECTOR, setupBytes), 64).split(" ")[0];
}
