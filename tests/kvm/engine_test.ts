import { assert, assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa } from "../../src/base/u64.ts";
import { CpuState, Reg, State } from "../../src/cpu/state.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import {
  answer,
  CODE,
  engineFor,
  exitBytes,
  flat32,
  kvmEngine,
  le,
  long64,
  mapWindow,
  memoryWith,
  nextExit,
  real16,
  WINDOW,
} from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";

/** out dx, al / hlt-free endings: the guests stop at a port write that the test recognizes. */
const OUT_DX_AL = 0xee;

testWith(kvmEngine, "a 16-bit guest runs from its segment and offset", () => {
  // mov ax, cs; out 0x10, ax; mov al, [0x9000]; out 0x11, al
  const memory = memoryWith([0x8c, 0xc8, 0xe7, 0x10, 0xa0, 0x00, 0x90, 0xe6, 0x11]);
  memory.writeU8(gpa(0x9000), 0x5a);
  using engine = engineFor(memory, real16());
  assertEquals(nextExit(engine), "PORT_OUT 0x10 2x1 00 00");
  assertEquals(nextExit(engine), "PORT_OUT 0x11 1x1 5a");
});

testWith(kvmEngine, "a 32-bit guest runs in flat segments without paging", () => {
  // mov eax, 0x12345678; out 0x10, eax; mov eax, cr0; out 0x11, eax
  const code = [0xb8, ...le(0x1234_5678, 4), 0xe7, 0x10, 0x0f, 0x20, 0xc0, 0xe7, 0x11];
  const memory = memoryWith(code);
  using engine = engineFor(memory, flat32(memory));
  assertEquals(nextExit(engine), "PORT_OUT 0x10 4x1 78 56 34 12");
  assertEquals(nextExit(engine), "PORT_OUT 0x11 4x1 11 00 00 00");
});

testWith(kvmEngine, "a 64-bit guest runs with paging", () => {
  // mov rax, 0x123456789abcdef0; shr rax, 32; out 0x10, eax
  const code = [0x48, 0xb8, ...le(0x1234_5678_9abc_def0n, 8), 0x48, 0xc1, 0xe8, 32, 0xe7, 0x10];
  const memory = memoryWith(code);
  using engine = engineFor(memory, long64(memory));
  assertEquals(nextExit(engine), "PORT_OUT 0x10 4x1 78 56 34 12");
});

testWith(kvmEngine, "port reads of 1, 2 and 4 bytes deliver what the machine answers", () => {
  // in al, 0x20; out 0x10, al; in ax, 0x21; out 0x11, ax; in eax, 0x22; out 0x12, eax
  const code = [0xe4, 0x30, 0xe6, 0x10, 0xe5, 0x31, 0xe7, 0x11];
  const wide = [0x66, 0xe5, 0x32, 0x66, 0xe7, 0x12];
  using engine = engineFor(memoryWith([...code, ...wide]), real16());
  assertEquals(nextExit(engine), "PORT_IN 0x30 1x1");
  answer(engine, [0xab]);
  assertEquals(nextExit(engine), "PORT_OUT 0x10 1x1 ab");
  assertEquals(nextExit(engine), "PORT_IN 0x31 2x1");
  answer(engine, [0xcd, 0xef]);
  assertEquals(nextExit(engine), "PORT_OUT 0x11 2x1 cd ef");
  assertEquals(nextExit(engine), "PORT_IN 0x32 4x1");
  answer(engine, [1, 2, 3, 4]);
  assertEquals(nextExit(engine), "PORT_OUT 0x12 4x1 01 02 03 04");
});

testWith(kvmEngine, "the port number comes from DX with all 16 bits", () => {
  const code = [0xba, ...le(0xfffe, 2), 0xb0, 0x77, OUT_DX_AL];
  using engine = engineFor(memoryWith(code), real16());
  assertEquals(nextExit(engine), "PORT_OUT 0xfffe 1x1 77");
});

testWith(kvmEngine, "string output brings every byte in order", () => {
  // mov si, 0x9000; mov cx, 5; mov dx, 0x100; cld; rep outsb; out 0x10, al
  const code = [0xbe, 0, 0x90, 0xb9, 5, 0, 0xba, 0, 1, 0xfc, 0xf3, 0x6e, 0xe6, 0x10];
  const memory = memoryWith(code);
  memory.write(gpa(0x9000), new TextEncoder().encode("hello"));
  using engine = engineFor(memory, real16());
  const text: string[] = [];
  for (let exit = nextExit(engine); exit.startsWith("PORT_OUT 0x100"); exit = nextExit(engine)) {
    text.push(exitBytes(engine));
  }
  assertEquals(text.join(" "), "68 65 6c 6c 6f");
});

