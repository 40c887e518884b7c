/**
 * Multiboot 1 kernels (Multiboot Specification 0.6.96): the header, and where the image goes by its
 * address fields or by its ELF headers.
 */

import { hex } from "../base/u64.ts";
import { flat32State } from "../cpu/modes.ts";
import { Reg } from "../cpu/state.ts";
import type { BootSource, Entry } from "./boot.ts";
import { BOOT_SELECTORS, putGdt } from "./descriptors.ts";
import { isElf, planElf, readElf } from "./elf.ts";
import type { Image } from "./image.ts";
import type { LoadPlan } from "./load_plan.ts";
import { planModules } from "./modules.ts";
import { planMultibootInfo } from "./multiboot_info.ts";

/** The header lies in the first 8192 bytes, aligned to 4 (§3.1). */
const SEARCH_BYTES = 8192;
const HEADER_MAGIC = 0x1bad_b002;
/** What EAX holds when the kernel starts (§3.2). */
const BOOT_MAGIC = 0x2bad_b002;

/** Header flags (§3.1.2): bits 15:0 are requirements that a loader must refuse if it knows them not. */
const Flag = {
  ALIGN_MODULES: 1 << 0,
  MEMORY_INFO: 1 << 1,
  /** A preferred video mode. There is no display: the kernel learns so from the info's flags. */
  VIDEO: 1 << 2,
  ADDRESSES: 1 << 16,
} as const;
const KNOWN_REQUIREMENTS = Flag.ALIGN_MODULES | Flag.MEMORY_INFO | Flag.VIDEO;

/** The offset of the Multiboot header in the file; undefined when there is none. */
export function findMultiboot(image: Image): number | undefined {
  const end = Math.min(image.sizeBytes, SEARCH_BYTES);
  for (let at = 0; at + 12 <= end; at += 4) {
    if (image.u32(at, "") !== HEADER_MAGIC) continue;
    const sum = HEADER_MAGIC + image.u32(at + 4, "") + image.u32(at + 8, "");
    if (sum % 2 ** 32 === 0) return at;
  }
  return undefined;
}

/** Plans a kernel whose Multiboot header is at `header`. */
export function loadMultiboot(
  plan: LoadPlan,
  image: Image,
  header: number,
  source: BootSource,
): Entry {
  const flags = image.u32(header + 4, "the Multiboot header");
  const unknown = flags & 0xffff & ~KNOWN_REQUIREMENTS;
  if (unknown !== 0) {
    throw image.error(
      `its Multiboot header requires features ${hex(unknown)} (flags ${hex(flags)}), ` +
        `expected at most ${hex(KNOWN_REQUIREMENTS)}`,
      { flags },
    );
  }
  // Where the header has addresses they go before those of an ELF header (§3.1.3).
  const byAddresses = (flags & Flag.ADDRESSES) !== 0;
  const eip = byAddresses ? planAddresses(plan, image, header) : planElfImage(plan, image);
  const modules = planModules(plan, source.initrds ?? []);
  const info = planMultibootInfo(plan, image, modules, source.append ?? "");

  const state = flat32State({ eip, gdt: putGdt(plan, 32), selectors: BOOT_SELECTORS });
  state.setGpr(Reg.RAX, BOOT_MAGIC);
  state.setGpr(Reg.RBX, info);
  return { state, description: `Multiboot, ${byAddresses ? "address fields" : "ELF"}` };
}

function planElfImage(plan: LoadPlan, image: Image): number {
  if (!isElf(image)) {
    throw image.error("its Multiboot header has no address fields and it is not an ELF file");
  }
  const elf = readElf(image);
  const entry = planElf(plan, image, elf, elf.entry);
  if (entry < 2 ** 32) return entry;
  throw image.error(`its entry point is ${hex(entry)}, expected it below 4 GiB`, { entry });
}

/** An image that gives its own addresses, the "a.out kludge" (§3.1.3). */
function planAddresses(plan: LoadPlan, image: Image, header: number): number {
  const field = (index: number) => image.u32(header + 12 + 4 * index, "the Multiboot header");
  const headerAddress = field(0);
  const load = field(1);
  const loadEnd = field(2);
  const bssEnd = field(3);
  const entry = field(4);
  const wrong = (problem: string) =>
    image.error(`its Multiboot address fields contradict each other: ${problem}`);
  const offset = header - (headerAddress - load);
  if (load > headerAddress || offset < 0) {
    throw wrong(
      `load_addr ${hex(load)} for a header at offset ${hex(header)} and address ${
        hex(headerAddress)
      }`,
    );
  }
  // 0 stands for the whole file.
  const sizeBytes = loadEnd === 0 ? image.sizeBytes - offset : loadEnd - load;
  if (sizeBytes <= 0) throw wrong(`load_addr ${hex(load)}, load_end_addr ${hex(loadEnd)}`);
  const end = load + sizeBytes;
  // 0 stands for no bss.
  if (bssEnd !== 0 && bssEnd < end) {
    throw wrong(`bss_end_addr ${hex(bssEnd)}, the image ends at ${hex(end)}`);
  }
  if (entry < load || entry >= end) {
    throw wrong(`entry_addr ${hex(entry)}, the image has ${hex(load)} to ${hex(end)}`);
  }
  plan.claim("the image", load, Math.max(end, bssEnd) - load);
  plan.write(load, image.slice(offset, sizeBytes, "the image by its Multiboot header"));
  return entry;
}
