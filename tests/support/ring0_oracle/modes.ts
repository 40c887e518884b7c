/** Modes in which cases start, and the registers that they start with. */

import { Cr0, Cr4, Efer, realModeState } from "../../../src/cpu/modes.ts";
import { CpuState, Reg, Seg, State } from "../../../src/cpu/state.ts";
import { Flag } from "../../../src/engine/wasm/cpu.ts";
import { type Descriptors, FLAT, loadedSegment, nullSegment } from "./descriptors.ts";
import { Table, TSS_LIMIT } from "./image.ts";
import { At, LDT_LIMIT, PORT, Selector } from "./layout.ts";
import type { Shown } from "./shown.ts";
import type { Values } from "../oracle/values.ts";

/** A mode of operation. */
export interface Mode {
  readonly name: string;
  /** Size of the code. */
  readonly bits: 16 | 32 | 64;
  /** Privilege level: 0 or 3. */
  readonly level: 0 | 3;
  /** IA-32e mode. */
  readonly long: boolean;
  /** There are descriptors. */
  readonly isProtected: boolean;
  readonly paging: "none" | "legacy" | "pae" | "long";
  /** Cases of it in a hundred or so. */
  readonly weight: number;
}

type Rest = Partial<Pick<Mode, "level" | "isProtected">>;
const mode = (
  name: string,
  bits: Mode["bits"],
  paging: Mode["paging"],
  weight: number,
  rest: Rest = {},
): Mode => ({
  ...{ name, bits, paging, weight, level: 0, isProtected: true, long: paging === "long" },
  ...rest,
});

export const MODES: readonly Mode[] = [
  mode("real", 16, "none", 12, { isProtected: false }),
  mode("v86", 16, "legacy", 3, { isProtected: false, level: 3 }),
  mode("16-bit", 16, "none", 8),
  mode("32-bit", 32, "none", 12),
  mode("32-bit paged", 32, "legacy", 6),
  mode("32-bit PAE", 32, "pae", 6),
  mode("32-bit user", 32, "legacy", 4, { level: 3 }),
  mode("compatibility", 32, "long", 8),
  mode("16-bit compatibility", 16, "long", 4),
  mode("compatibility user", 32, "long", 3, { level: 3 }),
  mode("64-bit", 64, "long", 36),
  mode("64-bit user", 64, "long", 4, { level: 3 }),
];

const CR3 = {
  none: Table.LEGACY_PD,
  legacy: Table.LEGACY_PD,
  pae: Table.PAE_PDPT,
  long: Table.PML4,
} as const;
const V86_ATTRIBUTES = 0xf3;

/** What a mode's cases have in common. */
function template(mode: Mode): CpuState {
  const state = realModeState({ cs: 0, ip: 0, ds: 0, ss: 0, sp: 0 });
  if (mode.name === "real") return state;
  const paged = mode.paging !== "none";
  state.set(State.CR3, CR3[mode.paging]);
  state.set(State.CR0, (Cr0.PE | Cr0.ET | Cr0.NE | (paged ? Cr0.PG : 0)) >>> 0);
  state.set(State.CR4, mode.paging === "pae" || mode.long ? Cr4.PAE : 0);
  if (mode.long) state.set(State.EFER, Efer.SCE | Efer.LME | Efer.LMA);
  state.setTable(State.GDTR, At.GDT, Selector.END - 1);
  state.setTable(State.IDTR, At.IDT, mode.long ? 0xfff : 0x7ff);
  const tss = { base: At.TSS, limit: TSS_LIMIT, selector: Selector.TSS, attributes: 0x8b };
  state.setSegment(Seg.TR, tss);
  state.setSegment(Seg.CS, flat(codeSelector(mode)));
  return state;
}

function codeSelector({ bits, level }: Mode): number {
  if (level === 3) return (bits === 64 ? Selector.USER_CODE64 : Selector.USER_CODE32) | 3;
  return bits === 64 ? Selector.CODE64 : bits === 32 ? Selector.CODE32 : Selector.CODE16;
}

function flat(selector: number) {
  return loadedSegment(selector, FLAT.get(selector & ~7)!);
}

/** Makes first states. */
export class States {
  readonly #values: Values;
  readonly #descriptors: Descriptors;
  readonly #templates = new Map<Mode, Uint8Array>();
  readonly #shown: Shown;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** The state that `draw` fills in. */
  readonly state = new CpuState();

  constructor(values: Values, descriptors: Descriptors, shown: Shown) {
    this.#values = values;
    this.#shown = shown;
    this.#descriptors = descriptors;
    for (const one of MODES) this.#templates.set(one, new Uint8Array(template(one).view.buffer));
    this.#words = new Int32Array(this.state.view.buffer);
    this.#bytes = new Uint8Array(this.state.view.buffer);
  }

  /** The first state of a case in `mode` that does nothing. */
  plain(mode: Mode): void {
    this.#bytes.set(this.#templates.get(mode)!);
    this.setGpr(Reg.RSP, At.STACK);
    this.setGpr(Reg.RDX, PORT);
    const selector = mode.level === 3 ? Selector.USER_DATA32 | 3 : Selector.DATA32;
    if (mode.isProtected) this.state.setSegment(Seg.SS, flat(selector));
    else this.#realSegments(mode);
  }

