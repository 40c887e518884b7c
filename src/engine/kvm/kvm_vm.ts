/** One KVM virtual machine: its descriptor, interrupt controllers, timer and memory slots. */

import { DenovisorError } from "../../base/errors.ts";
import { offsetOf } from "../../base/struct.ts";
import { hex } from "../../base/u64.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import { Errno } from "./errno.ts";
import { Ioctl } from "./ioctls.ts";
import {
  KVM_MEM_READONLY,
  KVM_PIT_SPEAKER_DUMMY,
  KvmIrqLevel,
  KvmPitConfig,
  KvmUserspaceMemoryRegion,
} from "./kvm_abi.ts";
import { setIrqRouting } from "./irq_routing.ts";
import { type KvmDevice, openKvm } from "./kvm_device.ts";
import { Scratch } from "./scratch.ts";
import { check, type MappedRegion, type Shim, type ShimRegion, type ShimSymbols } from "./shim.ts";

/**
 * Guest physical pages that KVM uses for real mode on older Intel processors: an identity-map page,
 * then three of a TSS (api.rst §4.7 and §4.41). In the 32-bit hole, below any firmware of 16 MiB.
 */
export const KVM_IDENTITY_MAP = 0xfeff_c000;
export const KVM_TSS = 0xfeff_d000;

/** Transparent huge pages: one stage-2 entry and one host fault for 2 MiB instead of 512. */
const MADV_HUGEPAGE = 14;

/** A virtual machine without vCPUs. Owns its descriptors and regions. */
export class KvmVm implements Disposable {
  readonly device: KvmDevice;
  readonly fd: number;
  readonly scratch: Scratch;
  readonly #resources = new DisposableStack();
  readonly #symbols: ShimSymbols;
  readonly #irq: MappedRegion;
  readonly #irqLevel: Uint32Array;

  /** @throws DenovisorError `kvm-unavailable` or `kvm` */
  constructor(shim: Shim, memory: GuestMemory) {
    using undo = new DisposableStack();
    this.#symbols = shim.symbols;
    this.scratch = undo.use(new Scratch(shim));
    this.#irq = undo.use(shim.mapRegion(-1, KvmIrqLevel.size));
    this.#irqLevel = new Uint32Array(this.#irq.buffer);
    this.device = openKvm(this.scratch);
    undo.defer(() => this.scratch.close(this.device.fd));
    this.fd = createVm(this.scratch, this.device.fd);
    undo.defer(() => this.scratch.close(this.fd));
    this.#createChips();
    const region = undo.use(shim.addRegion(new Uint8Array(memory.wasm.buffer)));
    this.#setMemory(memory, region);
    this.#resources = undo.move();
  }

  /** Sets the line of global system interrupt `gsi`; the kernel ignores numbers it does not know. */
  setIrqLine(gsi: number, level: boolean): void {
    this.#irqLevel[0] = gsi;
    this.#irqLevel[1] = level ? 1 : 0;
    this.#symbols.kvm_shim_ioctl_at(this.fd, Ioctl.IRQ_LINE, this.#irq.id, 0, KvmIrqLevel.size);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** PIC, I/O APIC, local APICs and PIT in the kernel, which also answers port 0x61. */
  #createChips(): void {
    const { scratch, fd } = this;
    scratch.view.setBigUint64(0, BigInt(KVM_IDENTITY_MAP), true);
    scratch.ioctl(fd, Ioctl.SET_IDENTITY_MAP_ADDR, 8, "place KVM's identity map");
    scratch.plainIoctl(fd, Ioctl.SET_TSS_ADDR, KVM_TSS, "place KVM's TSS");
    scratch.plainIoctl(fd, Ioctl.CREATE_IRQCHIP, 0, "create KVM's interrupt controllers");
    setIrqRouting(scratch, fd);
    scratch.clear(KvmPitConfig.size);
    scratch.view.setUint32(offsetOf(KvmPitConfig, "flags"), KVM_PIT_SPEAKER_DUMMY, true);
    scratch.ioctl(fd, Ioctl.CREATE_PIT2, KvmPitConfig.size, "create KVM's timer");
  }

  #setMemory(memory: GuestMemory, host: ShimRegion): void {
    const { scratch, fd } = this;
    const set = (field: string, value: number | bigint) =>
      scratch.view.setBigUint64(offsetOf(KvmUserspaceMemoryRegion, field), BigInt(value), true);
    memory.regions.forEach((region, slot) => {
      const flags = region.readOnly ? KVM_MEM_READONLY : 0;
      scratch.view.setUint32(offsetOf(KvmUserspaceMemoryRegion, "slot"), slot, true);
      scratch.view.setUint32(offsetOf(KvmUserspaceMemoryRegion, "flags"), flags, true);
      set("guest_phys_addr", region.gpa);
      set("memory_size", region.sizeBytes);
      set("userspace_addr", host.address(region.offset, region.sizeBytes));
      scratch.ioctl(
        fd,
        Ioctl.SET_USER_MEMORY_REGION,
        KvmUserspaceMemoryRegion.size,
        `give KVM ${region.sizeBytes} bytes of memory at ${hex(region.gpa)}`,
      );
      // Refused by kernels without huge pages: nothing is lost but speed.
      this.#symbols.kvm_shim_madvise(
        host.id,
        BigInt(region.offset),
        BigInt(region.sizeBytes),
        MADV_HUGEPAGE,
      );
    });
  }
}

/** KVM_CREATE_VM gives up when a signal comes (Linux 5.13 and others), so it is tried again. */
function createVm(scratch: Scratch, deviceFd: number): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const fd = scratch.tryPlainIoctl(deviceFd, Ioctl.CREATE_VM, 0);
    if (fd !== -Errno.EINTR) return check(fd, "create a KVM virtual machine");
  }
  throw new DenovisorError("kvm", "Cannot create a KVM virtual machine: EINTR 100 times");
}
