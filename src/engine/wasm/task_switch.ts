/** Hardware task switches (SDM 3A chapter 7). */

import { Cr0 } from "../../cpu/modes.ts";
import { Reg, Seg } from "../../cpu/state.ts";
import { setInstructionPointer } from "./code_segment.ts";
import { type Cpu, Flag, Word } from "./cpu.ts";
import { Dr6, raiseDebug, updateDebug } from "./debug.ts";
import { FaultClass, Vector } from "./exception.ts";
import { changeFlags } from "./flags.ts";
import { load16, load32, modifyLoad8, store16, store32 } from "./memory.ts";
import { beginSystem, endSystem, updateModes } from "./modes.ts";
import {
  clearTypeBits,
  Descriptor,
  findDescriptor,
  isNull,
  loadDataSegment,
  markAccessed,
  readDescriptor,
  readStackDescriptor,
  setNullSegment,
  setSegment,
  setTypeBits,
  setV86Segment,
  SystemType,
} from "./segments.ts";
import { loadLocalTable } from "./task_state.ts";

/** What switches tasks (SDM 3A §7.3). */
export const TaskSource = { JUMP: 0, CALL: 1, RETURN: 2, EVENT: 3 } as const;
export type TaskSource = typeof TaskSource[keyof typeof TaskSource];

/** Byte offsets in a TSS of 32 bits (SDM 3A figure 7-2); LINK is the same in both kinds. */
const Tss32 = {
  LINK: 0,
  CR3: 28,
  EIP: 32,
  EFLAGS: 36,
  EAX: 40,
  ES: 72,
  LDT: 96,
  TRAP: 100,
  LIMIT: 103,
} as const;
/** And of 16 bits (SDM 3A figure 7-10). */
const Tss16 = { IP: 14, FLAGS: 16, AX: 18, ES: 34, LDT: 42, LIMIT: 43 } as const;
/** Segments by their order in a TSS; one of 16 bits ends with DS. */
const ORDER: readonly number[] = [Seg.ES, Seg.CS, Seg.SS, Seg.DS, Seg.FS, Seg.GS];
const IN_TSS16 = 4;
/** Type bit of a busy TSS. */
const BUSY = 2;
/** Word of DR7, and its local enables, which end with the task (SDM 3B §17.2.4). */
const DR7 = Word.DEBUG + 10;
const LOCAL_ENABLES = 0x55;

const target = new Descriptor();
const previous = new Descriptor();
const loaded = new Descriptor();
/** What the new TSS holds. */
const next = {
  cr3: 0,
  ip: 0,
  flags: 0,
  registers: new Int32Array(8),
  selectors: new Uint16Array(6),
  ldt: 0,
  trap: false,
};

/**
 * Switches to the task of TSS `selector`, with all checks. Until the switch has begun exceptions
 * leave the old task as it was; from then on they are the new task's. `finishTask` ends it.
 * @param flags RFLAGS as the old task's TSS keeps them.
 */
export function switchTask(cpu: Cpu, selector: number, source: TaskSource, flags: number): void {
  const { s } = cpu;
  const nested = source === TaskSource.CALL || source === TaskSource.EVENT;
  checkTarget(cpu, selector, source);
  readNext(cpu);
  const oldSelector = cpu.selector(Seg.TR);
  probe(cpu, oldSelector, nested);

  if (!nested) clearTypeBits(cpu, previous, BUSY);
  beginSystem(cpu);
  save(cpu, flags);
  if (nested) store16(cpu, target.base, 0, oldSelector);
  endSystem(cpu);
  if (source !== TaskSource.RETURN) setTypeBits(cpu, target, BUSY);
  target.hi |= BUSY << 8;
  setSegment(cpu, Seg.TR, selector, target);

  // What raises from here on is at the new task's instruction pointer.
  cpu.block = undefined;
  s[Word.CR0] |= Cr0.TS;
  s[DR7] &= ~LOCAL_ENABLES;
  setInstructionPointer(cpu, next.ip, 0);
  changeFlags(cpu, nested ? next.flags | Flag.NT : next.flags, -1);
  for (let i = 0; i < 8; i++) {
    s[i * 2] = next.registers[i];
    s[i * 2 + 1] = 0;
  }
  loadSegments(cpu);
  updateDebug(cpu);
}

