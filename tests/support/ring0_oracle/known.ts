/**
 * Differences that are known and explained: one list, each with the manual's place and who is right.
 * Most are of kernels that interpret ring 0 and hold only where this host's does: on a processor
 * everything is compared.
 */

import { Seg } from "../../../src/cpu/state.ts";
import { Flag } from "../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../src/engine/wasm/exception.ts";
import type { Difference } from "./compare.ts";
import type { Observed } from "./observed.ts";
import { At } from "./layout.ts";

/** One entry. */
export interface Known {
  readonly what: string;
  readonly manual: string;
  readonly right: "interpreter" | "both";
  /** Processors do not do it, kernels' emulators do. */
  readonly emulator: boolean;
  /** Whether it explains a difference of a case. */
  readonly explains: (seen: Observed, difference: Difference) => boolean;
}

/** Of an emulator, which is wrong. */
function emulator(what: string, manual: string, explains: Known["explains"]): Known {
  return { what, manual, right: "interpreter", emulator: true, explains };
}

const isMemory = ({ field }: Difference) => field.startsWith("[");
const isTable = ({ at }: Difference) => at >= At.GDT && at < At.IDT;
/** The access byte is in bits 15:8 of a descriptor's upper half. */
const ACCESSED = 0x100;
/** Bits 31:22, 15, 5 and 3. */
const RESERVED_FLAGS = 0xffc0_8028;
const LOADS_SS = /^(8e [159d][0-7]|17|0f b2)/;
const PUSH_SEGMENT = /^(06|0e|16|1e|0f a0|0f a8)$/;
const POP_SEGMENT = /^(07|17|1f|0f a1|0f a9)$/;
/** To memory: MOV of a segment register, SLDT, STR, SGDT, SIDT, SMSW. */
const STORES = /^(8c [0-9ab]|0f 00 [048]|0f 01 ([048]|[26a][0-7]))/;