  /** Random registers in `mode`, RIP not among them. */
  draw(mode: Mode): void {
    this.#bytes.set(this.#templates.get(mode)!);
    this.#general(mode);
    this.#words[State.RFLAGS / 4] = this.#shown.flags(mode, this.#flags(mode));
    this.#control(mode);
    if (!mode.isProtected) this.#realSegments(mode);
    else this.#segments(mode);
  }

  setGpr(index: number, lo: number, hi = 0): void {
    this.#words[index * 2] = lo;
    this.#words[index * 2 + 1] = hi;
  }
  gpr(index: number): number {
    return this.#words[index * 2];
  }

  #general(mode: Mode): void {
    const words = this.#words;
    const values = this.#values;
    for (let r = 0; r < 16; r++) {
      if (mode.bits !== 64 && r >= 8) break;
      values.integer(words, r * 2);
      if (mode.bits !== 64) words[r * 2 + 1] = 0;
    }
    words[Reg.RDX * 2] = words[Reg.RDX * 2] & 0xffff_0000 | PORT;
    const aligned = values.oneIn(4) ? values.small(16) : 0;
    this.setGpr(Reg.RSP, At.STACK + aligned);
    if (!values.oneIn(20)) return;
    // A stack whose top is near an edge
    const edges = [0, 1, 2, 6, 0xfffe, 0x1_0000, -4, At.READ_ONLY + 4, At.ABSENT - 4, At.ABSENT];
    const [edge, high] = [this.#descriptors.pick(edges), mode.bits === 64 && values.oneIn(4)];
    this.setGpr(Reg.RSP, edge, high ? values.random.u32() | 0 : 0);
  }

  #flags(mode: Mode): number {
    const values = this.#values;
    let flags = values.random.u32() & 0x8d5 | 2; // status flags
    flags |= values.oneIn(2) ? Flag.IF : 0;
    flags |= values.oneIn(8) ? Flag.DF : 0;
    flags |= values.small(4) << 12;
    flags |= values.oneIn(40) ? Flag.NT : 0;
    flags |= values.oneIn(40) ? Flag.AC : 0;
    flags |= values.oneIn(8) ? Flag.ID : 0;
    flags |= values.oneIn(60) ? Flag.TF : 0;
    return mode.name === "v86" ? flags | Flag.VM : flags;
  }

  #control(mode: Mode): void {
    const values = this.#values;
    const words = this.#words;
    for (const bit of [Cr0.MP, Cr0.WP, Cr0.AM]) if (values.oneIn(2)) words[State.CR0 / 4] |= bit;
    for (const bit of [Cr0.EM, Cr0.TS]) if (values.oneIn(8)) words[State.CR0 / 4] |= bit;
    for (const bit of [Cr4.TSD, Cr4.DE, Cr4.PGE, Cr4.OSFXSR]) {
      if (values.oneIn(4)) words[State.CR4 / 4] |= bit;
    }
    if (mode.long && values.oneIn(2)) words[State.EFER / 4] |= Efer.NXE;
    this.state.set(State.CR2, 0);
  }

  #realSegments(mode: Mode): void {
    const { state } = this;
    const attributes = mode.name === "v86" ? V86_ATTRIBUTES : 0x93;
    for (const seg of [Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS]) {
      const selector = this.#values.oneIn(4) ? this.#values.small(0x300) : 0;
      state.setSegment(seg, { selector, base: selector * 16, limit: 0xffff, attributes });
    }
    const code = mode.name === "v86" ? V86_ATTRIBUTES : 0x9b;
    state.setSegment(Seg.CS, { selector: 0, base: 0, limit: 0xffff, attributes: code });
  }

  #segments(mode: Mode): void {
    const { state } = this;
    const values = this.#values;
    const user = mode.level === 3;
    const data = user
      ? [Selector.USER_DATA32 | 3, Selector.USER_DATA16 | 3]
      : [Selector.DATA32, Selector.DATA16];
    const wide = data[0];
    for (const seg of [Seg.DS, Seg.ES, Seg.FS, Seg.GS]) {
      const u = values.small(10);
      if (u < 7) state.setSegment(seg, flat(u < 5 ? wide : this.#descriptors.pick(data)));
      else if (u < 8) state.setSegment(seg, nullSegment(values.small(4)));
      else this.#oddSegment(seg, user);
    }
    const noStack = mode.bits === 64 && !user && values.oneIn(6);
    if (noStack) state.setSegment(Seg.SS, nullSegment(0));
    else state.setSegment(Seg.SS, flat(values.oneIn(4) ? data[1] : wide));
    const local = { selector: Selector.LDT, base: At.LDT, limit: LDT_LIMIT, attributes: 0x82 };
    state.setSegment(Seg.LDTR, values.oneIn(5) ? nullSegment(0) : local);
  }

  /** A data segment that this level may have loaded: with a base, a limit, read-only, code. */
  #oddSegment(seg: number, user: boolean): void {
    const descriptors = this.#descriptors;
    const words = descriptors.draw(this.#values.oneIn(3) ? "code" : "data");
    const readable = (words.hi & 0x1a00) !== 0x1800 && (words.hi & 0x1000) !== 0;
    const hi = words.hi | 0x8000 | (user ? 0x6000 : 0);
    const selector = descriptors.free() | (user ? 3 : 0);
    if (readable) this.state.setSegment(seg, loadedSegment(selector, { lo: words.lo, hi }));
    else this.state.setSegment(seg, nullSegment(0));
  }
}
