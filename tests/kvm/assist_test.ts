import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { Cr4 } from "../../src/cpu/modes.ts";
import { CpuState, Event, NO_VECTOR, Reg, State } from "../../src/cpu/state.ts";
import type { MmioBus } from "../../src/engine/cpu_bus.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { ApThreads } from "../../src/engine/kvm/ap_threads.ts";
import { KvmControl } from "../../src/engine/kvm/control.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import {
  assistFor,
  CODE,
  codeName,
  engineFor,
  flat32,
  kvmEngine,
  le,
  long64,
  mapWindow,
  memoryWith,
  nextExit,
  WINDOW,
} from "../support/kvm_guest.ts";
import { host, interpretedKvm } from "../support/kvm_host.ts";
import { testWith } from "../support/requirement.ts";

/** Where operands lie. */
const OPERAND = 0x9000;
const DEVICE = 0xd000_0000;
/** cmpxchg16b [rdi]; paddd xmm0, [rdi]; pextrd [rdi], xmm0, 1: no KVM emulates any on device memory. */
const CMPXCHG16B = [0x48, 0x0f, 0xc7, 0x0f];
const PADDD = [0x66, 0x0f, 0xfe, 0x07];
const PEXTRD = [0x66, 0x0f, 0x3a, 0x16, 0x07, 1];
/** out 0x10, al: the end. */
const DONE = [0xe6, 0x10];
const SPIN = [0xeb, 0xfe];
const DONE_EXIT = "PORT_OUT 0x10 1x1";

function movEdi(value: number): number[] {
  return [0xbf, ...le(value, 4)];
}

/** `long64` with SSE. */
function sse64(memory: GuestMemory): CpuState {
  const state = long64(memory);
  state.set(State.CR4, state.get(State.CR4) | BigInt(Cr4.OSFXSR));
  return state;
}

testWith(
  kvmEngine,
  "an assisted instruction changes what it is to change, and nothing else",
  () => {
    const memory = memoryWith([...movEdi(OPERAND), ...CMPXCHG16B, ...DONE]);
    const state = sse64(memory);
    state.setGpr(Reg.RAX, 0x11n);
    state.setGpr(Reg.RDX, 0x22n);
    memory.writeU64(gpa(OPERAND), 0x33n);
    memory.writeU64(gpa(OPERAND + 8), 0x44n);
    using engine = engineFor(memory, state, assistFor(memory, 1));
    const before = new CpuState();
    engine.vcpus[0].readState(before);
    assertStringIncludes(nextExit(engine), DONE_EXIT);
    const after = new CpuState();
    engine.vcpus[0].readState(after);
    assertEquals([after.gpr(Reg.RAX), after.gpr(Reg.RDX)], [0x33n, 0x44n]);
    assertEquals(after.event(Event.EXCEPTION), NO_VECTOR);
    // Registers and time apart, nothing has changed.
    const same = (from: number, to: number) => {
      const bytes = (state: CpuState) => new Uint8Array(state.view.buffer).slice(from, to);
      assertEquals(bytes(after), bytes(before));
    };
    same(State.CR0, State.XCR0);
    same(State.APIC_BASE, State.MSRS);
    const counted = engine.stats().assisted_instructions;
    assertEquals(counted, host?.ring0 === "interpreted" ? 1 : 0);
  },
);

testWith(
  kvmEngine,
  "an assisted access to device memory is the devices', as wide as it may be",
  () => {
    const accesses: string[] = [];
    const devices: MmioBus = {
      readMmio(vcpu, address, size, into, at) {
        accesses.push(`${vcpu} reads ${size} at ${address.toString(16)}`);
        for (let i = 0; i < size; i++) into.setUint8(at + i, address + i);
      },
      writeMmio(vcpu, address, size, from, at) {
        const value = from.getUint32(at, true).toString(16);
        accesses.push(`${vcpu} writes ${value}, ${size} at ${address.toString(16)}`);
      },
    };
    const memory = memoryWith([...movEdi(WINDOW + 0x10), ...PADDD, ...PEXTRD, ...DONE]);
    mapWindow(memory, DEVICE);
    using engine = engineFor(memory, sse64(memory), assistFor(memory, 1, devices));
    let code = engine.run(0);
    // KVM's emulator may fetch an operand before it finds out that it cannot go on.
    for (let reads = 0; reads < 8 && code === ExitCode.MMIO_READ; reads++) code = engine.run(0);
    assertEquals(codeName(code), "PORT_OUT", engine.exit.reason);
    assertEquals(accesses, [
      "0 reads 8 at d0000010",
      "0 reads 8 at d0000018",
      "0 writes 17161514, 4 at d0000010",
    ]);
  },
);

