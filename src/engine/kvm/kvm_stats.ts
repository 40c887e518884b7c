/** The counters that the kernel keeps of a VM and its vCPUs (api.rst §4.133), under its own names. */

import { offsetOf } from "../../base/struct.ts";
import { Ioctl } from "./ioctls.ts";
import { KvmStatsDesc, KvmStatsHeader } from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";

const header = (name: string) => offsetOf(KvmStatsHeader, name);
const descriptor = (name: string) => offsetOf(KvmStatsDesc, name);

/**
 * Adds the counters of a VM or vCPU to `sums`; those that are 0, and histograms, are left out.
 * Kernels before Linux 5.14 have none.
 */
export function addKernelStats(scratch: Scratch, fd: number, sums: Record<string, number>): void {
  const statsFd = scratch.tryPlainIoctl(fd, Ioctl.GET_STATS_FD, 0);
  if (statsFd < 0) return;
  const bytes = scratch.tryRead(statsFd);
  scratch.close(statsFd);
  if (bytes < KvmStatsHeader.size) return;
  const view = scratch.view;
  const nameBytes = view.getUint32(header("name_size"), true);
  const count = view.getUint32(header("num_desc"), true);
  const descriptors = view.getUint32(header("desc_offset"), true);
  const data = view.getUint32(header("data_offset"), true);
  const stride = KvmStatsDesc.size + nameBytes;
  if (descriptors + count * stride > bytes) return;
  for (let at = descriptors; at < descriptors + count * stride; at += stride) {
    const valueAt = data + view.getUint32(at + descriptor("offset"), true);
    if (view.getUint16(at + descriptor("size"), true) !== 1 || valueAt + 8 > bytes) continue;
    const value = Number(view.getBigUint64(valueAt, true));
    const name = text(scratch.bytes.subarray(at + KvmStatsDesc.size, at + stride));
    if (value > 0) sums[name] = (sums[name] ?? 0) + value;
  }
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end).slice());
}
