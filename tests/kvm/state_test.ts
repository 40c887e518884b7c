import { assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { hex } from "../../src/base/u64.ts";
import {
  CpuState,
  Event,
  MpState,
  NO_VECTOR,
  Reg,
  Seg,
  State,
  STATE_MSRS,
  XSAVE_BYTES,
} from "../../src/cpu/state.ts";
import { offsetOf } from "../../src/base/struct.ts";
import { Ioctl } from "../../src/engine/kvm/ioctls.ts";
import { KvmVcpuEvents } from "../../src/engine/kvm/kvm_abi.ts";
import { Scratch } from "../../src/engine/kvm/scratch.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import {
  engineFor,
  flat32,
  kvmEngine,
  long64,
  memoryWith,
  nextExit,
  real16,
} from "../support/kvm_guest.ts";
import { Random, seed } from "../support/random.ts";
import { testWith } from "../support/requirement.ts";

/** Every 64-bit field before the XSAVE area that differs, by offset; the TSC runs on and is left out. */
function differences(a: CpuState, b: CpuState): string[] {
  const tsc = State.MSRS + STATE_MSRS.indexOf(0x10) * 8;
  const found: string[] = [];
  for (let at = 0; at < State.MSRS + STATE_MSRS.length * 8; at += 8) {
    if (at !== tsc && a.get(at) !== b.get(at)) {
      found.push(`offset ${at}: ${hex(a.get(at))} became ${hex(b.get(at))}`);
    }
  }
  return found;
}

function roundTrip(engine: KvmEngine, state: CpuState): CpuState {
  engine.vcpus[0].writeState(state);
  const back = new CpuState();
  engine.vcpus[0].readState(back);
  return back;
}

/** Canonical: a number of 47 random bits. */
const pointer = (random: Random) => random.u64() >> 17n;

testWith(kvmEngine, "every register of a 64-bit guest comes back as it was written", () => {
  const random = new Random(seed(1));
  const memory = memoryWith([]);
  using engine = new KvmEngine({ memory, cpus: 1 });
  for (let round = 0; round < 20; round++) {
    const state = long64(memory);
    for (let reg = 0; reg < 16; reg++) state.setGpr(reg, random.u64());
    state.set(State.RIP, pointer(random));
    state.set(State.RFLAGS, 0x2n | BigInt(random.u32() & 0x0cd5));
    state.set(State.CR2, random.u64());
    state.set(State.CR8, BigInt(random.below(16)));
    for (const seg of [Seg.FS, Seg.GS]) {
      state.setSegment(seg, { ...state.segment(seg), base: pointer(random) });
    }
    state.setSegment(Seg.ES, { base: 0, limit: 0, selector: 0, attributes: 0 });
    state.setTable(State.GDTR, pointer(random), random.below(65536));
    state.setTable(State.IDTR, pointer(random), random.below(65536));
    for (let dr = 0; dr < 4; dr++) state.set(State.DEBUG + dr * 8, pointer(random));
    for (const msr of [0xc000_0082, 0xc000_0083, 0xc000_0102, 0x175, 0x176]) {
      state.setMsr(msr, pointer(random));
    }
    state.setMsr(0xc000_0081, random.u64()); // STAR
    state.setMsr(0xc000_0103, random.u32()); // TSC_AUX
    state.setMsr(0x174, random.below(65536)); // SYSENTER_CS
    const back = roundTrip(engine, state);
    assertEquals(differences(state, back), [], `seed ${random.seed}, round ${round}`);
  }
});

testWith(kvmEngine, "the states of all entry modes come back as they were written", () => {
  const memory = memoryWith([]);
  using engine = new KvmEngine({ memory, cpus: 1 });
  for (const state of [real16(), flat32(memory), long64(memory)]) {
    assertEquals(differences(state, roundTrip(engine, state)), []);
  }
});