for (const [where, address] of [["local", 0xfee0_0000], ["I/O", 0xfec0_0000]] as const) {
  testWith(kvmEngine, `an assisted access to the kernel's ${where} APIC ends the run`, () => {
    const memory = memoryWith([...movEdi(WINDOW), ...PADDD, ...DONE]);
    mapWindow(memory, address);
    using engine = engineFor(memory, sse64(memory), assistFor(memory, 1));
    assertEquals(codeName(engine.run(0)), "FAILED");
    assertStringIncludes(engine.exit.reason, `66 0f fe 07`);
    assertStringIncludes(engine.exit.reason, `; it accesses the ${where} APIC`);
  });
}

testWith(interpretedKvm, "what the assist does not know, either, ends the run in one line", () => {
  const vaddps = [0xc5, 0xfc, 0x58, 0xc0]; // ymm0 += ymm0
  const memory = memoryWith([...vaddps, ...DONE]);
  using engine = engineFor(memory, sse64(memory), assistFor(memory, 1));
  assertEquals(codeName(engine.run(0)), "FAILED");
  assertStringIncludes(engine.exit.reason, "c5 fc 58 c0");
  assertStringIncludes(engine.exit.reason, "; the assist does not know it, either");
  assertEquals(engine.exit.reason.includes("\n"), false);
});

testWith(kvmEngine, "code that is not in RAM is not assisted", () => {
  const memory = memoryWith([...movEdi(WINDOW), 0xff, 0xe7]); // jmp rdi
  mapWindow(memory, DEVICE);
  using engine = engineFor(memory, long64(memory), assistFor(memory, 1));
  let code = engine.run(0);
  for (let reads = 0; reads < 8 && code === ExitCode.MMIO_READ; reads++) code = engine.run(0);
  assertEquals(codeName(code), "FAILED", engine.exit.reason);
});

testWith(
  kvmEngine,
  "a fault of an assisted instruction that nothing handles is a triple fault",
  () => {
    const memory = memoryWith([...movEdi(WINDOW + 0x1000), ...CMPXCHG16B, ...DONE]);
    mapWindow(memory, DEVICE); // and the page behind it is not mapped
    using engine = engineFor(memory, long64(memory), assistFor(memory, 1));
    assertEquals(codeName(engine.run(0)), "SHUTDOWN", engine.exit.reason);
    assertStringIncludes(engine.exit.reason, "Triple fault on vCPU 0");
  },
);

testWith(kvmEngine, "an assisted instruction finds memory beyond 4 GiB", () => {
  const memory = GuestMemory.allocate(5 * 1024 ** 3);
  const address = 0x1_6000_0000; // 4.5 GiB behind the start of the memory
  memory.write(gpa(CODE), new Uint8Array([...movEdi(WINDOW), ...CMPXCHG16B, ...DONE]));
  const state = long64(memory);
  mapWindow(memory, address);
  memory.writeU64(gpa(address + 8), 5n);
  using engine = engineFor(memory, state, assistFor(memory, 1));
  assertStringIncludes(nextExit(engine), DONE_EXIT);
  engine.vcpus[0].readState(state);
  assertEquals(state.gpr(Reg.RDX), 5n);
});

/** Components of XCR0 (SDM 1 §13.1), and where AVX's state is in an area: CPUID says so everywhere. */
const X87_SSE_AVX = 7;
const AVX_AT = 576, AVX_BYTES = 256;

