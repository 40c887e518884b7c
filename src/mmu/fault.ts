/**
 * The fault record and the two kinds of result: of the fault path, and of a vCPU exit. Their values
 * have nothing in common, so the compiler refuses to take one for the other, or to compare them.
 */

import type { Gfn, Pfn } from "../base/u64.ts";
import { HostPage } from "./host.ts";
import type { Memslot } from "./memslot.ts";
import { Pferr } from "./pferr.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { FETCH, PRESENT, RSVD, WRITE } = Pferr;

/** How a step of the fault path ended. Never given to whoever runs the vCPU: `VcpuExit` is. */
export const FaultResult = {
  /** Nothing decided yet: go on with the next step. */
  CONTINUE: 16,
  /** Let the guest try again; `Fault.cause` says why that will end. */
  RETRY: 17,
  /** The access has to be emulated: MMIO, a read-only slot or a write-tracked page. */
  EMULATE: 18,
  /** The MMIO quick path knows nothing: take the whole path. The handlers never return it. */
  INVALID: 19,
  /** The access is mapped now. */
  FIXED: 20,
  /** It was mapped already. */
  SPURIOUS: 21,
  /** No memory for tables. */
  NO_MEMORY: 22,
  /** The quota of tables is spent and nothing can be recycled. */
  NO_SPACE: 23,
  /** The host has nothing at the page, or the address cannot be one. */
  BAD_ADDRESS: 24,
  /** An SPTE has reserved bits set that we did not set. */
  BAD_SPTE: 25,
} as const;
/** How a step of the fault path ended. */
export type FaultResult = typeof FaultResult[keyof typeof FaultResult];

/** What whoever runs a vCPU does next. Negative: an error; `describeFailure` says which. */
export const VcpuExit = {
  /** Leave to the machine: MMIO, or emulation that cannot go on. */
  USERSPACE: 0,
  /** Enter the guest again. */
  RESUME: 1,
  /** ENOMEM: no memory for tables. */
  NO_MEMORY: -12,
  /** EFAULT: the host has nothing at the page, or the address is illegal. */
  BAD_ADDRESS: -14,
  /** EINVAL: a corrupt SPTE. */
  BAD_SPTE: -22,
  /** ENOSPC: the quota of tables is spent. */
  NO_SPACE: -28,
  /** ELOOP: the same fault came back again and again and nothing changed. */
  NO_PROGRESS: -40,
} as const;
/** What whoever runs a vCPU does next. */
export type VcpuExit = typeof VcpuExit[keyof typeof VcpuExit];

/** Why a fault that lets the guest try again will not come back for ever. */
export const Cause = {
  /** Not explained: a defect. */
  NONE: 0,
  /** An SPTE gained a right. */
  GAINED: 1,
  /** The access was allowed already; a TLB lagged behind. */
  ALREADY_ALLOWED: 2,
  /** The guest gets an exception. */
  GUEST_EXCEPTION: 3,
  /** The host brings the page in; the guest may run something else. */
  ASYNC_QUEUED: 4,
  /** The host took pages away meanwhile. */
  NOTIFIER: 5,
  /** The guest changed its page tables meanwhile. */
  GPTE_CHANGED: 6,
  /** A table of ours went away meanwhile. */
  TABLE_ZAPPED: 7,
  /** The page is poisoned and its owner has been told. */
  POISON: 8,
  /** The vCPU's root is obsolete or gone: it will load another. */
  ROOT_INVALID: 9,
  /** The memslot is being deleted or moved. */
  SLOT_UPDATE: 10,
} as const;
/** Why a retried fault will not come back for ever. */
export type Cause = typeof Cause[keyof typeof Cause];

/** Names of the causes, in the order of `Cause`. */
export const CAUSE_NAMES = [
  "unexplained",
  "an SPTE gained a right",
  "access already allowed",
  "guest exception",
  "asynchronous fault queued",
  "host invalidation",
  "guest entry changed",
  "table zapped",
  "poison signalled",
  "root invalid",
  "memslot update",
] as const;

const { NONE } = Cause;
/** `Fault.pfn` where there is no frame: MMIO. */
const NO_PFN = -1 as Pfn;

/** One fault on its way. Each vCPU has one record and uses it for every fault. */
export class Fault {
  /** The address by halves: guest physical in the direct engine, linear in the shadow engine. */
  addressLo = 0;
  addressHi = 0;
  /** `Pferr` bits; those above bit 31 stand in `codeHi` (`PferrHigh`). */
  code = 0;
  codeHi = 0;
  /** Not the guest's own access: nobody waits for it and no exception comes of it. */
  prefault = false;
  cause: Cause = NONE;
  /** Undefined where the guest has no memory. */
  slot: Memslot | undefined = undefined;
  pfn: Pfn = NO_PFN;

  // What follows is filled in as the path goes on, and stale before.
  gfn: Gfn = 0 as Gfn;
  /** Generation of the memslots when `slot` was looked up. */
  generation = 0;
  /** The notifier's sequence number when the frame was looked up. */
  sequence = 0;
  /** The host lets us map the frame writable. */
  mapWritable = false;
  /** NX huge pages forbid a large page for this access. */
  hugeDisallowed = false;
  /** Largest level that the caller allows: memory types, guest page, engine. */
  maxLevel = 1;
  /** Level that everything but the NX rule allows. */
  requestedLevel = 1;
  /** Level that will be mapped. */
  goalLevel = 1;
  readonly page: HostPage = new HostPage();

  /** Starts a new fault. */
  begin(addressLo: number, addressHi: number, code: number, codeHi: number): void {
    this.addressLo = addressLo | 0;
    this.addressHi = addressHi | 0;
    this.code = code | 0;
    this.codeHi = codeHi | 0;
    this.prefault = false;
    this.cause = NONE;
    this.slot = undefined;
    this.pfn = NO_PFN;
  }

  get present(): boolean {
    return (this.code & PRESENT) !== 0;
  }

  get write(): boolean {
    return (this.code & WRITE) !== 0;
  }

  get fetch(): boolean {
    return (this.code & FETCH) !== 0;
  }

  get reserved(): boolean {
    return (this.code & RSVD) !== 0;
  }

  /** False when there is no frame: MMIO. */
  get hasPage(): boolean {
    return this.pfn >= 0;
  }

  /** Ends the path: `result`, explained by `cause`. */
  end(result: FaultResult, cause: Cause): FaultResult {
    this.cause = cause;
    return result;
  }
}
