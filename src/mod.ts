/**
 * denovisor: boot x86-64 guests from Deno.
 *
 * ```ts
 * await using vm = await Vm.boot({ kernel: "vmlinuz", append: "console=ttyS0" });
 * await vm.console.expect("login: ");
 * await vm.console.sendLine("root");
 * ```
 *
 * @module
 */

export {
  DenovisorError,
  type ErrorCode,
  type ErrorDetails,
  type ErrorMessage,
} from "./base/errors.ts";
export { type Brand, type Gpa, gpa } from "./base/u64.ts";
export { describeOutcome, type MachineOutcome } from "./machine/outcome.ts";
export type { ExitCounts } from "./machine/stats.ts";
export { DirtyLog, type DirtyRegion } from "./memory/dirty_log.ts";
export { GuestMemory, type GuestMemoryHandle, type MemoryRegion } from "./memory/guest_memory.ts";
export { SharedMemory } from "./engine/kvm/pager/shared_memory.ts";
export type { EngineReport } from "./vm/choose_engine.ts";
export { Console } from "./vm/console.ts";
export type { ConsoleMatch, ExpectOptions } from "./vm/expect.ts";
export { GuestOutput } from "./vm/guest_output.ts";
export type { FileRegion, MemoryOptions, Paging } from "./vm/memory_options.ts";
export type { ClockChoice, EngineChoice, FileSource, MmuChoice, VmOptions } from "./vm/options.ts";
export type { VmProfile } from "./vm/profile.ts";
export type { VmStats } from "./vm/stats.ts";
export { Vm, type VmOutcome } from "./vm/vm.ts";
export { VmMemory } from "./vm/vm_memory.ts";
