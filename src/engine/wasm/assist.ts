/**
 * The interpreter as a help for another engine: it completes single instructions on the state of
 * that engine's vCPUs.
 *
 * Nothing is kept from one call to the next, since the vCPU runs elsewhere in between: instructions
 * are decoded from their bytes, and every address is translated anew. Time stands still.
 *
 * To take the vCPU's state and to put it back costs as much as a hundred instructions. So x87, MMX and
 * SSE code, of which the host does not know one instruction after the other, is carried out as a
 * whole, with the plain instructions in between. Whatever concerns the rest of the machine (time,
 * interrupts, ports, modes, system registers, atomic accesses) ends such a run before it is
 * carried out, and a run is short, since interrupts wait for its end.
 */

import { type CpuidLeaf, findLeaf } from "../../cpu/cpuid.ts";
import { Cpuid, type OtherProcessor, type XsaveComponent } from "../../cpu/cpuid_model.ts";
import { type CpuState, Event, NO_VECTOR, State, XSAVE_BYTES } from "../../cpu/state.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import { Assisted, type InstructionAssist } from "../assist.ts";
import type { MmioBus } from "../cpu_bus.ts";
import { AssistBus } from "./assist_bus.ts";
import { Cpu, Word } from "./cpu.ts";
import { VCPU_SHUTDOWN } from "./exception.ts";
import { GuestMmu } from "./guest_mmu.ts";
import type { Insn } from "./insn.ts";
import { Interpreter, RanOne } from "./interpreter.ts";
import { ARITHMETIC } from "./isa/arithmetic.ts";
import { BRANCHES } from "./isa/branches.ts";
import { LOGIC } from "./isa/logic.ts";
import { MOVE } from "./isa/move.ts";
import { MULTIPLY } from "./isa/multiply.ts";
import type { Row } from "./isa/row.ts";
import { SHIFT } from "./isa/shift.ts";
import { Paging } from "./paging.ts";
import { readState, writeState } from "./state_copy.ts";
import { X87 } from "./x87_state.ts";
import { Component } from "./xsave_area.ts";

/** What an assist is made of. */
export interface WasmAssistOptions {
  readonly memory: GuestMemory;
  readonly cpus: number;
  /** What CPUID tells the guest. */
  readonly cpuid: readonly CpuidLeaf[];
  /** Device memory outside of the kernel. */
  readonly devices: MmioBus;
}

/** Where this engine has PKRU in a `CpuState`; the processor may have it elsewhere. */
const PKRU_AT = Word.PKRU * 4;
/** Instructions of one run at most. */
const MAX_RUN = 256;
/** Of those, plain ones in a row. */
const MAX_PLAIN = 16;
/** Instructions that concern registers and memory only; an exchange with memory is atomic. */
const PLAIN: ReadonlySet<Row> = new Set(
  [...ARITHMETIC, ...LOGIC, ...MOVE, ...MULTIPLY, ...SHIFT, ...BRANCHES].filter(({ mnemonic }) =>
    mnemonic !== "xchg"
  ),
);
/** Beside `RanOne`: it needs what cannot be had here. */
const REFUSED = -1;
const CLOCK = { nowNs: () => 0 };

/** Completes instructions by interpreting them. */
export class WasmAssist implements InstructionAssist {
  reason = "";
  readonly counts = new Map<string, number>();
  readonly #processor: OtherProcessor;
  readonly #guest: GuestMmu;
  readonly #interpreter: Interpreter;
  readonly #memory: GuestMemory;
  readonly #bus: AssistBus;
  /** By vCPU, as far as they have been needed. */
  readonly #cpus: (Cpu | undefined)[] = [];
  /** Where the processor has PKRU in a `CpuState`. */
  readonly #pkruAt: number;
  /** Plain instructions since the last other one. */
  #plain = 0;

  constructor({ memory, cpus, cpuid, devices }: WasmAssistOptions) {
    this.#processor = processorOf(cpuid);
    this.#memory = memory;
    this.#bus = new AssistBus(cpus, devices, (vcpu) => this.#cpus[vcpu]?.block === undefined);
    this.#guest = new GuestMmu(memory, "tdp", this.#processor.maxPhyAddrBits);
    this.#interpreter = new Interpreter(this.#guest);
    const keys = this.#processor.components.find(({ bit }) => bit === Component.PKRU);
    this.#pkruAt = keys === undefined ? PKRU_AT : State.XSAVE + keys.offset;
  }

