/** What the host's KVM tells guests about paging. */

import { findLeaf } from "../../src/cpu/cpuid.ts";
import { supportedCpuid } from "../../src/engine/kvm/kvm_cpuid.ts";
import { openKvm } from "../../src/engine/kvm/kvm_device.ts";
import { Scratch } from "../../src/engine/kvm/scratch.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import type { PagingFeatures } from "../../src/mmu/role.ts";

/** By CPUID, as KVM supports it. */
export function hostPaging(): PagingFeatures {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  const device = openKvm(scratch);
  try {
    const cpuid = supportedCpuid(scratch, device.fd);
    const of = (leaf: number) => findLeaf(cpuid, leaf);
    return {
      maxPhyAddrBits: (of(0x8000_0008)?.eax ?? 36) & 0xff,
      gbPages: ((of(0x8000_0001)?.edx ?? 0) >>> 26 & 1) === 1,
      amd: of(0)?.ecx === 0x444d_4163, // "cAMD"
    };
  } finally {
    scratch.close(device.fd);
  }
}
