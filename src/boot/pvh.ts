/**
 * PVH: the entry that Xen defined and other hypervisors share. An ELF note gives a 32-bit entry
 * point; EBX points to `struct hvm_start_info` (Xen, docs/misc/pvh.pandoc and
 * public/arch-x86/hvm/start_info.h; note numbers: public/elfnote.h).
 */

import { alignUp, hi32, lo32 } from "../base/u64.ts";
import { flat32State } from "../cpu/modes.ts";
import { Reg, Seg } from "../cpu/state.ts";
import type { BootPlatform, BootSource, Entry } from "./boot.ts";
import { commandLineBytes } from "./command_line.ts";
import { BOOT_SELECTORS, putGdt } from "./descriptors.ts";
import { type Elf, planElf, SegmentType } from "./elf.ts";
import { type Image, zeroTerminated } from "./image.ts";
import { planInitrd } from "./linux/initrd.ts";
import { isLinux, VMLINUX_LIMITS } from "./linux/vmlinux.ts";
import type { LoadPlan } from "./load_plan.ts";
import type { MapEntry } from "./memory_map.ts";
import { type Module, planModules } from "./modules.ts";

/** XEN_ELFNOTE_PHYS32_ENTRY, and the owner of the note. */
const NOTE_PHYS32_ENTRY = 18;
const NOTE_OWNER = [0x58, 0x65, 0x6e, 0x00];

const START_INFO_MAGIC = 0x336e_c578;
const START_INFO_BYTES = 56;
const MODULE_BYTES = 32;
const MEMORY_MAP_BYTES = 24;
/** Kernels have some twenty notes; the bound keeps what a hostile file can cost small. */
const MAX_NOTES = 4096;
/** Limit of the task-state segment that the specification asks for. */
const TSS_LIMIT = 0x67;

/** The entry point of the PVH note; undefined when the file has none. */
export function pvhEntry(image: Image, elf: Elf): number | undefined {
  let notes = 0;
  for (const segment of elf.segments) {
    if (segment.type !== SegmentType.NOTE) continue;
    // Notes are aligned to 4 bytes, and to 8 in segments that say so.
    const align = segment.align === 8 ? 8 : 4;
    const end = segment.offset + segment.filesz;
    for (let at = segment.offset; at + 12 <= end;) {
      if (++notes > MAX_NOTES) throw image.error(`it has more than ${MAX_NOTES} ELF notes`);
      const nameBytes = image.u32(at, "a note");
      const valueBytes = image.u32(at + 4, "a note");
      const type = image.u32(at + 8, "a note");
      const value = at + alignUp(12 + nameBytes, align);
      if (type === NOTE_PHYS32_ENTRY && image.startsWith(NOTE_OWNER, at + 12)) {
        // The upper half of a 64-bit value is zero: the entry has 32 bits.
        if (value + 4 <= end) return image.u32(value, "the PVH note");
        throw image.error(`its PVH note ends at offset ${end}, expected the entry point there`);
      }
      at = alignUp(value + valueBytes, align);
    }
  }
  return undefined;
}

/** Plans an ELF kernel whose PVH note has `entry`. */
export function loadPvh(
  plan: LoadPlan,
  image: Image,
  elf: Elf,
  entry: number,
  source: BootSource,
  platform: BootPlatform,
): Entry {
  const eip = planElf(plan, image, elf, entry);
  const commandLine = pvhCommandLine(image, source.append ?? "");
  const modules = pvhModules(plan, image, source);
  const startInfo = new Uint32Array(START_INFO_BYTES / 4);
  startInfo[0] = START_INFO_MAGIC;
  startInfo[1] = 1; // version: has a memory map
  startInfo[3] = modules.length;
  setWide(startInfo, 4, plan.putLow("the module list", encodeModules(plan, modules), 8));
  setWide(startInfo, 6, plan.putLow("the command line", commandLine, 16));
  setWide(startInfo, 8, platform.rsdp);
  setWide(startInfo, 10, plan.putLow("the memory map", encodePvhMap(plan.map), 8));
  startInfo[12] = plan.map.length;
  const at = plan.putLow("the start info", new Uint8Array(startInfo.buffer), 8);

  const state = flat32State({ eip, gdt: putGdt(plan, 32), selectors: BOOT_SELECTORS });
  state.setSegment(Seg.TR, { ...state.segment(Seg.TR), limit: TSS_LIMIT });
  state.setGpr(Reg.RBX, at);
  return { state, description: `ELF${elf.bits}, PVH entry` };
}

/** The command line; for Linux within its limit. */
function pvhCommandLine(image: Image, text: string): Uint8Array {
  const bytes = commandLineBytes(image, text, Infinity);
  return bytes.length - 1 > VMLINUX_LIMITS.cmdlineSize && isLinux(image)
    ? commandLineBytes(image, text, VMLINUX_LIMITS.cmdlineSize)
    : bytes;
}

/** The modules. Linux takes the first one as its initrd and ignores the others: one of all files. */
function pvhModules(plan: LoadPlan, image: Image, source: BootSource): readonly Module[] {
  const files = source.initrds ?? [];
  if (files.length < 2 || !isLinux(image)) return planModules(plan, files);
  const initrd = planInitrd(plan, source, { ...VMLINUX_LIMITS.initrd, ramEnd: Infinity });
  return initrd === undefined ? [] : [{ ...initrd, commandLine: "" }];
}

function encodeModules(plan: LoadPlan, modules: readonly Module[]): Uint8Array {
  const words = new Uint32Array(modules.length * MODULE_BYTES / 4);
  modules.forEach((module, index) => {
    const at = index * MODULE_BYTES / 4;
    setWide(words, at, module.start);
    setWide(words, at + 2, module.sizeBytes);
    setWide(words, at + 4, plan.putLow("a module's string", zeroTerminated(module.commandLine), 1));
  });
  return new Uint8Array(words.buffer);
}

/** The map as `struct hvm_memmap_table_entry`: its types are those of E820h. */
function encodePvhMap(map: readonly MapEntry[]): Uint8Array {
  const words = new Uint32Array(map.length * MEMORY_MAP_BYTES / 4);
  map.forEach((entry, index) => {
    const at = index * MEMORY_MAP_BYTES / 4;
    setWide(words, at, entry.start);
    setWide(words, at + 2, entry.sizeBytes);
    words[at + 4] = entry.type;
  });
  return new Uint8Array(words.buffer);
}

function setWide(words: Uint32Array, at: number, value: number): void {
  words[at] = lo32(value);
  words[at + 1] = hi32(value);
}
