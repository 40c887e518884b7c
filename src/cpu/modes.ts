/**
 * States in which a vCPU starts: after reset, and as boot protocols ask for it.
 */

import { CpuState, Event, MpState, Reg, Seg, State } from "./state.ts";

/** CR0 bits (SDM 3A §2.5). */
export const Cr0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 0x8000_0000,
};
/** CR4 bits (SDM 3A §2.5). */
export const Cr4 = {
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  LA57: 1 << 12,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
  PKE: 1 << 22,
};
/** IA32_EFER bits (SDM 4 §2.1). */
export const Efer = { SCE: 1 << 0, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11 };

/** Attributes of the segments that boot protocols use (layout: `SegField.ATTRIBUTES`). */
const CODE16 = 0x009b;
const DATA16 = 0x0093;
const CODE32 = 0xc09b;
const DATA32 = 0xc093;
const CODE64 = 0xa09b;
const LDT = 0x0082;
const TSS32_BUSY = 0x008b;
const TSS64_BUSY = 0x008b;

/**
 * MTRR_DEF_TYPE: MTRRs on, all memory write-back (SDM 3A §11.11.2.1). The fixed ranges stay off: they
 * are 0 after reset, which would make the first megabyte uncacheable. With MTRRs off, which is their
 * state after reset, Linux takes PAT for off as well.
 */
const MTRR_WRITE_BACK = 0x806;

/** The state after power-up or RESET (SDM 3A §9.1.1, table 9-1): real mode at f000:fff0. */
export function resetState(): CpuState {
  const state = new CpuState();
  state.set(State.RFLAGS, 0x2);
  state.set(State.RIP, 0xfff0);
  state.set(State.CR0, 0x6000_0010);
  state.set(State.XCR0, 1);
  state.set(State.APIC_BASE, 0xfee0_0900); // bootstrap processor, APIC enabled (SDM 3A §10.4.4)
  state.setGpr(Reg.RDX, 0x600); // processor signature: family 6
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) {
    state.setSegment(seg, { base: 0, limit: 0xffff, selector: 0, attributes: DATA16 });
  }
  const code = { base: 0xffff_0000, limit: 0xffff, selector: 0xf000, attributes: CODE16 };
  state.setSegment(Seg.CS, code);
  state.setSegment(Seg.LDTR, { base: 0, limit: 0xffff, selector: 0, attributes: LDT });
  state.setSegment(Seg.TR, { base: 0, limit: 0xffff, selector: 0, attributes: TSS32_BUSY });
  state.setTable(State.GDTR, 0, 0xffff);
  state.setTable(State.IDTR, 0, 0xffff);
  state.set(State.DEBUG + 4 * 8, 0xffff_0ff0);
  state.set(State.DEBUG + 5 * 8, 0x400);
  state.setMsr(0x277, 0x0007_0406_0007_0406n); // PAT (SDM 3A §11.12.4)
  state.setMsr(0x1a0, 1); // MISC_ENABLE: fast strings (SDM 4 §2.1)
  state.setEvent(Event.MP_STATE, MpState.RUNNABLE);
  return state;
}

/** The state after reset, with what firmware changes before it starts any system. */
function afterFirmware(): CpuState {
  const state = resetState();
  state.setGpr(Reg.RDX, 0);
  state.setMsr(0x2ff, MTRR_WRITE_BACK);
  return state;
}

/** Real mode at `cs`:`ip` with every data segment equal to `ds` and the stack at `ss`:`sp`. */
export function realModeState(
  entry: { cs: number; ip: number; ds: number; ss: number; sp: number },
): CpuState {
  const state = afterFirmware();
  const at = (selector: number, attributes: number) => ({
    base: selector * 16,
    limit: 0xffff,
    selector,
    attributes,
  });
  state.setSegment(Seg.CS, at(entry.cs, CODE16));
  for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) state.setSegment(seg, at(entry.ds, DATA16));
  state.setSegment(Seg.SS, at(entry.ss, DATA16));
  state.set(State.RIP, entry.ip);
  state.setGpr(Reg.RSP, entry.sp);
  state.set(State.CR0, Cr0.ET);
  return state;
}

/**
 * 32-bit protected mode, paging off, flat 4 GiB segments: what Linux's 32-bit boot protocol, PVH
 * and Multiboot ask for. `selectors` must match the GDT that the caller put at `gdt`.
 */
export function flat32State(
  entry: {
    eip: number;
    gdt: { base: number; limit: number };
    selectors: { cs: number; ds: number };
  },
): CpuState {
  const state = afterFirmware();
  setFlatSegments(state, entry.selectors, CODE32);
  state.setTable(State.GDTR, entry.gdt.base, entry.gdt.limit);
  state.setTable(State.IDTR, 0, 0);
  state.set(State.CR0, Cr0.PE | Cr0.ET);
  state.set(State.RIP, entry.eip);
  return state;
}

/** 64-bit mode with 4-level paging from the tables at `cr3`: what Linux's 64-bit boot protocol asks for. */
export function long64State(
  entry: {
    rip: bigint | number;
    cr3: number;
    gdt: { base: number; limit: number };
    selectors: { cs: number; ds: number };
  },
): CpuState {
  const state = afterFirmware();
  setFlatSegments(state, entry.selectors, CODE64);
  state.setSegment(Seg.TR, { base: 0, limit: 0xffff, selector: 0, attributes: TSS64_BUSY });
  state.setTable(State.GDTR, entry.gdt.base, entry.gdt.limit);
  state.setTable(State.IDTR, 0, 0);
  state.set(State.CR3, entry.cr3);
  state.set(State.CR4, Cr4.PAE);
  state.set(State.EFER, Efer.LME | Efer.LMA);
  state.set(State.CR0, (Cr0.PE | Cr0.ET | Cr0.NE | Cr0.PG) >>> 0);
  state.set(State.RIP, entry.rip);
  return state;
}

function setFlatSegments(
  state: CpuState,
  selectors: { cs: number; ds: number },
  codeAttributes: number,
): void {
  const flat = (selector: number, attributes: number) => ({
    base: 0,
    limit: 0xffff_ffff,
    selector,
    attributes,
  });
  state.setSegment(Seg.CS, flat(selectors.cs, codeAttributes));
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) {
    state.setSegment(seg, flat(selectors.ds, DATA32));
  }
}
