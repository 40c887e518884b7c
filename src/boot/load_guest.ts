/**
 * Loads a guest of any format: what the file is, is seen from its contents.
 */

import { DenovisorError } from "../base/errors.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import type { BootPlatform, BootSource, Entry, NamedBytes } from "./boot.ts";
import { isElf, readElf } from "./elf.ts";
import { loadFlat } from "./flat.ts";
import { Image } from "./image.ts";
import { loadBzImage } from "./linux/bzimage.ts";
import { hasSetupHeader } from "./linux/setup_header.ts";
import { loadVmlinux } from "./linux/vmlinux.ts";
import { LoadPlan } from "./load_plan.ts";
import { memoryMap } from "./memory_map.ts";
import { findMultiboot, loadMultiboot } from "./multiboot.ts";
import { loadPvh, pvhEntry } from "./pvh.ts";

/**
 * Puts the kernel with all it is to find into `memory`, and says where the first vCPU starts.
 * `memory` is as `GuestMemory.allocate` gave it: what the guest expects to be zero is not written.
 * @throws DenovisorError `image`, before anything is written, when a file is malformed or something
 * does not fit; `usage` when `source` has no kernel.
 */
export function loadGuest(memory: GuestMemory, source: BootSource, platform: BootPlatform): Entry {
  const kernel = source.kernel;
  if (kernel === undefined) throw new DenovisorError("usage", "Cannot boot: no kernel is given");
  const plan = new LoadPlan(memory, memoryMap(memory, platform.reserved), kernel);
  const entry = planGuest(plan, kernel, source, platform);
  plan.commit();
  return entry;
}

function planGuest(
  plan: LoadPlan,
  kernel: NamedBytes,
  source: BootSource,
  platform: BootPlatform,
): Entry {
  const image = new Image(kernel);
  if (hasSetupHeader(image)) return loadBzImage(plan, image, source, platform);
  // A Multiboot kernel may also be an ELF file, and a PVH one too: as Multiboot it gets modules.
  const multiboot = findMultiboot(image);
  if (multiboot !== undefined) return loadMultiboot(plan, image, multiboot, source);
  if (!isElf(image)) return loadFlat(plan, image, source);
  const elf = readElf(image);
  const pvh = pvhEntry(image, elf);
  return pvh === undefined
    ? loadVmlinux(plan, image, elf, source, platform)
    : loadPvh(plan, image, elf, pvh, source, platform);
}
