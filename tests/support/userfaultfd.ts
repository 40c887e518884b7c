/** Whether this host lets us page guest memory. */

import { DenovisorError } from "../../src/base/errors.ts";
import { openUserfaultfd } from "../../src/engine/kvm/pager/userfaultfd.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import { kvmEngine, shimLibrary } from "./kvm_guest.ts";
import { all, type Requirement } from "./requirement.ts";

/** libkvm-shim, and a userfaultfd that sees the kernel's faults. */
export const userfaultfd: Requirement = all(shimLibrary, { missing: whyNoUserfaultfd() });

/** The same, which also sees faults on shared memory. */
export const sharedMemory: Requirement = all(userfaultfd, { missing: whyNoSharing() });

/** The same with KVM. */
export const pagedGuests: Requirement = all(kvmEngine, userfaultfd);

function whyNoSharing(): string | undefined {
  if (userfaultfd.missing !== undefined) return undefined; // said already
  using shim = Shim.open();
  const { fd, canShare } = openUserfaultfd(shim);
  shim.symbols.kvm_shim_close(fd);
  return canShare ? undefined : "the kernel does not report faults on shared memory";
}

function whyNoUserfaultfd(): string | undefined {
  if (shimLibrary.missing !== undefined) return undefined; // said already
  using shim = Shim.open();
  try {
    shim.symbols.kvm_shim_close(openUserfaultfd(shim).fd);
    return undefined;
  } catch (error) {
    if (error instanceof DenovisorError) return error.message;
    throw error;
  }
}
