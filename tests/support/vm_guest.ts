/** Guests that tests boot through `Vm`. */

import { buildGuest, type GuestName } from "../../tools/guests.ts";
import type { VmOptions } from "../../src/vm/options.ts";
import { Vm } from "../../src/vm/vm.ts";
import { kvmEngine } from "./kvm_guest.ts";
import { all, toolchain } from "./requirement.ts";

/** KVM with its shim, and the assembler that builds our guests. */
export const kvmGuests = all(kvmEngine, toolchain);

/** The longest that any of our guests may take, in milliseconds: a bound against hanging. */
export const GUEST_TIMEOUT_MS = 60_000;

/** Boots one of our guests on a small machine. */
export async function bootGuest(name: GuestName, options: VmOptions = {}): Promise<Vm> {
  return await Vm.boot({
    kernel: await buildGuest(name),
    memory: "16M",
    timeoutMs: GUEST_TIMEOUT_MS,
    ...options,
  });
}

/** Boots hand-assembled 16-bit code, which starts at 0x7c00. */
export async function bootCode(code: readonly number[], options: VmOptions = {}): Promise<Vm> {
  return await Vm.boot({
    kernel: Uint8Array.from(code),
    memory: "2M",
    timeoutMs: GUEST_TIMEOUT_MS,
    ...options,
  });
}

/** cli; jmp to itself. */
export const ENDLESS_LOOP = [0xfa, 0xeb, 0xfe];