testWith(kvmEngine, "floating-point and vector registers come back as they were written", () => {
  const random = new Random(seed(2));
  const memory = memoryWith([0xe6, 0x10]);
  using engine = engineFor(memory, long64(memory));
  nextExit(engine);
  const state = long64(memory);
  const area = new Uint8Array(state.view.buffer, State.XSAVE, XSAVE_BYTES);
  const view = new DataView(area.buffer, area.byteOffset);
  view.setUint16(0, 0x27f, true); // FCW
  view.setUint32(24, 0x1fa0, true); // MXCSR
  for (let i = 0; i < 8; i++) area.set(random.bytes(10), 32 + i * 16); // ST0 to ST7
  area.set(random.bytes(256), 160); // XMM0 to XMM15
  view.setUint32(512, 3, true); // XSTATE_BV: x87, SSE
  const back = roundTrip(engine, state);
  const got = new Uint8Array(back.view.buffer, State.XSAVE, XSAVE_BYTES);
  assertEquals(got.subarray(0, 24), area.subarray(0, 24));
  assertEquals(got.subarray(24, 28), area.subarray(24, 28));
  assertEquals(got.subarray(32, 416), area.subarray(32, 416), `seed ${random.seed}`);
});

testWith(kvmEngine, "a zero XSAVE area means the floating-point state after reset", () => {
  const memory = memoryWith([0xe6, 0x10]);
  using engine = engineFor(memory, long64(memory));
  nextExit(engine);
  const back = roundTrip(engine, long64(memory));
  assertEquals(back.view.getUint16(State.XSAVE, true), 0x37f);
  assertEquals(back.view.getUint32(State.XSAVE + 24, true), 0x1f80);
});

testWith(kvmEngine, "events in flight come back as they were written", () => {
  const memory = memoryWith([]);
  using engine = new KvmEngine({ memory, cpus: 1 });
  const cases: Array<Record<number, number>> = [
    { [Event.EXCEPTION]: 14, [Event.ERROR_CODE]: 2 },
    { [Event.EXCEPTION]: 6, [Event.ERROR_CODE]: NO_VECTOR },
    { [Event.INTERRUPT]: 0x30, [Event.INTERRUPT_SOFT]: 0 },
    { [Event.SHADOW]: 1 },
    { [Event.SHADOW]: 2 },
    { [Event.NMI]: 3 },
    { [Event.MP_STATE]: MpState.HALTED },
  ];
  for (const events of cases) {
    const state = long64(memory);
    for (const [field, value] of Object.entries(events)) state.setEvent(Number(field), value);
    assertEquals(differences(state, roundTrip(engine, state)), [], JSON.stringify(events));
  }
});

testWith(kvmEngine, "the interrupt shadows of STI and MOV SS are KVM's", () => {
  const memory = memoryWith([]);
  using engine = new KvmEngine({ memory, cpus: 1 });
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  // KVM_X86_SHADOW_INT_MOV_SS is 1, KVM_X86_SHADOW_INT_STI is 2.
  for (const [shadow, kvm] of [[0, 0], [1, 2], [2, 1]]) {
    const state = long64(memory);
    state.setEvent(Event.SHADOW, shadow);
    engine.vcpus[0].writeState(state);
    scratch.ioctl(engine.vcpus[0].fd, Ioctl.GET_VCPU_EVENTS, KvmVcpuEvents.size, "read events");
    assertEquals(scratch.view.getUint8(offsetOf(KvmVcpuEvents, "interrupt.shadow")), kvm);
  }
});

testWith(kvmEngine, "a state that KVM refuses is an error that says what was refused", () => {
  const memory = memoryWith([]);
  using engine = new KvmEngine({ memory, cpus: 1 });
  const state = long64(memory);
  state.set(State.CR4, 0); // long mode without PAE
  const error = assertThrows(() => engine.vcpus[0].writeState(state), DenovisorError);
  assertEquals(error.code, "kvm");
  assertEquals(error.message.includes("CR4 0x0"), true, error.message);
  const other = long64(memory);
  other.setGpr(Reg.RAX, 1);
  other.setMsr(0x2ff, 0xffn); // a memory type that does not exist
  assertThrows(() => engine.vcpus[0].writeState(other), DenovisorError, "MSR 0x2ff");
});
