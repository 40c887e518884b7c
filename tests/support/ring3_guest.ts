/**
 * A guest that makes single memory accesses in ring 3, which KVM runs on the processor itself, under
 * page tables that a test provides: the processor as an oracle for the walker.
 *
 * The top entry of the root leads to pages of the guest's own: descriptor tables, handlers, a stack
 * and the code. Each exception's handler tells its vector by a port and stops.
 */

import { type Gpa, gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { Cr0, Cr4, Efer, long64State } from "../../src/cpu/modes.ts";
import { type CpuState, Reg, Seg, State } from "../../src/cpu/state.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";

/** Frames of random tables, from gfn 0 on. */
export const TABLE_FRAMES = 16;
const RAM_BYTES = 4 * 1024 * 1024;

/** Frames of the guest's own. */
const Frame = { PDPT: 16, PD: 17, PT: 18, TABLES: 19, HANDLERS: 20, STACK: 21, CODE: 22, END: 23 };
/** Where PML4 entry 511 starts; page n of it is frame TABLES + n. */
const BASE = 0xffff_ff80_0000_0000n;
const linear = (frame: number) => BASE + BigInt((frame - Frame.TABLES) * PAGE_SIZE);

/** Offsets in the page of descriptor tables. */
const GDT = 0, TSS = 0x80, IDT = 0x200;
const STACK_TOP = linear(Frame.STACK) + 0xff0n;
const VECTORS = 32;
const HANDLER_BYTES = 8;
const VECTOR_PORT = 0xea;
const DONE_PORT = 0xeb;

const Selector = { KERNEL_CODE: 0x08, USER_DATA: 0x1b, USER_CODE: 0x23, TSS: 0x28 };

/** Ring-3 code of each access to [rdi], a byte wide; it ends with an OUT to DONE_PORT. */
const CODE: Readonly<Record<AccessKind, readonly number[]>> = {
  read: [0x8a, 0x07, 0xe6, DONE_PORT], // mov al, [rdi]
  write: [0x80, 0x0f, 0x00, 0xe6, DONE_PORT], // or byte [rdi], 0: a write that changes nothing
  fetch: [0xff, 0xe7], // jmp rdi
};
/** Distance between the pieces of code. */
const CODE_STEP = 16;
/** HLT: #GP in ring 3. What fetches find in RAM outside the tables. */
export const HLT = 0xf4;

export type AccessKind = "read" | "write" | "fetch";
export const ACCESS_KINDS: readonly AccessKind[] = ["read", "write", "fetch"];

/** What became of an access. */
export type AccessEnd =
  | { readonly kind: "done" }
  /** The access went to guest physical memory that is not RAM. */
  | { readonly kind: "mmio"; readonly gpa: number }
  | { readonly kind: "fault"; readonly vector: number; readonly errorCode: number; cr2: bigint };

/** One guest, for one set of tables: KVM does not watch what the host writes to them. */
export class Ring3Guest implements Disposable {
  readonly memory: GuestMemory;
  readonly #engine: KvmEngine;
  readonly #state: CpuState;

  /**
   * @param fill Fills the table frames; the root's top entry is replaced afterwards.
   * @param root Frame of the root, below TABLE_FRAMES.
   */
  constructor(
    fill: (memory: GuestMemory) => void,
    root: number,
    bits: { readonly nxe: boolean; readonly wp: boolean },
  ) {
    this.memory = GuestMemory.allocate(RAM_BYTES);
    this.memory.fill(gpa(0), RAM_BYTES, HLT);
    fill(this.memory);
    this.#build(root);
    this.#engine = new KvmEngine({ memory: this.memory, cpus: 1 });
    this.#state = ring3State(root * PAGE_SIZE, bits);
  }

  /** Makes one access to `address`, which is not in the guest's own pages. */
  access(address: bigint, kind: AccessKind): AccessEnd {
    const engine = this.#engine;
    const [vcpu] = engine.vcpus;
    const start = ACCESS_KINDS.indexOf(kind) * CODE_STEP;
    this.#state.set(State.RIP, linear(Frame.CODE) + BigInt(start));
    this.#state.setGpr(Reg.RDI, address);
    vcpu.writeState(this.#state);
    let end: AccessEnd = { kind: "done" };
    for (;;) {
      const code = engine.run(0);
      if (code === ExitCode.MMIO_READ || code === ExitCode.MMIO_WRITE) {
        end = { kind: "mmio", gpa: engine.exit.gpa };
        engine.exit.data.setUint8(engine.exit.offset, 0);
      } else if (code === ExitCode.PORT_OUT && engine.exit.port === DONE_PORT) {
        return end;
      } else if (code === ExitCode.PORT_OUT && engine.exit.port === VECTOR_PORT) {
        return this.#fault(engine.exit.data.getUint8(engine.exit.offset));
      } else {
        throw new Error(`The guest ended: exit ${code}, ${engine.exit.reason}`);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
  }

  /** The error code lies on top of the frame of 5 words that the processor pushed (SDM 3A §6.14.2). */
  #fault(vector: number): AccessEnd {
    const after = long64State({
      rip: 0,
      cr3: 0,
      gdt: { base: 0, limit: 0 },
      selectors: { cs: 0, ds: 0 },
    });
    this.#engine.vcpus[0].readState(after);
    const top = Frame.STACK * PAGE_SIZE + 0xff0;
    const errorCode = this.memory.readU32(gpa(top - 6 * 8));
    return { kind: "fault", vector, errorCode, cr2: after.get(State.CR2) };
  }

  #build(root: number): void {
    const { memory } = this;
    const at = (frame: number, offset = 0): Gpa => gpa(frame * PAGE_SIZE + offset);
    for (const frame of [Frame.PDPT, Frame.PD, Frame.PT, Frame.TABLES, Frame.STACK]) {
      memory.fill(at(frame), PAGE_SIZE, 0);
    }
    // Present, writable, user, accessed; the guest's own pages are dirty and, but one, supervisor.
    memory.writeU64(at(root, 511 * 8), Frame.PDPT * PAGE_SIZE + 0x27);
    memory.writeU64(at(Frame.PDPT), Frame.PD * PAGE_SIZE + 0x27);
    memory.writeU64(at(Frame.PD), Frame.PT * PAGE_SIZE + 0x27);
    for (let frame = Frame.TABLES; frame < Frame.END; frame++) {
      const flags = frame === Frame.CODE ? 0x65 : 0x63;
      memory.writeU64(at(Frame.PT, (frame - Frame.TABLES) * 8), frame * PAGE_SIZE + flags);
    }
    ACCESS_KINDS.forEach((kind, i) =>
      memory.write(at(Frame.CODE, i * CODE_STEP), Uint8Array.from(CODE[kind]))
    );
    this.#buildDescriptors(at);
  }

  #buildDescriptors(at: (frame: number, offset?: number) => Gpa): void {
    const { memory } = this;
    const gdt = (selector: number, value: bigint) =>
      memory.writeU64(at(Frame.TABLES, GDT + (selector & ~7)), value);
    gdt(Selector.KERNEL_CODE, 0x00af_9b00_0000_ffffn);
    gdt(Selector.USER_DATA, 0x00cf_f300_0000_ffffn);
    gdt(Selector.USER_CODE, 0x00af_fb00_0000_ffffn);
    memory.writeU64(at(Frame.TABLES, TSS + 4), STACK_TOP); // RSP0 (SDM 3A §7.7)
    for (let vector = 0; vector < VECTORS; vector++) {
      const offset = vector * HANDLER_BYTES;
      // mov al, vector; out VECTOR_PORT, al; hlt
      memory.write(
        at(Frame.HANDLERS, offset),
        Uint8Array.of(0xb0, vector, 0xe6, VECTOR_PORT, HLT),
      );
      const handler = linear(Frame.HANDLERS) + BigInt(offset);
      // An interrupt gate (SDM 3A §6.14.1): present, type 14.
      const gate = handler & 0xffffn | BigInt(Selector.KERNEL_CODE) << 16n | 0x8e00n << 32n |
        (handler >> 16n & 0xffffn) << 48n;
      memory.writeU64(at(Frame.TABLES, IDT + vector * 16), gate);
      memory.writeU64(at(Frame.TABLES, IDT + vector * 16 + 8), handler >> 32n);
    }
  }
}

/** 64-bit mode at CPL 3 with IOPL 3, so that the code may use ports. */
function ring3State(cr3: number, bits: { readonly nxe: boolean; readonly wp: boolean }): CpuState {
  const state = long64State({
    rip: 0,
    cr3,
    gdt: { base: 0, limit: 0 },
    selectors: { cs: Selector.USER_CODE, ds: Selector.USER_DATA },
  });
  const tables = linear(Frame.TABLES);
  state.setTable(State.GDTR, tables + BigInt(GDT), 0x37);
  state.setTable(State.IDTR, tables + BigInt(IDT), VECTORS * 16 - 1);
  const flat = { base: 0, limit: 0xffff_ffff };
  state.setSegment(Seg.CS, { ...flat, selector: Selector.USER_CODE, attributes: 0xa0fb });
  for (const seg of [Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS]) {
    state.setSegment(seg, { ...flat, selector: Selector.USER_DATA, attributes: 0xc0f3 });
  }
  const tss = { base: tables + BigInt(TSS), limit: 0x67, selector: Selector.TSS };
  state.setSegment(Seg.TR, { ...tss, attributes: 0x8b });
  state.set(State.RFLAGS, 0x3002);
  state.set(State.EFER, Efer.LME | Efer.LMA | (bits.nxe ? Efer.NXE : 0));
  state.set(State.CR0, Cr0.PE + Cr0.ET + Cr0.NE + Cr0.PG + (bits.wp ? Cr0.WP : 0));
  state.set(State.CR4, Cr4.PAE);
  return state;
}