/** Raises #DB when the task that `switchTask` has begun wants that (SDM 3B §17.3.1.5). */
export function finishTask(cpu: Cpu): void {
  if (next.trap) raiseDebug(cpu, Dr6.BT, FaultClass.TRAP);
}

/** IRET with RFLAGS.NT: back to the task that the current TSS links to (SDM 3A §7.4). */
export function returnFromTask(cpu: Cpu): void {
  if (cpu.limit(Seg.TR) < 1) cpu.raise(Vector.TS, cpu.selector(Seg.TR) & 0xfffc);
  beginSystem(cpu);
  const link = load16(cpu, cpu.baseLo(Seg.TR), 0);
  endSystem(cpu);
  switchTask(cpu, link, TaskSource.RETURN, cpu.flags & ~Flag.NT);
  finishTask(cpu);
}

function is32(descriptor: Descriptor): boolean {
  return (descriptor.type & 8) !== 0;
}

/** Reads the new TSS's descriptor, with its checks (SDM 3A §7.3, table 7-1). */
function checkTarget(cpu: Cpu, selector: number, source: TaskSource): void {
  const code = selector & 0xfffc;
  const vector = source === TaskSource.RETURN ? Vector.TS : Vector.GP;
  if ((selector & 4) !== 0 || isNull(selector)) cpu.raise(vector, code);
  if (!findDescriptor(cpu, selector, target)) cpu.raise(vector, code);
  const state = source === TaskSource.RETURN ? BUSY : 0;
  const { type } = target;
  const isTss = type === (SystemType.TSS16 | state) || type === (SystemType.TSS32 | state);
  if (!target.isSystem || !isTss) cpu.raise(vector, code);
  if (!target.present) cpu.raise(Vector.NP, code);
  if (target.limit < (is32(target) ? Tss32.LIMIT : Tss16.LIMIT)) cpu.raise(Vector.TS, code);
}

/** Reads the new TSS. */
function readNext(cpu: Cpu): void {
  const { base } = target;
  const wide = is32(target);
  const load = wide ? load32 : load16;
  const size = wide ? 4 : 2;
  beginSystem(cpu);
  next.cr3 = wide ? load32(cpu, (base + Tss32.CR3) | 0, 0) : 0;
  next.ip = load(cpu, (base + (wide ? Tss32.EIP : Tss16.IP)) | 0, 0);
  next.flags = load(cpu, (base + (wide ? Tss32.EFLAGS : Tss16.FLAGS)) | 0, 0);
  const registers = base + (wide ? Tss32.EAX : Tss16.AX);
  for (let i = 0; i < 8; i++) next.registers[i] = load(cpu, (registers + i * size) | 0, 0);
  const selectors = base + (wide ? Tss32.ES : Tss16.ES);
  for (let i = 0; i < 6; i++) {
    const has = wide || i < IN_TSS16;
    next.selectors[i] = has ? load16(cpu, (selectors + i * size) | 0, 0) : 0;
  }
  next.ldt = load16(cpu, (base + (wide ? Tss32.LDT : Tss16.LDT)) | 0, 0);
  next.trap = wide && (load16(cpu, (base + Tss32.TRAP) | 0, 0) & 1) !== 0;
  endSystem(cpu);
}

