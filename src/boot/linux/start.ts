/**
 * What all Linux entries have in common: boot parameters, command line, initrd, and the CPU state
 * (boot.rst, "32-bit Boot Protocol" and "64-bit Boot Protocol").
 */

import type { CpuState } from "../../cpu/state.ts";
import { Reg } from "../../cpu/state.ts";
import { flat32State, long64State } from "../../cpu/modes.ts";
import { hex, PAGE_SIZE } from "../../base/u64.ts";
import type { BootPlatform, BootSource, Entry, NamedBytes } from "../boot.ts";
import { commandLineBytes } from "../command_line.ts";
import { BOOT_SELECTORS, IDENTITY_MAPPED_END, putGdt, putIdentityTables } from "../descriptors.ts";
import { imageError } from "../image.ts";
import type { LoadPlan } from "../load_plan.ts";
import type { BootParams } from "./boot_params.ts";
import { type InitrdLimits, planInitrd } from "./initrd.ts";
import { memoryLimit } from "./options.ts";

/** A Linux kernel whose code is planned and whose header is in `params`. */
export interface LinuxKernel {
  readonly file: NamedBytes;
  readonly params: BootParams;
  readonly entry: number;
  readonly bits: 32 | 64;
  /** Protocol version that `params` follow. */
  readonly version: number;
  readonly initrd: Omit<InitrdLimits, "ramEnd">;
  /** Longest command line in bytes. */
  readonly cmdlineSize: number;
  readonly description: string;
}

/** Kernels before 2.02 read parameters and command line where the real-mode code used to lie. */
const OLD_PARAMS = 0x9_0000;
/** Offset of their command line from there (boot.rst, "Sample Boot Configuration"). */
const OLD_COMMAND_LINE = 0x9800;

/** Plans the rest of a Linux guest. */
export function startLinux(
  plan: LoadPlan,
  kernel: LinuxKernel,
  source: BootSource,
  platform: BootPlatform,
): Entry {
  const { file, params, bits } = kernel;
  if (kernel.entry >= IDENTITY_MAPPED_END) {
    throw imageError(file, `its entry point is ${hex(kernel.entry)}, expected it below 4 GiB`, {
      entry: kernel.entry,
    });
  }
  const append = source.append ?? "";
  const commandLine = commandLineBytes(file, append, kernel.cmdlineSize);
  const start = kernel.version < 0x202
    ? planOldParams(plan, params, commandLine)
    : planParams(plan, params, commandLine);
  const initrd = planInitrd(plan, source, { ...kernel.initrd, ramEnd: memoryLimit(append) });
  if (initrd !== undefined) params.setInitrd(initrd.start, initrd.sizeBytes);
  params.setMemoryMap(plan.map, file);
  params.setRsdp(platform.rsdp);
  plan.write(start, params.bytes);
  const state = bits === 64 ? state64(plan, kernel.entry) : state32(plan, kernel.entry);
  state.setGpr(Reg.RSI, start);
  return { state, description: kernel.description };
}

function planParams(plan: LoadPlan, params: BootParams, commandLine: Uint8Array): number {
  const start = plan.placeLow("boot parameters", PAGE_SIZE, PAGE_SIZE);
  params.setCommandLine(plan.putLow("the command line", commandLine, 16));
  return start;
}

function planOldParams(plan: LoadPlan, params: BootParams, commandLine: Uint8Array): number {
  plan.claim("boot parameters", OLD_PARAMS, PAGE_SIZE);
  const at = OLD_PARAMS + OLD_COMMAND_LINE;
  plan.claim("the command line", at, commandLine.length);
  plan.write(at, commandLine);
  params.setOldCommandLine(OLD_COMMAND_LINE, commandLine.length);
  return OLD_PARAMS;
}

/** 64-bit mode, low 4 GiB mapped to themselves, interrupts off. */
function state64(plan: LoadPlan, rip: number): CpuState {
  const cr3 = putIdentityTables(plan);
  return long64State({ rip, cr3, gdt: putGdt(plan, 64), selectors: BOOT_SELECTORS });
}

/** 32-bit mode, paging and interrupts off; EBP, EDI and EBX are zero. */
function state32(plan: LoadPlan, eip: number): CpuState {
  return flat32State({ eip, gdt: putGdt(plan, 32), selectors: BOOT_SELECTORS });
}
