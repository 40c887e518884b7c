/** Far transfers, interrupts and returns, and what changes RFLAGS. */

import { Reg, STATE_MSRS } from "../../../src/cpu/state.ts";
import { Flag } from "../../../src/engine/wasm/cpu.ts";
import type { Kind } from "./descriptors.ts";
import { type Draft, le } from "./draft.ts";
import { At, Selector } from "./layout.ts";
import type { Family } from "./system_families.ts";

/** Selectors of code and stacks that go together, by privilege level. */
const CODE: readonly (readonly number[])[] = [
  [Selector.CODE32, Selector.CODE64, Selector.CODE16],
  [Selector.USER_CODE32, Selector.USER_CODE64, Selector.USER_CODE16],
];
const STACKS: readonly (readonly number[])[] = [
  [Selector.DATA32, Selector.DATA16],
  [Selector.USER_DATA32, Selector.USER_DATA16],
];

/** An offset for `size` bytes of it: halves. */
function offset(draft: Draft, size: number): readonly [number, number] {
  const lo = draft.descriptors.offset();
  if (size !== 8 || !draft.oneIn(20)) return [lo, 0];
  return [lo, draft.pick([-1, 0x7fff, 0x8000, 0xffff_8000 | 0, draft.u32() | 0])];
}

/** RFLAGS as a frame may have them. */
function frameFlags(draft: Draft): number {
  let flags = draft.u32() & (0x8d7 | Flag.DF | Flag.ID | Flag.IF);
  flags |= draft.oneIn(2) ? Flag.IOPL : draft.values.small(4) << 12;
  for (const flag of [Flag.NT, Flag.AC, Flag.RF, Flag.VIF, Flag.VIP]) {
    if (draft.oneIn(16)) flags |= flag;
  }
  if (draft.oneIn(40)) flags |= Flag.TF;
  if (draft.oneIn(16)) flags |= draft.u32() & 0xffff_8028;
  return draft.shown.frameFlags(flags & ~Flag.VM);
}

/** Code and stack selectors: a pair of one level, or anything. */
function returnSelectors(draft: Draft): readonly [code: number, stack: number] {
  const { descriptors } = draft;
  if (!draft.mode.isProtected) return [descriptors.realCode(), 0];
  if (draft.oneIn(2)) {
    const user = draft.values.small(2);
    return [draft.pick(CODE[user]) | user * 3, draft.pick(STACKS[user]) | user * 3];
  }
  const code = draft.oneIn(3)
    ? draft.pick(CODE[draft.oneIn(2) ? 1 : 0])
    : descriptors.selector("code");
  const rpl = draft.oneIn(2) ? 3 : code & 3;
  const stack = descriptors.selector("data");
  return [code & ~3 | rpl, draft.oneIn(4) ? stack : stack & ~3 | rpl];
}

/** Only 64-bit code has an upper half. */
function stackPointer(draft: Draft, code: number): readonly [number, number] {
  const target = code & ~3;
  const wide = target === Selector.CODE64 || target === Selector.USER_CODE64;
  if (draft.oneIn(10)) return [draft.u32() | 0, wide && draft.oneIn(2) ? draft.u32() | 0 : 0];
  return [At.STACK + draft.values.small(256), 0];
}

function iret(draft: Draft): void {
  const { mode } = draft;
  const size = mode.bits === 64 ? draft.pick([2, 4, 8, 8, 8, 8]) : draft.size();
  const [code, stack] = returnSelectors(draft);
  const toV86 = !mode.long && draft.oneIn(6);
  const flags = frameFlags(draft) | (toV86 ? Flag.VM : 0);
  const frame: (readonly [number, number])[] = [
    offset(draft, size),
    [code | junk(draft), 0],
    [flags, draft.oneIn(20) ? draft.u32() : 0],
    stackPointer(draft, code),
    [stack | junk(draft), 0],
  ];
  for (let i = 0; i < 4; i++) frame.push([draft.values.small(0x900), 0]);
  draft.frame(size, frame);
  draft.plain(size, 0xcf);
}

/** What stands above a selector in its slot. */
function junk(draft: Draft): number {
  return draft.oneIn(4) ? draft.u32() & 0xffff_0000 : 0;
}

function farReturn(draft: Draft): void {
  const size = draft.size();
  const [code, stack] = returnSelectors(draft);
  const drop = draft.oneIn(3) ? draft.pick([0, 2, 8, 16, 0xfffe]) : 0;
  const frame: (readonly [number, number])[] = [offset(draft, size), [code | junk(draft), 0]];
  if (drop < 32) { for (let i = 0; i < drop; i += size) frame.push([draft.u32(), draft.u32()]); }
  frame.push(stackPointer(draft, code), [stack | junk(draft), 0]);
  draft.frame(size, frame);
  if (drop === 0 && draft.oneIn(2)) draft.plain(size, 0xcb);
  else draft.plain(size, 0xca, drop & 255, drop >> 8);
}