/** Faults now where the switch would when it writes (SDM 3A §7.3, step 5). */
function probe(cpu: Cpu, oldSelector: number, nested: boolean): void {
  const wide = (cpu.attributes(Seg.TR) & 8) !== 0;
  const first = wide ? Tss32.EIP : Tss16.IP;
  const last = (wide ? Tss32.LDT : Tss16.LDT) - 1;
  if (cpu.limit(Seg.TR) < last) cpu.raise(Vector.TS, oldSelector & 0xfffc);
  if (!nested) readDescriptor(cpu, oldSelector, previous, Vector.TS);
  beginSystem(cpu);
  modifyLoad8(cpu, (cpu.baseLo(Seg.TR) + first) | 0, 0);
  modifyLoad8(cpu, (cpu.baseLo(Seg.TR) + last) | 0, 0);
  if (nested) {
    modifyLoad8(cpu, target.base, 0);
    modifyLoad8(cpu, (target.base + 1) | 0, 0);
  } else {
    modifyLoad8(cpu, (previous.atLo + 5) | 0, 0);
  }
  modifyLoad8(cpu, (target.atLo + 5) | 0, 0);
  endSystem(cpu);
}

/** Writes the old task's state to its TSS. */
function save(cpu: Cpu, flags: number): void {
  const { s } = cpu;
  const base = cpu.baseLo(Seg.TR);
  const wide = (cpu.attributes(Seg.TR) & 8) !== 0;
  const store = wide ? store32 : store16;
  const size = wide ? 4 : 2;
  store(cpu, (base + (wide ? Tss32.EIP : Tss16.IP)) | 0, 0, s[Word.RIP]);
  store(cpu, (base + (wide ? Tss32.EFLAGS : Tss16.FLAGS)) | 0, 0, flags);
  const registers = base + (wide ? Tss32.EAX : Tss16.AX);
  for (let i = 0; i < 8; i++) store(cpu, (registers + i * size) | 0, 0, s[(Reg.RAX + i) * 2]);
  const selectors = base + (wide ? Tss32.ES : Tss16.ES);
  const count = wide ? ORDER.length : IN_TSS16;
  for (let i = 0; i < count; i++) {
    store16(cpu, (selectors + i * size) | 0, 0, cpu.selector(ORDER[i]));
  }
}

/** Loads CR3, LDTR and the segment registers, with the checks of table 7-1. */
function loadSegments(cpu: Cpu): void {
  const { s } = cpu;
  const { selectors } = next;
  // Until each has been checked they cannot be used.
  const cpl = selectors[1] & 3;
  for (let i = 0; i < ORDER.length; i++) setNullSegment(cpu, ORDER[i], selectors[i], cpl);
  setNullSegment(cpu, Seg.LDTR, next.ldt);
  updateModes(cpu);
  if (is32(target) && s[Word.CR0] < 0) { // bit 31, PG
    if (!cpu.paging.loadCr3(next.cr3, 0)) cpu.raise(Vector.GP);
    s[Word.CR3] = next.cr3;
    s[Word.CR3 + 1] = 0;
  }
  loadLocalTable(cpu, next.ldt, Vector.TS);
  if (cpu.v86) {
    for (let i = 0; i < ORDER.length; i++) setV86Segment(cpu, ORDER[i], selectors[i]);
  } else {
    loadCode(cpu, selectors[1], cpl);
    readStackDescriptor(cpu, selectors[2], cpl, loaded, Vector.TS);
    markAccessed(cpu, loaded);
    setSegment(cpu, Seg.SS, selectors[2], loaded);
    for (let i = 0; i < ORDER.length; i++) {
      if (ORDER[i] === Seg.CS || ORDER[i] === Seg.SS) continue;
      loadDataSegment(cpu, ORDER[i], selectors[i], Vector.TS);
    }
  }
  updateModes(cpu);
}

function loadCode(cpu: Cpu, selector: number, cpl: number): void {
  const code = selector & 0xfffc;
  if (isNull(selector)) cpu.raise(Vector.TS);
  readDescriptor(cpu, selector, loaded, Vector.TS);
  const { dpl } = loaded;
  if (!loaded.isCode || (loaded.isConforming ? dpl > cpl : dpl !== cpl)) cpu.raise(Vector.TS, code);
  if (!loaded.present) cpu.raise(Vector.NP, code);
  markAccessed(cpu, loaded);
  setSegment(cpu, Seg.CS, selector, loaded);
}
