/**
 * What a Multiboot kernel finds behind EBX (Multiboot Specification 0.6.96, §3.3).
 */

import { Address } from "../platform/layout.ts";
import { type Image, zeroTerminated } from "./image.ts";
import { commandLineBytes } from "./command_line.ts";
import type { LoadPlan } from "./load_plan.ts";
import { encodeMapEntry, MAP_ENTRY_BYTES, type MapEntry, MapType } from "../platform/e820.ts";
import type { Module } from "./modules.ts";

/** Bits of the `flags` field: which of the others are valid. */
const Valid = {
  MEMORY: 1 << 0,
  COMMAND_LINE: 1 << 2,
  MODULES: 1 << 3,
  MEMORY_MAP: 1 << 6,
  LOADER_NAME: 1 << 9,
} as const;

/** Offsets of the fields, 4 bytes each. */
const Info = {
  FLAGS: 0,
  MEM_LOWER: 4,
  MEM_UPPER: 8,
  COMMAND_LINE: 16,
  MODS_COUNT: 20,
  MODS_ADDR: 24,
  MMAP_LENGTH: 44,
  MMAP_ADDR: 48,
  LOADER_NAME: 64,
} as const;
/** Up to and including the framebuffer fields, which stay zero. */
const INFO_BYTES = 116;
const MODULE_BYTES = 16;
const LOADER_NAME = "denovisor";

/** Plans the information structure with all it points to; returns its address. */
export function planMultibootInfo(
  plan: LoadPlan,
  image: Image,
  modules: readonly Module[],
  append: string,
): number {
  // The command line begins with the name of the image, as QEMU and GRUB pass it.
  const text = append === "" ? image.name : `${image.name} ${append}`;
  const info = new DataView(new ArrayBuffer(INFO_BYTES));
  const set = (offset: number, value: number) => info.setUint32(offset, value, true);
  const map = encodeMultibootMap(plan.map);
  set(
    Info.FLAGS,
    Valid.MEMORY | Valid.COMMAND_LINE | Valid.MODULES | Valid.MEMORY_MAP | Valid.LOADER_NAME,
  );
  set(Info.MEM_LOWER, kibFrom(plan.map, 0));
  set(Info.MEM_UPPER, kibFrom(plan.map, Address.HIGH_MEMORY));
  const commandLine = commandLineBytes(image, text, Infinity);
  set(Info.COMMAND_LINE, plan.putLow("the command line", commandLine, 4));
  set(Info.MODS_COUNT, modules.length);
  set(Info.MODS_ADDR, plan.putLow("the module list", encodeModules(plan, modules), 4));
  set(Info.MMAP_LENGTH, map.length);
  set(Info.MMAP_ADDR, plan.putLow("the memory map", map, 4));
  set(Info.LOADER_NAME, plan.putLow("the loader's name", zeroTerminated(LOADER_NAME), 4));
  return plan.putLow("the Multiboot information", new Uint8Array(info.buffer), 4);
}

/** KiB of the RAM that begins at `start`. */
function kibFrom(map: readonly MapEntry[], start: number): number {
  const ram = map.find((entry) => entry.type === MapType.RAM && entry.start === start);
  return Math.floor((ram?.sizeBytes ?? 0) / 1024);
}

function encodeModules(plan: LoadPlan, modules: readonly Module[]): Uint8Array {
  const list = new DataView(new ArrayBuffer(modules.length * MODULE_BYTES));
  modules.forEach(({ start, sizeBytes, commandLine }, index) => {
    const at = index * MODULE_BYTES;
    const string = plan.putLow("a module's string", zeroTerminated(commandLine), 1);
    list.setUint32(at, start, true);
    list.setUint32(at + 4, start + sizeBytes, true);
    list.setUint32(at + 8, string, true);
  });
  return new Uint8Array(list.buffer);
}

/** The map with each entry's size before it; the size does not count itself. */
function encodeMultibootMap(map: readonly MapEntry[]): Uint8Array {
  const stride = 4 + MAP_ENTRY_BYTES;
  const view = new DataView(new ArrayBuffer(map.length * stride));
  map.forEach((entry, index) => {
    view.setUint32(index * stride, MAP_ENTRY_BYTES, true);
    encodeMapEntry(view, index * stride + 4, entry);
  });
  return new Uint8Array(view.buffer);
}