testWith(kvmEngine, "string input stores what the machine answers", () => {
  // mov di, 0x9000; mov cx, 6; mov dx, 0x100; cld; rep insw; out 0x10, al
  const code = [0xbf, 0, 0x90, 0xb9, 6, 0, 0xba, 0, 1, 0xfc, 0xf3, 0x6d, 0xe6, 0x10];
  const memory = memoryWith(code);
  using engine = engineFor(memory, real16());
  let next = 1;
  for (let exit = nextExit(engine); exit.startsWith("PORT_IN 0x100 2x"); exit = nextExit(engine)) {
    answer(engine, Array.from({ length: engine.exit.count * 2 }, () => next++));
  }
  assertEquals([...memory.view(gpa(0x9000), 12)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

testWith(kvmEngine, "MMIO carries the whole guest physical address", () => {
  // mov ebx, WINDOW+0x568; mov [rbx], eax; mov rcx, [rbx]; out 0x10, al
  const at = (offset: number) => [0xbb, ...le(WINDOW + offset, 4)];
  const memory = memoryWith([
    ...at(0x568),
    ...[0xb8, ...le(0xdead_beef, 4), 0x89, 0x03], // mov eax, …; mov [rbx], eax
    ...[0x48, 0x8b, 0x0b, 0x48, 0x89, 0xc8, 0x48, 0xc1, 0xe8, 32, 0xe7, 0x10], // mov rcx, [rbx]; …
    ...[0x88, 0x03], // mov [rbx], al
    ...[0x66, 0x8b, 0x03, 0x66, 0xe7, 0x11], // mov ax, [rbx]; out 0x11, ax
  ]);
  const state = long64(memory);
  const bits = physicalBits(memory);
  const top = 2 ** bits - 0x1000, half = 2 ** (bits - 1);
  for (const page of [0xfee0_1000, 0x80_fee0_1000, 0x1_0000_0000, half, top]) {
    if (page >= 2 ** bits) continue;
    mapWindow(memory, page);
    using engine = engineFor(memory, state);
    const where = `0x${(page + 0x568).toString(16)}`;
    assertEquals(nextExit(engine), `MMIO_WRITE ${where} 4x1 ef be ad de`);
    assertEquals(nextExit(engine), `MMIO_READ ${where} 8x1`);
    answer(engine, [1, 2, 3, 4, 5, 6, 7, 8]);
    assertEquals(nextExit(engine), "PORT_OUT 0x10 4x1 05 06 07 08");
    assertEquals(nextExit(engine), `MMIO_WRITE ${where} 1x1 05`);
    assertEquals(nextExit(engine), `MMIO_READ ${where} 2x1`);
    answer(engine, [0xaa, 0xbb]);
    assertEquals(nextExit(engine), "PORT_OUT 0x11 2x1 aa bb");
  }
});

testWith(kvmEngine, "stores to firmware do not land and come as MMIO", () => {
  // mov byte [0xfffff000], 0x55; mov al, [0xfffff000]; out 0x10, al
  const memory = GuestMemory.allocate(2 << 20, 65536);
  const rom = gpa(0xffff_f000);
  memory.write(
    gpa(CODE),
    new Uint8Array([
      ...[0xc6, 0x05, ...le(rom, 4), 0x55, 0xa0, ...le(rom, 4), 0xe6, 0x10],
    ]),
  );
  memory.writeU8(rom, 0x99);
  using engine = engineFor(memory, flat32(memory));
  assertEquals(nextExit(engine), "MMIO_WRITE 0xfffff000 1x1 55");
  assertEquals(nextExit(engine), "PORT_OUT 0x10 1x1 99");
  assertEquals(memory.readU8(rom), 0x99);
});

testWith(kvmEngine, "memory above 4 GiB is where the guest expects it", () => {
  const memory = GuestMemory.allocate(3 * 2 ** 30 + (2 << 20));
  const high = gpa(2 ** 32 + 0x1000);
  // mov eax, [WINDOW]; out 0x10, eax; mov byte [WINDOW], 7; out 0x11, al
  const code = [0x8b, 0x04, 0x25, ...le(WINDOW, 4), 0xe7, 0x10];
  const store = [0xc6, 0x04, 0x25, ...le(WINDOW, 4), 7, 0xe6, 0x11];
  memory.write(gpa(CODE), new Uint8Array([...code, ...store]));
  memory.writeU32(high, 0x0102_0304);
  const state = long64(memory);
  mapWindow(memory, high);
  using engine = engineFor(memory, state);
  assertEquals(nextExit(engine), "PORT_OUT 0x10 4x1 04 03 02 01");
  assert(nextExit(engine).startsWith("PORT_OUT 0x11"));
  assertEquals(memory.readU8(high), 7);
});

testWith(kvmEngine, "an interrupt line wakes a halted guest", () => {
  // The 8259 is programmed to vector 0x20; IRQ 4 then comes by vector 0x24.
  const outs = [[0x11, 0x20], [0x20, 0x21], [4, 0x21], [1, 0x21], [0xef, 0x21]];
  const memory = memoryWith([
    ...outs.flatMap(([value, port]) => [0xb0, value, 0xe6, port]), // mov al, value; out port, al
    ...[0xe6, 0x10, 0xfb, 0xf4, 0xeb, 0xfd], // out 0x10, al; sti; hlt; jmp hlt
  ]);
  memory.write(gpa(0x9000), new Uint8Array([0xb0, 0x99, 0xe6, 0x11, 0xcf])); // the handler
  memory.writeU16(gpa(0x24 * 4), 0x9000);
  using engine = engineFor(memory, real16());
  assert(nextExit(engine).startsWith("PORT_OUT 0x10"));
  engine.setIrqLine(4, true);
  assertEquals(nextExit(engine), "PORT_OUT 0x11 1x1 99");
});

testWith(kvmEngine, "the state read after a port read has the instruction completed", () => {
  const memory = memoryWith([0xe4, 0x30, 0xe6, 0x10]); // in al, 0x30; out 0x10, al
  using engine = engineFor(memory, real16());
  nextExit(engine);
  answer(engine, [0x42]);
  const state = new CpuState();
  engine.vcpus[0].readState(state);
  assertEquals(state.get(State.RIP), BigInt(CODE + 2));
  assertEquals(state.gpr(Reg.RAX) & 0xffn, 0x42n);
  assertEquals(nextExit(engine), "PORT_OUT 0x10 1x1 42");
});

testWith(kvmEngine, "a state written at an exit is where the guest goes on", () => {
  const memory = memoryWith([0xe4, 0x30, 0xe6, 0x10]);
  memory.write(gpa(0x9000), new Uint8Array([0xe6, 0x12]));
  using engine = engineFor(memory, real16());
  nextExit(engine);
  const state = new CpuState();
  engine.vcpus[0].readState(state);
  state.set(State.RIP, 0x9000);
  state.setGpr(Reg.RAX, 0x66);
  engine.vcpus[0].writeState(state);
  assertEquals(nextExit(engine), "PORT_OUT 0x12 1x1 66");
});

testWith(kvmEngine, "the state can be read between the parts of a wide access", () => {
  // mov edi, WINDOW; movups [rdi], xmm0; out 0x10, al
  const memory = memoryWith([0xbf, ...le(WINDOW, 4), 0x0f, 0x11, 0x07, 0xe6, 0x10]);
  const state = long64(memory);
  state.set(State.CR4, state.get(State.CR4) | 0x600n); // OSFXSR, OSXMMEXCPT
  mapWindow(memory, 0x1_0000_0000);
  using engine = engineFor(memory, state);
  assertEquals(nextExit(engine), "MMIO_WRITE 0x100000000 8x1 00 00 00 00 00 00 00 00");
  engine.vcpus[0].readState(state);
  assertEquals(nextExit(engine), "MMIO_WRITE 0x100000008 8x1 00 00 00 00 00 00 00 00");
  engine.vcpus[0].readState(state);
  assertEquals(state.get(State.RIP), BigInt(CODE + 8));
  assertEquals(nextExit(engine).slice(0, 13), "PORT_OUT 0x10");
});

testWith(kvmEngine, "counters have KVM's names", () => {
  using engine = engineFor(memoryWith([0xe6, 0x10, 0xe6, 0x10]), real16());
  nextExit(engine);
  nextExit(engine);
  const stats = engine.stats();
  assertEquals(stats.io_exits, 2);
  assertEquals(stats.mmio_exits, 0);
  assertEquals(stats.exits, 2);
});

testWith(kvmEngine, "a disposed engine refuses to run and may be disposed again", () => {
  const engine = engineFor(memoryWith([0xe6, 0x10]), real16());
  nextExit(engine);
  engine[Symbol.dispose]();
  engine[Symbol.dispose]();
  const error = assertThrows(() => engine.run(0), DenovisorError);
  assertEquals(error.code, "stopped");
  assertThrows(() => engine.vcpus[0].readState(new CpuState()), DenovisorError, "disposed");
  engine.setIrqLine(4, true);
  assertEquals(engine.stats().io_exits, 1);
});

testWith(kvmEngine, "a number of vCPUs that KVM lacks is refused", () => {
  const memory = memoryWith([]);
  const error = assertThrows(() => new KvmEngine({ memory, cpus: 0 }), DenovisorError);
  assertEquals(error.code, "usage");
  assertThrows(() => new KvmEngine({ memory, cpus: 2 }), DenovisorError, "control block");
});

/** MAXPHYADDR as the guest sees it (leaf 0x80000008). */
function physicalBits(memory: GuestMemory): number {
  // mov eax, 0x80000008; cpuid; out 0x10, al
  const code = [0xb8, ...le(0x8000_0008, 4), 0x0f, 0xa2, 0xe6, 0x10];
  const before = memory.view(gpa(CODE), 64).slice();
  memory.write(gpa(CODE), new Uint8Array(code));
  using engine = engineFor(memory, long64(memory));
  nextExit(engine);
  const bits = engine.exit.data.getUint8(engine.exit.offset);
  memory.write(gpa(CODE), before);
  return bits;
}
