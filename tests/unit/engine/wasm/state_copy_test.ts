/** The architectural state in and out of a vCPU. */

import { assertEquals } from "@std/assert";
import {
  CpuState,
  Event,
  MpState,
  MTRR_FIXED,
  MTRR_VARIABLE,
  NO_VECTOR,
  Seg,
  State,
} from "../../../../src/cpu/state.ts";
import { Word } from "../../../../src/engine/wasm/cpu.ts";
import { NONE, SystemRig } from "../../../support/system_rig.ts";

/** Places in the XSAVE area. */
const FCW = State.XSAVE, FSW = State.XSAVE + 2, FTW = State.XSAVE + 4, MXCSR = State.XSAVE + 24;
const ST0 = State.XSAVE + 32, XMM0 = State.XSAVE + 160, XSTATE_BV = State.XSAVE + 512;
const PKRU = State.XSAVE + 2688;

/** A state of 64-bit mode in which every field has a value of its own. */
function distinctState(rig: SystemRig): CpuState {
  const state = new CpuState();
  rig.engine.vcpus[0].readState(state);
  for (let i = 0; i < 16; i++) state.setGpr(i, 0x1111_2222_3333_4400n + BigInt(i));
  state.set(State.RFLAGS, 0x24_0ed7);
  state.set(State.CR2, 0xffff_8000_1234_5678n);
  state.set(State.CR8, 9);
  for (let i = 0; i < 4; i++) state.set(State.DEBUG + i * 8, 0x7000n + BigInt(i));
  state.setSegment(Seg.FS, {
    base: 0x7f00_0000_1000n,
    limit: 0xfff,
    selector: 0x2b,
    attributes: 0xf3,
  });
  state.setTable(State.GDTR, 0xffff_8000_0000_1000n, 0x7f);
  state.setMsr(0xc000_0102, 0xffff_8000_0000_2000n);
  state.setMsr(0x3b, 77);
  state.setMsr(0x1d9, 3);
  state.setMsr(0x17a, 5);
  MTRR_VARIABLE.forEach((msr, i) => state.setMsr(msr, i % 2 === 0 ? i << 12 | 6 : i << 12 | 0x800));
  MTRR_FIXED.forEach((msr, i) => state.setMsr(msr, 0x0605_0401_0000_0000n + BigInt(i % 2)));
  state.set(State.RANDOM, 0x1234_5678_9abc_def0n);
  state.set(State.RANDOM + 8, 0xfedc_ba98_7654_3210n);
  state.setMsr(0x10, 0x1_0000_0000n);
  const { view } = state;
  view.setUint16(FCW, 0x27f, true);
  view.setUint16(FSW, 5 << 11, true); // TOP = 5: the registers are stored from there
  view.setUint8(FTW, 0b1010_0001);
  view.setUint32(MXCSR, 0x7f80, true);
  for (let i = 0; i < 8; i++) {
    view.setBigUint64(ST0 + i * 16, 0x8000_0000_0000_0000n + BigInt(i), true);
    view.setUint16(ST0 + i * 16 + 8, 0x4000 + i, true);
  }
  for (let i = 0; i < 256; i++) view.setUint8(XMM0 + i, i);
  view.setUint32(XSTATE_BV, 3 | 1 << 9, true);
  view.setUint32(PKRU, 0x5555_0000, true);
  state.setEvent(Event.SHADOW, 2);
  state.setEvent(Event.NMI, 3);
  state.setEvent(Event.MP_STATE, MpState.HALTED);
  return state;
}

Deno.test("a state that is written reads back the same, byte for byte", () => {
  const rig = new SystemRig("long64");
  const state = distinctState(rig);
  rig.engine.vcpus[0].writeState(state);
  const again = new CpuState();
  rig.engine.vcpus[0].readState(again);
  assertEquals(new Uint8Array(again.view.buffer), new Uint8Array(state.view.buffer));
});

Deno.test("the state is live: flags, mode and the stack of x87 registers", () => {
  const rig = new SystemRig("long64");
  rig.engine.vcpus[0].writeState(distinctState(rig));
  const { cpu } = rig;
  assertEquals([cpu.cf, cpu.zero === 0, cpu.sign < 0, cpu.over < 0], [1, true, true, true]);
  assertEquals([cpu.is64, cpu.cpl, cpu.nmiMasked, cpu.shadow], [true, 0, true, 2]);
  assertEquals([cpu.x87.top, cpu.x87.used], [5, 0b1010_0001]);
  assertEquals(rig.get(cpu.x87.word(5)), 0x8000_0000_0000_0000n); // ST0
  assertEquals(rig.apic.taskPriority, 9);
  assertEquals(rig.rdmsr(0x10), 0x1_0000_0000n);
  assertEquals([rig.rdmsr(0x1d9), rig.rdmsr(0x17a)], [3n, 5n]);
  assertEquals(rig.rdmsr(0x203), 0x3800n);
  assertEquals(rig.rdmsr(0x26f), 0x0605_0401_0000_0000n);
});

Deno.test("a vCPU that gets another one's state goes on with its random numbers", () => {
  const rig = new SystemRig("long64");
  const next = () => {
    assertEquals(rig.run("0f c7 f0"), NONE); // rdrand eax
    return rig.get(0);
  };
  next();
  const state = new CpuState();
  rig.engine.vcpus[0].readState(state);
  const expected = [next(), next()];
  rig.engine.vcpus[0].writeState(state);
  assertEquals([next(), next()], expected);
});

Deno.test("components that XSTATE_BV leaves out are in their initial state (SDM 1 §13.6)", () => {
  const rig = new SystemRig("long64");
  const state = distinctState(rig);
  state.view.setUint32(XSTATE_BV, 0, true);
  rig.engine.vcpus[0].writeState(state);
  const { cpu } = rig;
  assertEquals([cpu.x87.control, cpu.x87.top, cpu.x87.used], [0x37f, 0, 0]);
  assertEquals([cpu.s[Word.MXCSR], cpu.s[Word.XMM + 63], cpu.s[Word.PKRU]], [0x1f80, 0, 0]);
});

Deno.test("the state changes what is derived from it: paging, TLB and privilege", () => {
  const rig = new SystemRig("long64");
  const state = new CpuState();
  rig.engine.vcpus[0].readState(state);
  const flat = { base: 0, limit: 0xffff_ffff, selector: 0x33, attributes: 0xa0fb };
  state.setSegment(Seg.CS, flat);
  state.setSegment(Seg.SS, { ...flat, selector: 0x2b, attributes: 0xc0f3 });
  rig.engine.vcpus[0].writeState(state);
  assertEquals([rig.cpu.cpl, rig.run("0f 06")], [3, 13], "CLTS at level 3");
  state.set(State.CR0, 0x10);
  state.set(State.EFER, 0);
  rig.engine.vcpus[0].writeState(state);
  assertEquals([rig.cpu.longMode, rig.cpu.cpl, rig.run("0f 06")], [false, 0, NONE]);
});

Deno.test("a snapshot between two instructions has no event in flight", () => {
  const rig = new SystemRig("real");
  const state = new CpuState();
  rig.engine.vcpus[0].readState(state);
  assertEquals([Event.EXCEPTION, Event.ERROR_CODE, Event.INTERRUPT].map((e) => state.event(e)), [
    NO_VECTOR,
    NO_VECTOR,
    NO_VECTOR,
  ]);
});
