/** MSRs that firmware sets once, that are the same in every guest, and so no part of `CpuState`. */

import { offsetOf } from "../../base/struct.ts";
import { Ioctl } from "./ioctls.ts";
import { KvmMsrEntry, KvmMsrs } from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";

/** AMD's hardware configuration register (APM 2 §3.2.10). */
const HWCR = 0xc001_0015;
/** TscFreqSel: the TSC counts at the P0 frequency. Linux calls it a firmware bug when it is clear. */
const TSC_FREQ_SEL = 1n << 24n;

/** Sets them on one vCPU. KVM before Linux 6.8 refuses the bit: then the guest sees what it did. */
export function setFirmwareMsrs(scratch: Scratch, vcpuFd: number): void {
  trySetMsr(scratch, vcpuFd, HWCR, TSC_FREQ_SEL);
}

function trySetMsr(scratch: Scratch, vcpuFd: number, index: number, value: bigint): void {
  const bytes = KvmMsrs.size + KvmMsrEntry.size;
  scratch.clear(bytes);
  scratch.view.setUint32(offsetOf(KvmMsrs, "nmsrs"), 1, true);
  scratch.view.setUint32(KvmMsrs.size + offsetOf(KvmMsrEntry, "index"), index, true);
  scratch.view.setBigUint64(KvmMsrs.size + offsetOf(KvmMsrEntry, "data"), value, true);
  scratch.tryIoctl(vcpuFd, Ioctl.SET_MSRS, bytes);
}
