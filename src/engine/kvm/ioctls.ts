/**
 * Request numbers of the KVM and userfaultfd ioctls, encoded as in <asm-generic/ioctl.h>: number in bits 7:0, type
 * in 15:8, size of the argument in 29:16, direction in 31:30.
 */

import { type CType, u64 } from "../../base/struct.ts";
import * as abi from "./kvm_abi.ts";
import * as uffd from "./uffd_abi.ts";

const KVMIO = 0xae;
const UFFDIO = 0xaa;
/** Directions as userspace sees them. */
const NONE = 0, WRITE = 1, READ = 2;

function request(direction: number, number: number, argument?: CType, type = KVMIO): number {
  return ((direction << 30) | ((argument?.size ?? 0) << 16) | (type << 8) | number) >>> 0;
}

const plain = (number: number) => request(NONE, number);
const reads = (number: number, argument: CType) => request(READ, number, argument);
const writes = (number: number, argument: CType) => request(WRITE, number, argument);
const both = (number: number, argument: CType) => request(READ | WRITE, number, argument);

/** By C name without `KVM_`. */
export const Ioctl = {
  // On /dev/kvm.
  GET_API_VERSION: plain(0x00),
  CREATE_VM: plain(0x01),
  CHECK_EXTENSION: plain(0x03),
  GET_VCPU_MMAP_SIZE: plain(0x04),
  GET_SUPPORTED_CPUID: both(0x05, abi.KvmCpuid2),
  // On a VM.
  CREATE_VCPU: plain(0x41),
  SET_USER_MEMORY_REGION: writes(0x46, abi.KvmUserspaceMemoryRegion),
  SET_TSS_ADDR: plain(0x47),
  SET_IDENTITY_MAP_ADDR: writes(0x48, u64),
  CREATE_IRQCHIP: plain(0x60),
  IRQ_LINE: writes(0x61, abi.KvmIrqLevel),
  SET_GSI_ROUTING: writes(0x6a, abi.KvmIrqRouting),
  CREATE_PIT2: writes(0x77, abi.KvmPitConfig),
  // On a VM or a vCPU.
  GET_STATS_FD: plain(0xce),
  // On a vCPU.
  RUN: plain(0x80),
  GET_REGS: reads(0x81, abi.KvmRegs),
  SET_REGS: writes(0x82, abi.KvmRegs),
  GET_SREGS: reads(0x83, abi.KvmSregs),
  SET_SREGS: writes(0x84, abi.KvmSregs),
  TRANSLATE: both(0x85, abi.KvmTranslation),
  GET_MSRS: both(0x88, abi.KvmMsrs),
  SET_MSRS: writes(0x89, abi.KvmMsrs),
  SET_CPUID2: writes(0x90, abi.KvmCpuid2),
  GET_MP_STATE: reads(0x98, abi.KvmMpState),
  SET_MP_STATE: writes(0x99, abi.KvmMpState),
  GET_VCPU_EVENTS: reads(0x9f, abi.KvmVcpuEvents),
  SET_VCPU_EVENTS: writes(0xa0, abi.KvmVcpuEvents),
  GET_DEBUGREGS: reads(0xa1, abi.KvmDebugregs),
  SET_DEBUGREGS: writes(0xa2, abi.KvmDebugregs),
  GET_TSC_KHZ: plain(0xa3),
  GET_XSAVE: reads(0xa4, abi.KvmXsave),
  SET_XSAVE: writes(0xa5, abi.KvmXsave),
  GET_XCRS: reads(0xa6, abi.KvmXcrs),
  SET_XCRS: writes(0xa7, abi.KvmXcrs),
} as const;

/** UFFDIO_MOVE (Linux 6.8), apart because older headers do not have it. */
export const UFFDIO_MOVE = request(READ | WRITE, 0x05, uffd.UffdioMove, UFFDIO);

/** By C name without `UFFDIO_`. */
export const Uffdio = {
  API: request(READ | WRITE, 0x3f, uffd.UffdioApi, UFFDIO),
  REGISTER: request(READ | WRITE, 0x00, uffd.UffdioRegister, UFFDIO),
  UNREGISTER: request(READ, 0x01, uffd.UffdioRange, UFFDIO),
  WAKE: request(READ, 0x02, uffd.UffdioRange, UFFDIO),
  COPY: request(READ | WRITE, 0x03, uffd.UffdioCopy, UFFDIO),
  ZEROPAGE: request(READ | WRITE, 0x04, uffd.UffdioZeropage, UFFDIO),
  WRITEPROTECT: request(READ | WRITE, 0x06, uffd.UffdioWriteprotect, UFFDIO),
  CONTINUE: request(READ | WRITE, 0x07, uffd.UffdioContinue, UFFDIO),
} as const;
