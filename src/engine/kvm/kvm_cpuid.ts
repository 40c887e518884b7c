/** The CPUID table that a guest on KVM sees: what the host supports, without what we do not serve. */

import { type CpuidLeaf, findLeaf, hypervisorLeaves, withTopology } from "../../cpu/cpuid.ts";
import { DenovisorError } from "../../base/errors.ts";
import { offsetOf } from "../../base/struct.ts";
import { Errno } from "./errno.ts";
import { Ioctl } from "./ioctls.ts";
import { KVM_CPUID_FLAG_SIGNIFCANT_INDEX, KvmCpuid2, KvmCpuidEntry2 } from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";
import { check } from "./shim.ts";

/** Entries in one table: KVM's own limit (KVM_MAX_CPUID_ENTRIES). */
const MAX_ENTRIES = 256;

/** The local APIC's timer runs at 1 GHz: one count a nanosecond (KVM's APIC_BUS_CYCLE_NS). */
const APIC_KHZ = 1_000_000;

const offset = (name: string) => offsetOf(KvmCpuidEntry2, name);
const FUNCTION = offset("function"), INDEX = offset("index"), FLAGS = offset("flags");
const EAX = offset("eax"), EBX = offset("ebx"), ECX = offset("ecx"), EDX = offset("edx");

/** What this host's KVM supports. @throws DenovisorError `kvm` */
export function supportedCpuid(scratch: Scratch, deviceFd: number): CpuidLeaf[] {
  const view = scratch.view;
  const bytes = KvmCpuid2.size + MAX_ENTRIES * KvmCpuidEntry2.size;
  scratch.clear(bytes);
  view.setUint32(0, MAX_ENTRIES, true);
  const done = scratch.tryIoctl(deviceFd, Ioctl.GET_SUPPORTED_CPUID, bytes);
  if (done === -Errno.E2BIG) {
    throw new DenovisorError("kvm", `Cannot read KVM's CPUID: more than ${MAX_ENTRIES} entries`);
  }
  check(done, "read KVM's CPUID");
  return Array.from({ length: view.getUint32(0, true) }, (_, i) => {
    const at = KvmCpuid2.size + i * KvmCpuidEntry2.size;
    return {
      leaf: view.getUint32(at + FUNCTION, true),
      subleaf: view.getUint32(at + INDEX, true),
      indexed: (view.getUint32(at + FLAGS, true) & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) !== 0,
      eax: view.getUint32(at + EAX, true),
      ebx: view.getUint32(at + EBX, true),
      ecx: view.getUint32(at + ECX, true),
      edx: view.getUint32(at + EDX, true),
    };
  });
}

/** What the guest's table depends on. */
export interface GuestCpuidOptions {
  readonly index: number;
  readonly cpus: number;
  /** 0 when the host does not say. */
  readonly tscKhz: number;
  /** KVM_CAP_TSC_DEADLINE_TIMER is there: KVM does not list the feature by itself. */
  readonly tscDeadline: boolean;
}

/** The table for vCPU `index` of `cpus`. */
export function guestCpuid(
  supported: readonly CpuidLeaf[],
  options: GuestCpuidOptions,
): CpuidLeaf[] {
  const table = withTopology(supported, options.index, options.cpus)
    .filter((entry) => !isHypervisorLeaf(entry.leaf) && !REMOVED.has(entry.leaf));
  const features = findLeaf(table, 1);
  if (features !== undefined) {
    features.ecx |= 1 << 31; // runs under a hypervisor
    if (options.tscDeadline) features.ecx |= 1 << 24;
    features.ecx >>>= 0;
  }
  const extended = findLeaf(table, 7, 0);
  if (extended !== undefined) {
    extended.ebx = (extended.ebx & ~SGX_EBX) >>> 0;
    extended.edx = (extended.edx & ~AMX_EDX) >>> 0;
  }
  const paravirtual = findLeaf(supported, 0x4000_0001);
  return [
    ...table,
    ...hypervisorLeaves({
      signature: "KVMKVMKVM",
      features: paravirtual?.eax ?? 0,
      hints: paravirtual?.edx ?? 0,
      tscKhz: options.tscKhz,
      apicKhz: APIC_KHZ,
    }),
  ];
}

/** Gives a vCPU its table. @throws DenovisorError `kvm` */
export function setCpuid(scratch: Scratch, vcpuFd: number, table: readonly CpuidLeaf[]): void {
  const view = scratch.view;
  const bytes = KvmCpuid2.size + table.length * KvmCpuidEntry2.size;
  scratch.clear(bytes);
  view.setUint32(0, table.length, true);
  table.forEach((entry, i) => {
    const at = KvmCpuid2.size + i * KvmCpuidEntry2.size;
    view.setUint32(at + FUNCTION, entry.leaf, true);
    view.setUint32(at + INDEX, entry.subleaf, true);
    view.setUint32(at + FLAGS, entry.indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0, true);
    view.setUint32(at + EAX, entry.eax, true);
    view.setUint32(at + EBX, entry.ebx, true);
    view.setUint32(at + ECX, entry.ecx, true);
    view.setUint32(at + EDX, entry.edx, true);
  });
  scratch.ioctl(vcpuFd, Ioctl.SET_CPUID2, bytes, "give the vCPU its CPUID table");
}

/**
 * SGX (leaf 0x12, and bits in leaf 7) needs enclaves of the host; AMX (0x1d, 0x1e and bits in
 * leaf 7) has more state than the 4 KiB of the XSAVE area.
 */
const REMOVED = new Set([0x12, 0x1d, 0x1e]);
const SGX_EBX = 1 << 2;
const AMX_EDX = 1 << 22 | 1 << 24 | 1 << 25;

function isHypervisorLeaf(leaf: number): boolean {
  return leaf >= 0x4000_0000 && leaf <= 0x4fff_ffff;
}