  complete(vcpu: number, before: CpuState, after: CpuState): Assisted {
    const excepted = before.event(Event.EXCEPTION) !== NO_VECTOR;
    if (excepted || before.event(Event.INTERRUPT) !== NO_VECTOR) {
      return this.#refuse("an event is being delivered");
    }
    const cpu = this.#cpus[vcpu] ??= this.#createCpu(vcpu);
    copyWord(before, this.#pkruAt, PKRU_AT);
    writeState(cpu, before);
    this.#read(cpu, before);
    try {
      const refusal = this.#run(cpu);
      if (refusal !== "") return this.#refuse(refusal);
    } catch (error) {
      if (error !== VCPU_SHUTDOWN) throw error;
      this.reason = cpu.shutdownReason;
      return cpu.failed ? Assisted.REFUSED : Assisted.SHUTDOWN;
    }
    this.#read(cpu, after);
    return Assisted.DONE;
  }

  /** Carries out one instruction, and those that may follow; returns why it cannot, or "". */
  #run(cpu: Cpu): string {
    let ran = this.#runOne(cpu, this.#begin);
    if (ran === RanOne.UNKNOWN) return "the assist does not know it, either";
    if (ran === REFUSED) return this.#bus.refusal;
    for (let i = 1; i < MAX_RUN && ran === RanOne.DONE && !cpu.stepping; i++) {
      ran = this.#runOne(cpu, this.#mayFollow);
    }
    return "";
  }

  /** As the interpreter's; REFUSED with a reason in the bus, and the vCPU before the instruction. */
  #runOne(cpu: Cpu, mayRun: (insn: Insn) => boolean): RanOne | typeof REFUSED {
    const lo = cpu.s[Word.RIP];
    const hi = cpu.s[Word.RIP + 1];
    this.#bus.refusal = "";
    try {
      const ran = this.#interpreter.runOne(cpu, mayRun);
      if (ran === RanOne.DONE || ran === RanOne.EXCEPTION) this.#count(cpu);
      return ran;
    } catch (error) {
      if (this.#bus.refusal === "") throw error;
      cpu.s[Word.RIP] = lo;
      cpu.s[Word.RIP + 1] = hi;
      return REFUSED;
    }
  }

  /** The first instruction. */
  readonly #begin = ({ row }: Insn): boolean => {
    this.#plain = row?.unit === undefined ? MAX_PLAIN : 0;
    return true;
  };

  /** Whether an instruction may be carried out behind another. */
  readonly #mayFollow = ({ row, lock }: Insn): boolean => {
    if (row === undefined || lock) return false;
    if (row.unit === undefined) return ++this.#plain <= MAX_PLAIN && PLAIN.has(row);
    this.#plain = 0;
    return true;
  };

  #count(cpu: Cpu): void {
    // Without one, an exception came instead: of its fetch, or of a debug register.
    const name = cpu.block?.insns[0].row?.mnemonic ?? "none";
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  #refuse(reason: string): Assisted {
    this.reason = reason;
    return Assisted.REFUSED;
  }

  #read(cpu: Cpu, into: CpuState): void {
    readState(cpu, into);
    copyWord(into, PKRU_AT, this.#pkruAt);
  }

  #createCpu(index: number): Cpu {
    return new Cpu({
      index,
      ram: this.#memory.wasm.buffer,
      bus: this.#bus,
      clock: CLOCK,
      cpuid: new Cpuid(index, index + 1, this.#processor),
      x87: (cpu) => new X87(cpu),
      paging: (cpu) => new Paging(cpu, this.#guest),
    });
  }
}

function copyWord({ view }: CpuState, from: number, to: number): void {
  view.setUint32(to, view.getUint32(from, true), true);
}

/** What the guest has been told of its processor. */
function processorOf(cpuid: readonly CpuidLeaf[]): OtherProcessor {
  const sizes = findLeaf(cpuid, 0x8000_0008);
  return {
    maxPhyAddrBits: sizes === undefined ? 36 : sizes.eax & 0xff,
    components: cpuid.filter(isUserComponent).map(componentOf)
      .filter(({ offset, sizeBytes }) => sizeBytes > 0 && offset + sizeBytes <= XSAVE_BYTES),
  };
}

/** Leaf 0xd: a subleaf for each component from bit 2 on; ECX bit 0 is set for those of IA32_XSS. */
function isUserComponent({ leaf, subleaf, ecx }: CpuidLeaf): boolean {
  return leaf === 0xd && subleaf >= 2 && subleaf < 31 && (ecx & 1) === 0;
}

function componentOf({ subleaf, eax, ebx, ecx }: CpuidLeaf): XsaveComponent {
  return { bit: 1 << subleaf, offset: ebx, sizeBytes: eax, aligned: (ecx & 2) !== 0 };
}
