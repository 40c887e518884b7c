/** /dev/kvm: opening it, with the reason and the remedy where that fails, and what it offers. */

import { DenovisorError } from "../../base/errors.ts";
import { Errno, errnoName } from "./errno.ts";
import { Ioctl } from "./ioctls.ts";
import { KvmCap } from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";
import { check } from "./shim.ts";

const PATH = "/dev/kvm";
const O_RDWR = 2;
/** The only version there has been since Linux 2.6.22. */
const API_VERSION = 12;

/** What KVM must offer, all of it in Linux 4.11 and later. */
const REQUIRED: ReadonlyArray<readonly [cap: number, name: string]> = [
  [KvmCap.USER_MEMORY, "KVM_CAP_USER_MEMORY"],
  [KvmCap.IRQCHIP, "KVM_CAP_IRQCHIP"],
  [KvmCap.PIT2, "KVM_CAP_PIT2"],
  [KvmCap.MP_STATE, "KVM_CAP_MP_STATE"],
  [KvmCap.VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"],
  [KvmCap.DEBUGREGS, "KVM_CAP_DEBUGREGS"],
  [KvmCap.XSAVE, "KVM_CAP_XSAVE"],
  [KvmCap.XCRS, "KVM_CAP_XCRS"],
  [KvmCap.READONLY_MEM, "KVM_CAP_READONLY_MEM"],
  [KvmCap.IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"],
];

/** Why /dev/kvm cannot be opened, and the command that would change that. */
export interface DeviceFault {
  readonly kind: "missing" | "no-permission" | "other";
  readonly reason: string;
  readonly fix?: string;
}

/** Gives everyone access; distributions that want less use GROUP="kvm", MODE="0660". */
const UDEV_FIX = `echo 'KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"' | ` +
  "sudo tee /etc/udev/rules.d/99-kvm.rules && sudo udevadm control --reload-rules && " +
  "sudo udevadm trigger --name-match=kvm";

/** What the error number of open("/dev/kvm") means. */
export function deviceFault(errno: number): DeviceFault {
  switch (errno) {
    case Errno.ENOENT:
    case Errno.ENODEV:
    case Errno.ENXIO:
      return {
        kind: "missing",
        reason: `there is no ${PATH}: the processor's virtualization is off in the firmware, ` +
          "not passed on by an outer hypervisor, or its kernel module is not loaded",
        fix: "sudo modprobe kvm_intel || sudo modprobe kvm_amd",
      };
    case Errno.EACCES:
    case Errno.EPERM:
      return {
        kind: "no-permission",
        reason: `no permission to open ${PATH} for reading and writing`,
        fix: UDEV_FIX,
      };
    default:
      return { kind: "other", reason: `cannot open ${PATH}: ${errnoName(errno)}` };
  }
}

/** The opened device; `fd` is the owner's to close. */
export interface KvmDevice {
  readonly fd: number;
  /** Bytes of the mapping that starts with kvm_run. */
  readonly runBytes: number;
  /** How many vCPUs a VM may have. */
  readonly maxCpus: number;
}

/**
 * Opens /dev/kvm and checks that it has what the engine needs.
 * @throws DenovisorError `kvm-unavailable`
 */
export function openKvm(scratch: Scratch): KvmDevice {
  const fd = tryOpenKvm(scratch);
  if (fd < 0) {
    const { reason, fix } = deviceFault(-fd);
    throw unavailable(fix === undefined ? reason : `${reason}; to fix it: ${fix}`);
  }
  try {
    const version = scratch.plainIoctl(fd, Ioctl.GET_API_VERSION, 0, "ask KVM for its version");
    if (version !== API_VERSION) {
      throw unavailable(`its API version is ${version}, expected ${API_VERSION}`);
    }
    for (const [cap, name] of REQUIRED) {
      if (extension(scratch, fd, cap) === 0) {
        throw unavailable(`the kernel lacks ${name}, expected Linux 4.11 or later`);
      }
    }
    return {
      fd,
      runBytes: scratch.plainIoctl(fd, Ioctl.GET_VCPU_MMAP_SIZE, 0, "ask KVM for kvm_run's size"),
      maxCpus: extension(scratch, fd, KvmCap.MAX_VCPUS),
    };
  } catch (error) {
    scratch.close(fd);
    throw error;
  }
}

/** A descriptor of /dev/kvm, or -errno. */
export function tryOpenKvm(scratch: Scratch): number {
  return scratch.tryOpen(PATH, O_RDWR);
}

/** KVM_CHECK_EXTENSION: 0 when the capability is absent. */
export function extension(scratch: Scratch, fd: number, cap: number): number {
  return check(
    scratch.tryPlainIoctl(fd, Ioctl.CHECK_EXTENSION, cap),
    `ask KVM for capability ${cap}`,
  );
}

function unavailable(reason: string): DenovisorError {
  return new DenovisorError("kvm-unavailable", `Cannot use KVM: ${reason}`, { reason });
}
