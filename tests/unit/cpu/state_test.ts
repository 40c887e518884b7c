import { assertEquals, assertThrows } from "@std/assert";
import { flat32State, long64State, realModeState, resetState } from "../../../src/cpu/modes.ts";
import {
  CpuState,
  Event,
  NO_VECTOR,
  Reg,
  Seg,
  State,
  STATE_BYTES,
  STATE_MSRS,
  XSAVE_BYTES,
} from "../../../src/cpu/state.ts";

Deno.test("no two fields of the vCPU state share a byte", () => {
  const blocks: [name: string, start: number, bytes: number][] = [
    ["gpr", State.GPR, 128],
    ...["RIP", "RFLAGS", "CR0", "CR2", "CR3", "CR4", "CR8", "EFER", "XCR0", "APIC_BASE"].map(
      (name): [string, number, number] => [name, State[name as keyof typeof State], 8],
    ),
    ["segments", State.SEGMENTS, 128],
    ["gdtr", State.GDTR, 16],
    ["idtr", State.IDTR, 16],
    ["debug", State.DEBUG, 48],
    ["events", State.EVENTS, 28],
    ["msrs", State.MSRS, STATE_MSRS.length * 8],
    ["random", State.RANDOM, 16],
    ["xsave", State.XSAVE, XSAVE_BYTES],
  ];
  blocks.sort((a, b) => a[1] - b[1]);
  let end = 0;
  for (const [name, start, bytes] of blocks) {
    assertEquals(start >= end, true, `${name} starts at ${start}, before ${end}`);
    end = start + bytes;
  }
  assertEquals(end <= STATE_BYTES, true);
});

Deno.test("the vCPU state keeps all 64 bits of what is stored", () => {
  const state = new CpuState();
  state.setGpr(Reg.R15, 0xfedc_ba98_7654_3210n);
  assertEquals(state.gpr(Reg.R15), 0xfedc_ba98_7654_3210n);
  state.setMsr(0xc000_0082, 0xffff_ffff_8100_0000n);
  assertEquals(state.msr(0xc000_0082), 0xffff_ffff_8100_0000n);
  const segment = { base: 0xffff_8880_0000_0000n, limit: 0xffff_ffff, selector: 8, attributes: 3 };
  state.setSegment(Seg.GS, segment);
  assertEquals(state.segment(Seg.GS), segment);
  assertThrows(() => state.msr(0x1234), RangeError, "0x1234");
});

Deno.test("a fresh state has no event in flight", () => {
  const state = new CpuState();
  assertEquals(state.event(Event.EXCEPTION), NO_VECTOR);
  assertEquals(state.event(Event.INTERRUPT), NO_VECTOR);
});

Deno.test("reset starts at the reset vector, 16 bytes below 4 GiB (SDM 3A table 9-1)", () => {
  const state = resetState();
  const cs = state.segment(Seg.CS);
  assertEquals(BigInt(cs.base) + state.get(State.RIP), 0xffff_fff0n);
  assertEquals(cs.selector, 0xf000);
  assertEquals(state.get(State.CR0), 0x6000_0010n);
  assertEquals(state.get(State.RFLAGS), 2n);
});

Deno.test("entry states set the bits that make their mode, and no others of them", () => {
  const gdt = { base: 0x500, limit: 31 };
  const selectors = { cs: 0x10, ds: 0x18 };
  const real = realModeState({ cs: 0x1020, ip: 4, ds: 0x1000, ss: 0x1000, sp: 0xe000 });
  assertEquals(real.get(State.CR0) & 0x8000_0001n, 0n);
  assertEquals(real.segment(Seg.CS).base, 0x1_0200n);
  const flat = flat32State({ eip: 0x10_0000, gdt, selectors });
  assertEquals(flat.get(State.CR0) & 0x8000_0001n, 1n);
  assertEquals(flat.segment(Seg.CS).attributes & 0x6000, 0x4000, "D set, L clear");
  const long = long64State({ rip: 0x100_0200, cr3: 0x9000, gdt, selectors });
  assertEquals(long.get(State.CR0) & 0x8000_0001n, 0x8000_0001n);
  assertEquals(long.get(State.EFER) & 0x500n, 0x500n, "LME and LMA");
  assertEquals(long.get(State.CR4) & 0x20n, 0x20n, "PAE");
  assertEquals(long.segment(Seg.CS).attributes & 0x6000, 0x2000, "L set, D clear");
});

Deno.test("the 64-bit entry has no bits of CR0 above 31", () => {
  const gdt = { base: 0, limit: 23 };
  const state = long64State({ rip: 0, cr3: 0, gdt, selectors: { cs: 8, ds: 16 } });
  assertEquals(state.get(State.CR0), 0x8000_0031n);
});
