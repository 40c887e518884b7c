/**
 * The interpreter as a help for another engine: it completes single instructions on the state of
 * that engine's vCPUs.
 *
 * Nothing is kept from one instruction to the next, since the vCPU runs elsewhere in between: the
 * instruction is decoded from its bytes, and every address is translated anew. Time stands still.
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
import { Interpreter } from "./interpreter.ts";
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
const CLOCK = { nowNs: () => 0 };

/** Completes instructions by interpreting them. */
export class WasmAssist implements InstructionAssist {
  reason = "";
  mnemonic = "";
  readonly #processor: OtherProcessor;
  readonly #guest: GuestMmu;
  readonly #interpreter: Interpreter;
  readonly #memory: GuestMemory;
  readonly #bus: AssistBus;
  /** By vCPU, as far as they have been needed. */
  readonly #cpus: (Cpu | undefined)[] = [];
  /** Where the processor has PKRU in a `CpuState`. */
  readonly #pkruAt: number;

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
    this.#bus.refusal = "";
    try {
      if (!this.#interpreter.runOne(cpu)) {
        return this.#refuse("the assist does not know it, either");
      }
    } catch (error) {
      if (this.#bus.refusal !== "") return this.#refuse(this.#bus.refusal);
      if (error !== VCPU_SHUTDOWN) throw error;
      this.reason = cpu.shutdownReason;
      return cpu.failed ? Assisted.REFUSED : Assisted.SHUTDOWN;
    }
    this.#read(cpu, after);
    // Without one, an exception came instead: of its fetch, or of a debug register.
    this.mnemonic = cpu.block?.insns[0].row?.mnemonic ?? "none";
    return Assisted.DONE;
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