function farTransfer(draft: Draft): void {
  const size = draft.size();
  const kinds: readonly Kind[] = ["code", "code", "code", "gate", "gate", "tss", "any"];
  const selector = draft.mode.isProtected
    ? draft.descriptors.selector(draft.pick(kinds))
    : draft.descriptors.realCode();
  const call = draft.oneIn(2);
  const [lo, hi] = offset(draft, size);
  const pointer = [...le(lo, hi).slice(0, size), selector & 255, selector >> 8];
  if (draft.mode.bits !== 64 && draft.oneIn(2)) draft.plain(size, call ? 0x9a : 0xea, ...pointer);
  else draft.modrm(size, [0xff], call ? 3 : 5, draft.memory(...pointer));
}

function interrupt(draft: Draft): void {
  const which = draft.values.small(20);
  if (which === 0) draft.plain(0, 0xcc);
  else if (which === 1) draft.plain(0, 0xf1);
  else if (which === 2 && draft.mode.bits !== 64) draft.plain(0, 0xce);
  else {
    const vectors = draft.shown.vectors(draft.mode);
    if (vectors.length === 0) draft.plain(0, 0xcc);
    else draft.plain(0, 0xcd, draft.pick(vectors));
  }
  if (which === 1) draft.full = true;
}

function popFlags(draft: Draft): void {
  const size = draft.size();
  draft.frame(8, [[frameFlags(draft) | (draft.oneIn(10) ? Flag.VM : 0), draft.u32()]]);
  draft.plain(size === 8 && draft.oneIn(2) ? 0 : size, 0x9d);
}
function pushFlags(draft: Draft): void {
  draft.plain(draft.size(), 0x9c);
}
function interruptFlag(draft: Draft): void {
  draft.plain(0, draft.pick([0xfa, 0xfb]));
}

const msr = (number: number, draft: Draft, lo: number, hi: number) => {
  if (!STATE_MSRS.includes(number)) throw new Error(`MSR ${number} is not in the state`);
  draft.states.state.setMsr(number, BigInt(hi >>> 0) << 32n | BigInt(lo >>> 0));
};

/** SYSCALL, SYSRET, SYSENTER and SYSEXIT, with targets in their registers. */
function systemCall(draft: Draft): void {
  const { states } = draft;
  draft.full = true;
  const [kernel, user] = [draft.pick([Selector.CODE64, 0x13, 0]), draft.pick([0x30, 0x33, 0x38])];
  const target = () => At.LANDING + (draft.values.small(0x1000) & ~3);
  msr(0xc000_0081, draft, draft.u32(), user << 16 | kernel);
  msr(0xc000_0082, draft, target(), 0);
  msr(0xc000_0083, draft, target(), 0);
  msr(0xc000_0084, draft, draft.oneIn(2) ? 0x4_7700 : draft.u32(), 0);
  msr(0x174, draft, draft.pick([Selector.CODE32, Selector.CODE32, 0, 3, 0x13]), 0);
  msr(0x175, draft, At.STACK0, 0);
  msr(0x176, draft, target(), 0);
  const high = () => draft.mode.bits === 64 && draft.oneIn(10) ? draft.u32() | 0 : 0;
  states.setGpr(Reg.RCX, target(), high());
  states.setGpr(Reg.R11, frameFlags(draft), high());
  const which = draft.pick([0x05, 0x07, 0x34, 0x35]);
  if (which === 0x35) {
    // SYSEXIT has its target in RDX: the port, too
    states.setGpr(Reg.RDX, target(), high());
    states.setGpr(Reg.RCX, At.STACK, high());
  }
  draft.plain(draft.mode.bits === 64 && draft.oneIn(2) ? 8 : 0, 0x0f, which);
}

export const TRANSFER_FAMILIES: readonly Family[] = [
  { name: "iret", weight: 22, make: iret },
  { name: "retf", weight: 10, make: farReturn },
  { name: "far jmp call", weight: 22, make: farTransfer },
  { name: "int", weight: 14, make: interrupt },
  { name: "popf", weight: 5, make: popFlags },
  { name: "pushf", weight: 2, make: pushFlags },
  { name: "sti cli", weight: 2, make: interruptFlag },
  { name: "syscall sysenter", weight: 2, make: systemCall },
];