testWith(interpretedKvm, "XRSTOR and XSAVE at ring 0 carry the AVX state, too", () => {
  const area = 0xa000, copy = 0xb000;
  const code = [
    ...[0xb8, ...le(X87_SSE_AVX, 4), 0x31, 0xd2], // mov eax, 7; xor edx, edx
    ...[0xbe, ...le(area, 4), 0x0f, 0xae, 0x2e], // mov esi, area; xrstor [rsi]
    ...[0xbe, ...le(copy, 4), 0x0f, 0xae, 0x26], // mov esi, copy; xsave [rsi]
    ...DONE,
  ];
  const memory = memoryWith(code);
  const state = sse64(memory);
  state.set(State.CR4, state.get(State.CR4) | BigInt(Cr4.OSXSAVE));
  state.set(State.XCR0, X87_SSE_AVX);
  const pattern = Uint8Array.from({ length: AVX_BYTES }, (_, i) => i * 7 + 1);
  memory.writeU16(gpa(area), 0x27f); // a control word that is not the initial one
  memory.writeU32(gpa(area + 24), 0x1f80);
  memory.writeU64(gpa(area + 512), X87_SSE_AVX);
  memory.write(gpa(area + 160), pattern); // XMM0 to XMM15
  memory.write(gpa(area + AVX_AT), pattern.toReversed());
  using engine = engineFor(memory, state, assistFor(memory, 1));
  assertStringIncludes(nextExit(engine), DONE_EXIT);
  const saved = memory.view(gpa(copy), 4096).slice();
  assertEquals(saved[512], X87_SSE_AVX);
  assertEquals(saved.subarray(160, 160 + AVX_BYTES), pattern);
  assertEquals(saved.subarray(AVX_AT, AVX_AT + AVX_BYTES), pattern.toReversed());
  engine.vcpus[0].readState(state);
  const live = new Uint8Array(state.view.buffer).subarray(State.XSAVE);
  assertEquals(live.slice(AVX_AT, AVX_AT + AVX_BYTES), pattern.toReversed());
});

testWith(
  kvmEngine,
  "assisted instructions and other vCPUs' locked ones are atomic to each other",
  async () => {
    const rounds = 300;
    const cpus = 2;
    const apCode = 0xc000;
    // vCPU 0, as often as it is to: lock cmpxchg16b, with RCX:RBX = RDX:RAX + 1
    const boot = [
      ...movEdi(OPERAND),
      ...[0xbe, ...le(rounds, 4)],
      ...[0x48, 0x8d, 0x58, 1, 0x48, 0x89, 0xd1], // L: lea rbx, [rax + 1]; mov rcx, rdx
      ...[0xf0, ...CMPXCHG16B, 0x75, 0xf2], // lock cmpxchg16b [rdi]; jne L
      ...[0xff, 0xce, 0x75, 0xee, 0xc6, 0x47, 0x40, 1, ...SPIN], // dec esi; jnz L; mov [rdi + 0x40], 1
    ];
    // vCPU 1: L: lock add qword [rdi], 1; inc r8; cmp byte [rdi + 0x40], 0; je L; out 0x10, al
    const other = [
      ...movEdi(OPERAND),
      ...[0xf0, 0x48, 0x83, 0x07, 1, 0x49, 0xff, 0xc0, 0x80, 0x7f, 0x40, 0, 0x74, 0xf2],
      ...[...DONE, ...SPIN],
    ];
    const memory = memoryWith(boot);
    memory.write(gpa(apCode), new Uint8Array(other));
    const control = new KvmControl(cpus);
    await using threads = new ApThreads(control);
    using engine = new KvmEngine({ memory, cpus, control, assist: assistFor(memory, cpus) });
    const state = long64(memory);
    engine.vcpus[0].writeState(state);
    state.set(State.RIP, apCode);
    engine.vcpus[1].writeState(state);
    assertStringIncludes(nextExit(engine), DONE_EXIT);
    engine.vcpus[1].readState(state);
    assertEquals(memory.readU64(gpa(OPERAND)), state.gpr(Reg.R8) + BigInt(rounds));
    assertEquals(memory.readU64(gpa(OPERAND + 8)), 0n);
    assert(threads !== undefined);
  },
);

testWith(interpretedKvm, "code of 32 bits is assisted as such", () => {
  const code = [...movEdi(OPERAND), 0xdb, 0xe3, 0xd9, 0xeb, 0xdd, 0x1f, ...DONE]; // fninit; fldpi; fstp
  const memory = memoryWith(code);
  using engine = engineFor(memory, flat32(memory), assistFor(memory, 1));
  assertStringIncludes(nextExit(engine), DONE_EXIT);
  assertEquals(new Float64Array(memory.view(gpa(OPERAND), 8).slice().buffer)[0], Math.PI);
});
