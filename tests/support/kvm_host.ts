/** What this host's KVM is, for tests whose course depends on it. */

import { type KvmProbe, probeKvm } from "../../src/engine/kvm/probe.ts";
import type { Requirement } from "./requirement.ts";
import { kvmEngine } from "./kvm_guest.ts";

/** Found by running a guest, once in a process; undefined without KVM. */
export const host: KvmProbe | undefined = kvmEngine.missing === undefined ? probeKvm() : undefined;

/** KVM whose guest kernels run on the processor. */
export const nativeKvm: Requirement = {
  missing: kvmEngine.missing ??
    (host?.ring0 === "native" ? undefined : "this host's KVM interprets ring-0 code"),
};

/** KVM whose guest kernels are interpreted by the host's kernel, which lacks some instructions. */
export const interpretedKvm: Requirement = {
  missing: kvmEngine.missing ??
    (host?.ring0 === "interpreted" ? undefined : "this host's KVM runs ring-0 code natively"),
};
