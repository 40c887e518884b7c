/**
 * A bzImage for firmware to boot (boot.rst, "Memory Layout" and "Running the Kernel"): the parts that
 * fw_cfg hands to the option ROM, which puts them where they are said to go and starts the kernel in
 * real mode. Images that only start so, such as iPXE's, boot this way alone.
 */

import { alignUp } from "../../base/u64.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import type { FirmwareKernel } from "../../platform/fw_cfg_platform.ts";
import type { BootSource, NamedBytes } from "../boot.ts";
import { commandLineBytes } from "../command_line.ts";
import { Image } from "../image.ts";
import { LoadPlan } from "../load_plan.ts";
import { memoryMap } from "../memory_map.ts";
import type { BootParams } from "./boot_params.ts";
import { joinInitrds, planInitrd } from "./initrd.ts";
import { fillHeader } from "./loader_fields.ts";
import { memoryLimit } from "./options.ts";
import { placeKernel } from "./placement.ts";
import { hasSetupHeader, HEADER_START, readSetupHeader, type SetupHeader } from "./setup_header.ts";

/** The real-mode segment, 64 KiB: code, then stack and heap; the command line follows it. */
const SEGMENT = 0x1_0000;
const SEGMENT_BYTES = 0x1_0000;
/** Kernels before 2.02 know no other place, and want all below 0x9a000. */
const OLD_SEGMENT = 0x9_0000;
const OLD_SEGMENT_BYTES = 0xa000;
const OLD_COMMAND_LINE = 0x9800;
const OLD_COMMAND_LINE_FIELDS = { start: 0x20, end: 0x24 } as const;
/** Real-mode code has at most 32 KiB; the heap comes after it. */
const MAX_SETUP_BYTES = 0x8000;
/** Firmware keeps tables of its own at the end of low RAM. */
const FIRMWARE_RAM_BYTES = 0x10_0000;

/**
 * The parts of `source`'s kernel for the firmware of a guest with `memory`.
 * @throws DenovisorError `image` when the kernel is no bzImage or something does not fit.
 */
export function firmwareKernel(
  memory: GuestMemory,
  source: BootSource & { readonly kernel: NamedBytes },
): FirmwareKernel {
  const image = new Image(source.kernel);
  if (!hasSetupHeader(image)) {
    throw image.error("firmware starts Linux bzImages only, and it is none");
  }
  const header = readSetupHeader(image);
  if (header.setupBytes > MAX_SETUP_BYTES) {
    throw image.error(
      `its real-mode code has ${header.setupBytes} bytes, expected at most ${MAX_SETUP_BYTES}`,
      { setupBytes: header.setupBytes },
    );
  }
  const plan = new LoadPlan(memory, memoryMap(memory, [endOfRam(memory)]), image);
  const append = source.append ?? "";
  const commandLine = commandLineBytes(image, append, header.cmdlineSize);
  const { start, align } = placeKernel(plan, image, header);
  const params = fillHeader(header, start, align, append);
  const { segment, commandLineAt } = planRealMode(plan, header, params, commandLine);
  const initrd = planInitrd(plan, source, {
    highest: header.initrdAddrMax,
    anywhere: false,
    ramEnd: memoryLimit(append),
  });
  if (initrd !== undefined) params.setInitrd(initrd.start, initrd.sizeBytes);
  return {
    setup: { address: segment, bytes: setupCode(image, header, params) },
    kernel: { address: start, bytes: header.code },
    commandLine: { address: commandLineAt, bytes: commandLine },
    ...(initrd === undefined ? {} : {
      initrd: { address: initrd.start, bytes: joinInitrds(source.initrds ?? []) },
    }),
  };
}

function endOfRam(memory: GuestMemory): { start: number; sizeBytes: number } {
  const { sizeBytes } = memory.regions[0];
  const kept = Math.min(FIRMWARE_RAM_BYTES, sizeBytes);
  return { start: sizeBytes - kept, sizeBytes: kept };
}

function planRealMode(
  plan: LoadPlan,
  header: SetupHeader,
  params: BootParams,
  commandLine: Uint8Array,
): { segment: number; commandLineAt: number } {
  const what = "the real-mode code";
  if (header.version < 0x202) {
    plan.claim(what, OLD_SEGMENT, OLD_SEGMENT_BYTES);
    params.setOldCommandLine(OLD_COMMAND_LINE, commandLine.length);
    return { segment: OLD_SEGMENT, commandLineAt: OLD_SEGMENT + OLD_COMMAND_LINE };
  }
  const commandLineAt = SEGMENT + SEGMENT_BYTES;
  plan.claim(what, SEGMENT, SEGMENT_BYTES + alignUp(commandLine.length, 16));
  params.setCommandLine(commandLineAt);
  return { segment: SEGMENT, commandLineAt };
}

/** The file's real-mode code with the header of `params`. */
function setupCode(image: Image, header: SetupHeader, params: BootParams): Uint8Array {
  const code = image.slice(0, header.setupBytes, "the real-mode code").slice();
  const headerEnd = HEADER_START + header.raw.length;
  code.set(params.bytes.subarray(HEADER_START, headerEnd), HEADER_START);
  if (header.version < 0x202) {
    const { start, end } = OLD_COMMAND_LINE_FIELDS;
    code.set(params.bytes.subarray(start, end), start);
  }
  return code;
}
