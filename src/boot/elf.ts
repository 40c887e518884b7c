/**
 * ELF executables for x86, 32 and 64 bits (System V ABI, "Object Files" and "Program Loading"): the
 * file and program headers, checked against the file and against each other.
 */

import { hex } from "../base/u64.ts";
import { Image } from "./image.ts";
import type { LoadPlan } from "./load_plan.ts";

const MAGIC = [0x7f, 0x45, 0x4c, 0x46];
/** e_ident: class, data encoding. */
const EI_CLASS = 4;
const EI_DATA = 5;
const CLASS_32 = 1;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
/** e_type: executable, or shared object (a position-independent executable). */
const ET_EXEC = 2;
const ET_DYN = 3;
/** e_machine. */
const EM_386 = 3;
const EM_X86_64 = 62;
/** p_type. */
export const SegmentType = { LOAD: 1, NOTE: 4 } as const;
/** Kernels have fewer than ten; the bound keeps what a hostile file can cost small. */
const MAX_SEGMENTS = 256;

/** Where the two classes keep their fields, in bytes from the start of the respective header. */
const LAYOUT = {
  32: {
    entry: 24,
    phoff: 28,
    phentsize: 42,
    phnum: 44,
    phdrBytes: 32,
    segment: { offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20, align: 28 },
  },
  64: {
    entry: 24,
    phoff: 32,
    phentsize: 54,
    phnum: 56,
    phdrBytes: 56,
    segment: { offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40, align: 48 },
  },
} as const;

/** A program header. Sizes and offsets in bytes; [offset, offset + filesz) lies in the file. */
export interface Segment {
  readonly index: number;
  readonly type: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly paddr: number;
  readonly filesz: number;
  readonly memsz: number;
  readonly align: number;
}

/** What a loader needs to know of an ELF file. */
export interface Elf {
  readonly bits: 32 | 64;
  /** e_entry as it stands in the file: physical or virtual. */
  readonly entry: number;
  readonly segments: readonly Segment[];
}

/** True when the file begins as an ELF file does. */
export function isElf(image: Image): boolean {
  return image.startsWith(MAGIC);
}

/**
 * Reads the headers of a file for which `isElf` holds.
 * @throws DenovisorError `image` when it is not for x86, is cut off or contradicts itself.
 */
export function readElf(image: Image): Elf {
  const bits = readClass(image);
  const layout = LAYOUT[bits];
  const word = (offset: number, what: string) =>
    bits === 64 ? image.u64(offset, what) : image.u32(offset, what);
  const phoff = word(layout.phoff, "the ELF header");
  const phnum = image.u16(layout.phnum, "the ELF header");
  const phentsize = image.u16(layout.phentsize, "the ELF header");
  if (phnum === 0 || phnum > MAX_SEGMENTS || phentsize !== layout.phdrBytes) {
    throw image.error(
      `it has ${phnum} program headers of ${phentsize} bytes, ` +
        `expected 1 to ${MAX_SEGMENTS} of ${layout.phdrBytes} bytes`,
      { phnum, phentsize },
    );
  }
  const segments: Segment[] = [];
  for (let index = 0; index < phnum; index++) {
    const at = phoff + index * layout.phdrBytes;
    const what = `program header ${index}`;
    const field = (name: keyof typeof layout.segment) => word(at + layout.segment[name], what);
    segments.push(checkSegment(image, {
      index,
      type: image.u32(at, what),
      offset: field("offset"),
      vaddr: field("vaddr"),
      paddr: field("paddr"),
      filesz: field("filesz"),
      memsz: field("memsz"),
      align: field("align"),
    }));
  }
  return { bits, entry: word(layout.entry, "the ELF header"), segments };
}

/**
 * Plans all loadable segments at their physical addresses and returns the entry point as a physical
 * address: `entry` may be physical or virtual.
 */
export function planElf(plan: LoadPlan, image: Image, elf: Elf, entry: number): number {
  const loaded = elf.segments.filter(({ type, memsz }) => type === SegmentType.LOAD && memsz > 0);
  if (loaded.length === 0) throw image.error("it has no loadable segment");
  for (const { index, offset, paddr, filesz, memsz } of loaded) {
    plan.claim(`segment ${index}`, paddr, memsz);
    if (filesz > 0) plan.write(paddr, image.slice(offset, filesz, `segment ${index}`));
  }
  const holds = (start: number, sizeBytes: number) => start <= entry && entry < start + sizeBytes;
  if (loaded.some(({ paddr, memsz }) => holds(paddr, memsz))) return entry;
  const virtual = loaded.find(({ vaddr, memsz }) => holds(vaddr, memsz));
  if (virtual !== undefined) return entry - virtual.vaddr + virtual.paddr;
  throw image.error(`its entry point ${hex(entry)} is outside of its segments`, { entry });
}

function readClass(image: Image): 32 | 64 {
  const elfClass = image.u8(EI_CLASS, "the ELF header");
  const data = image.u8(EI_DATA, "the ELF header");
  const type = image.u16(16, "the ELF header");
  const machine = image.u16(18, "the ELF header");
  const executable = type === ET_EXEC || type === ET_DYN;
  if (data === LITTLE_ENDIAN && executable) {
    if (elfClass === CLASS_32 && machine === EM_386) return 32;
    if (elfClass === CLASS_64 && machine === EM_X86_64) return 64;
  }
  throw image.error(
    `it is an ELF file of class ${elfClass}, data ${data}, type ${type}, machine ${machine}, ` +
      "expected an executable for i386 (class 1, machine 3) or x86-64 (class 2, machine 62)",
    { class: elfClass, data, type, machine },
  );
}

function checkSegment(image: Image, segment: Segment): Segment {
  const { index, type, offset, filesz, memsz } = segment;
  if (type !== SegmentType.LOAD && type !== SegmentType.NOTE) return segment;
  if (offset + filesz > image.sizeBytes) {
    throw image.error(
      `it is truncated: segment ${index} has ${filesz} bytes at offset ${hex(offset)}, ` +
        `the file has ${image.sizeBytes} bytes`,
      { offset, filesz, fileBytes: image.sizeBytes },
    );
  }
  if (type === SegmentType.LOAD && filesz > memsz) {
    throw image.error(
      `segment ${index} has ${filesz} bytes in the file, but only ${memsz} in memory`,
      { filesz, memsz },
    );
  }
  return segment;
}
