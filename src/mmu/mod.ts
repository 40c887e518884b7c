/** The MMU: the fault path of KVM's x86 MMU over typed arrays. */

export { type AsyncPort, MAX_ASYNC_FAULTS } from "./async_pf.ts";
export { Cause, CAUSE_NAMES, type Fault, FaultResult, VcpuExit } from "./fault.ts";
export type { MmuHooks } from "./hooks.ts";
export { HostPage, type MmuHost, PageKind, type Tlb } from "./host.ts";
export { Level } from "./level.ts";
export { LoadResult } from "./load_result.ts";
export type { Memslot, MemslotConfig } from "./memslot.ts";
export { Mmu } from "./mmu.ts";
export { MemoryType, MtrrMap, type TypeRange } from "./mtrr.ts";
export { RECOVERY_PERIOD_MS } from "./nx_splits.ts";
export type { MmuOptions } from "./options.ts";
export { Acc, Access, accessWord, Pferr, PferrHigh } from "./pferr.ts";
export { CpuRole, type CpuRoleFields, type PagingFeatures, PagingMode } from "./role.ts";
export { STAT_NAMES, type StatName } from "./stats.ts";
export { FillResult, TlbFill } from "./tlb_fill.ts";
export { MmuTrace, type TraceEvent, TRACEPOINTS } from "./trace.ts";
export { TraceJson } from "./trace_json.ts";
export { type MmuEmulator, MmuVcpu } from "./vcpu.ts";
export type { WriteListener } from "./write_track.ts";
