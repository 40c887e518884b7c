/** Whether this host lets us page guest memory. */

import { DenovisorError } from "../../src/base/errors.ts";
import { openUserfaultfd } from "../../src/engine/kvm/pager/userfaultfd.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import { kvmEngine, shimLibrary } from "./kvm_guest.ts";
import { all, type Requirement } from "./requirement.ts";

/** libkvm-shim, and a userfaultfd that sees the kernel's faults. */
export const userfaultfd: Requirement = all(shimLibrary, { missing: whyNoUserfaultfd() });

/** The same with KVM. */
export const pagedGuests: Requirement = all(kvmEngine, userfaultfd);

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
