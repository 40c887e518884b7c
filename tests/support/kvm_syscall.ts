/** Whether programs can make system calls on this host's KVM. */

import { gpa } from "../../src/base/u64.ts";
import { Seg, State } from "../../src/cpu/state.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { assistFor, CODE, engineFor, kvmEngine, long64, memoryWith } from "./kvm_guest.ts";
import type { Requirement } from "./requirement.ts";

/** Where SYSCALL leads: a page for the supervisor only. */
const HANDLER = 0xa000;
const TABLES = 0x1_0000;
const GDT = 0x500;
/** Page-table entry bits: present, writable, user. */
const SUPERVISOR = 3, USER = 7;
/** Selectors: kernel's code 0x08, programs' data and code as SYSRET wants them. */
const USER_DATA = 0x23, USER_CODE = 0x2b;
const STAR = 0x0018_0008n << 32n;
const EFER_SCE = 1n;

/**
 * SYSCALL enters the kernel. A KVM that interprets ring 0 may run programs on the processor and yet
 * leave them at ring 3 when they execute SYSCALL: then their first system call is a page fault.
 */
export const kvmSystemCalls: Requirement = {
  missing: kvmEngine.missing ??
    (entersKernel() ? undefined : "SYSCALL does not leave ring 3 on this host's KVM"),
};

function entersKernel(): boolean {
  const memory = memoryWith([0x0f, 0x05, 0xeb, 0xfe]); // syscall
  const state = long64(memory);
  memory.write(gpa(HANDLER), new Uint8Array([0xe6, 0x10, 0xeb, 0xfe])); // out 0x10, al
  for (let level = 0; level < 3; level++) {
    memory.writeU64(gpa(TABLES + level * 4096), TABLES + (level + 1) * 4096 + USER);
  }
  for (let page = 0; page < 512; page++) {
    const bits = page * 4096 === HANDLER ? SUPERVISOR : USER;
    memory.writeU64(gpa(TABLES + 3 * 4096 + page * 8), page * 4096 + bits);
  }
  memory.writeU64(gpa(GDT + USER_DATA - 3), 0x00cf_f300_0000_ffffn);
  memory.writeU64(gpa(GDT + USER_CODE - 3), 0x00af_fb00_0000_ffffn);
  const flat = { base: 0, limit: 0xffff_ffff };
  state.setTable(State.GDTR, GDT, USER_CODE + 4);
  state.setSegment(Seg.CS, { ...flat, selector: USER_CODE, attributes: 0xa0fb });
  state.setSegment(Seg.SS, { ...flat, selector: USER_DATA, attributes: 0xc0f3 });
  state.set(State.RIP, CODE);
  state.set(State.EFER, state.get(State.EFER) | EFER_SCE);
  state.setMsr(0xc000_0081, STAR);
  state.setMsr(0xc000_0082, HANDLER);
  using engine = engineFor(memory, state, assistFor(memory, 1));
  return engine.run(0) === ExitCode.PORT_OUT;
}