export const KNOWN: readonly Known[] = [
  {
    what: "PUSH of a segment register writes 16 bits of a 32-bit slot, or all of it",
    manual: "SDM 2B PUSH",
    right: "both",
    emulator: false,
    explains: (seen, d) => PUSH_SEGMENT.test(seen.opcode) && seen.size === 4 && isMemory(d),
  },
  {
    what:
      "a far transfer that faults behind the check of its descriptors has marked them as accessed",
    manual: "SDM 3A §3.4.5.1 says when the bit is set, not whether a fault behind it undoes that",
    right: "both",
    emulator: false,
    explains: (seen, d) => isTable(d) && d.changed === ACCESSED && seen.interpreterFaults,
  },
  {
    what: "SYSCALL, SYSRET, SYSENTER and SYSEXIT exist in other modes by vendor",
    manual: "SDM 2B SYSCALL, SYSRET: #UD but in 64-bit mode; APM 3 SYSCALL, SYSENTER",
    right: "both",
    emulator: false,
    explains: (seen) => seen.family === "syscall sysenter" && seen.bits !== 64,
  },
  emulator(
    "RFLAGS.AC is the host's in handlers and behind returns",
    "SDM 3A §6.12.1.3: events clear TF, NT, RF and VM; SDM 2A IRET",
    (_seen, d) => d.field === "rflags" && (d.changed & ~Flag.AC) === 0,
  ),
  emulator(
    "reserved bits of RFLAGS are loaded",
    "SDM 1 §3.4.3; SDM 2A IRET; SDM 2B SYSRET",
    (_seen, d) => d.field === "rflags" && (d.changed & ~(Flag.AC | RESERVED_FLAGS)) === 0,
  ),
  emulator(
    "with REX.W, stores of a selector or of CR0 to memory are 8 bytes wide",
    "SDM 2B MOV (8C), SLDT, STR, SMSW: 16 bits whatever the operand size",
    (seen, d) =>
      STORES.test(seen.opcode) && seen.size === 8 &&
      (isMemory(d) || seen.nativeVector === Vector.PF),
  ),
  emulator(
    "a load of SS casts no shadow on the single step behind it",
    "SDM 3A §6.8.3",
    (seen) => LOADS_SS.test(seen.opcode) && seen.stepped,
  ),
  emulator(
    "INT n is stepped like other instructions, the handler's frame then being DR6.BS's",
    "SDM 3B §17.3.1.4: INT n clears TF",
    (seen) => seen.family === "int" && seen.stepped,
  ),
  emulator(
    "DR7 bit 11 can be set",
    "SDM 3B §17.2.4: reserved where there is no RTM",
    (_seen, d) => d.field === "dr7" && d.changed === 1 << 11,
  ),
  emulator(
    "WRMSR takes reserved bits and memory types that are none",
    "SDM 4 table 2-2; SDM 3A §11.12.4",
    (seen) => seen.opcode === "0f 30" && seen.onlyInterpreterFaults,
  ),
  emulator(
    "MOV to CR0 and CR4 takes reserved bits and NW without CD",
    "SDM 2B MOV to control registers: #GP(0)",
    (seen) => seen.family === "mov to cr" && seen.onlyInterpreterFaults,
  ),
  emulator(
    "bits 31:16 of ESP do not survive a change of a 16-bit stack's pointer",
    "SDM 1 §6.2.3: SP is the stack pointer then, the rest of ESP is not changed",
    (seen, d) => d.field === "rsp" && !seen.stackIs32 && (d.changed & 0xffff) === 0,
  ),
  emulator(
    "stack accesses across the end of a 16-bit stack are not checked against its limit",
    "SDM 3A §5.3; SDM 2B PUSH: shutdown, #SS",
    (seen) => !seen.stackIs32 && seen.atStackEdge,
  ),
  emulator(
    "SYSRET without REX.W returns to 64-bit mode all the same",
    "SDM 2B SYSRET",
    (seen) => seen.opcode === "0f 07" && seen.size !== 8,
  ),
  emulator(
    "LLDT takes a selector of the LDT; LTR has error code 0",
    "SDM 2A LLDT, LTR: #GP(selector)",
    (seen, d) =>
      seen.family === "lldt ltr" &&
      (seen.onlyInterpreterFaults ||
        isMemory(d) && seen.nativeVector === Vector.GP && seen.interpretedVector === Vector.GP),
  ),
  emulator(
    "LTR takes a 16-bit TSS in IA-32e mode",
    "SDM 3A table 3-2: type 1 is reserved there",
    (seen) =>
      /^0f 00 (1[89a-f]|d[89a-f])/.test(seen.opcode) && seen.long &&
      (seen.onlyInterpreterFaults || seen.nativeVector === Vector.NP),
  ),
  emulator(
    "IRET with operands of 16 or 32 bits is refused in IA-32e mode",
    "SDM 2A IRET",
    (seen) => seen.opcode === "cf" && seen.long && seen.size !== 8 && seen.nativeFaults,
  ),
  emulator(
    "IRETQ does not check CS and SS as it must, and refuses code of the LDT",
    "SDM 2A IRET, IA-32e-MODE-RETURN: #GP, #NP, #SS with the selector",
    (seen) =>
      seen.opcode === "cf" && seen.size === 8 && (seen.interpreterFaults || seen.nativeFaults),
  ),
  emulator(
    "IRETQ keeps data segments that the outer level may not use",
    "SDM 2A IRET, RETURN-TO-OUTER-PRIVILEGE-LEVEL",
    (seen, d) =>
      seen.opcode === "cf" && seen.size === 8 && ["es", "ds", "fs", "gs"].includes(d.field) &&
      seen.interpretedSegment(Seg[d.field.toUpperCase() as keyof typeof Seg]).selector === 0,
  ),
  emulator(
    "IRETQ does not set the accessed bits of CS and SS",
    "SDM 3A §3.4.5.1",
    (seen, d) =>
      seen.opcode === "cf" && seen.size === 8 &&
      (isTable(d) && d.changed === ACCESSED || d.field === "ss" || d.field === "cs"),
  ),
  emulator(
    "MOV to DR4 and DR5 takes an upper half",
    "SDM 2B MOV to debug registers: #GP(0); they are DR6 and DR7",
    (seen) => seen.family === "mov dr" && seen.onlyInterpreterFaults,
  ),
  emulator(
    "RF and TF are clear in the frame of a fault in the delivery of a single step",
    "SDM 3B §17.3.1.1: RF is set for all faults",
    (seen, d) => seen.stepped && isMemory(d) && seen.family === "mov to cr",
  ),
  emulator(
    "a store across pages to read-only memory never ends",
    "KVM's api.rst, KVM_MEM_READONLY: an MMIO exit",
    (seen, d) => d.field === "end" && d.native === "endless" && STORES.test(seen.opcode),
  ),
  emulator(
    "SYSRET and SYSEXIT lead to ring 3 before they fault, and look for IA32_SYSENTER_CS 0 only",
    "SDM 2B SYSRET, SYSEXIT: #GP(0); APM 3 SYSRET: no check of RCX",
    (seen) => /^0f (07|35)$/.test(seen.opcode) && seen.interpreterFaults,
  ),
  emulator(
    "IOPL does not survive SYSEXIT",
    "SDM 2B SYSEXIT: RFLAGS is not changed",
    (seen) => seen.opcode === "0f 35" && seen.startFlags !== (seen.startFlags & ~Flag.IOPL),
  ),
  emulator(
    "a far CALL from 64-bit mode pushes when CS is changed already: by the new mode's rules",
    "SDM 2A CALL: pushes come first",
    (seen) =>
      /^ff [159][89a-f]/.test(seen.opcode) && seen.bits === 64 &&
      (seen.nativeVector === Vector.SS || seen.onlyInterpreterFaults),
  ),
  emulator(
    "RETF takes its immediate operand for signed",
    "SDM 2B RET: imm16 is unsigned",
    (seen) => /^ca .. [89a-f]/.test(seen.opcode),
  ),
  emulator(
    "IRETQ and SYSRET that set TF do not step the instruction behind them",
    "SDM 3B §17.3.1.4",
    (seen) =>
      (seen.opcode === "cf" && seen.size === 8 || seen.opcode === "0f 07") &&
      seen.interpretedVector === Vector.DB,
  ),
  emulator(
    "MOV to CS, or to a segment register that does not exist, reads its operand first",
    "SDM 2B MOV: #UD, which comes before what memory raises (SDM 3A table 6-2)",
    (seen) =>
      /^8e ([048c][89a-f]|[37bf])/.test(seen.opcode) && seen.interpretedVector === Vector.UD,
  ),
  emulator(
    "SWAPGS is not stepped",
    "SDM 3B §17.3.1.4",
    (seen) => seen.opcode === "0f 01 f8" && seen.stepped,
  ),
  {
    what: "the hidden part of a null SS",
    manual: "SDM 3A §5.4.1.1: there is none but the privilege level",
    right: "both",
    emulator: false,
    explains: (seen, d) =>
      d.field === "ss" && (seen.interpretedSegment(Seg.SS).selector & 0xfffc) === 0,
  },
  {
    what: "POP of a segment register reads 16 bits, or the whole slot",
    manual: "SDM 2B POP says nothing; PUSH has both",
    right: "both",
    emulator: false,
    explains: (seen) =>
      POP_SEGMENT.test(seen.opcode) &&
      (seen.interpretedVector === Vector.PF || seen.interpretedVector === Vector.DF),
  },
  {
    what: "stores that fault in their second page have written the first, or nothing",
    manual: "SDM 2B SGDT, SLDT, STR and MOV say nothing",
    right: "both",
    emulator: false,
    explains: (seen, d) =>
      STORES.test(seen.opcode) && seen.interpretedVector === Vector.PF && isMemory(d),
  },
  emulator(
    "SLDT, STR and SGDT outside of 64-bit mode store through segments that are read-only or too short",
    "SDM 2B SLDT, STR, SGDT: #GP(0)",
    (seen) => STORES.test(seen.opcode) && seen.bits !== 64 && seen.interpreterFaults,
  ),
  emulator(
    "the prefix of SS makes a non-canonical address #SS in 64-bit mode",
    "SDM 2A §2.1.1: there it is ignored",
    (seen) => seen.hasStackPrefix && seen.bits === 64 && seen.nativeVector === Vector.SS,
  ),
  emulator(
    "a store to what is not RAM is stepped before it is done",
    "SDM 3B §17.3.1.4: a trap, behind the instruction",
    (seen, d) => STORES.test(seen.opcode) && seen.stepped && isMemory(d),
  ),
];
