import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { CpuState, State } from "../../src/cpu/state.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { ApThreads } from "../../src/engine/kvm/ap_threads.ts";
import { ApState, KvmControl } from "../../src/engine/kvm/control.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import type { GuestMemory } from "../../src/memory/guest_memory.ts";
import { flat32, kvmEngine, le, memoryWith } from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";

/** Start-up vector of the other vCPUs: they begin at 0900:0000. */
const AP_CODE = 0x9000;

/** Writes to a local APIC register (SDM 3A §10.4.1): mov dword [0xfee00000 + register], value. */
const apic = (register: number, value: number) => [
  ...[0xc7, 0x05, ...le(0xfee0_0000 + register, 4), ...le(value, 4)],
];

/** vCPU 0 enables its APIC, sends INIT and SIPI to all others, and then does `rest`. */
function bootCode(rest: readonly number[]): number[] {
  return [...apic(0xf0, 0x1ff), ...apic(0x300, 0xc_4500), ...apic(0x300, 0xc_4609), ...rest];
}

/** Every AP: bl = its APIC id, from CPUID leaf 1. */
const AP_ID = [0x66, 0xb8, ...le(1, 4), 0x0f, 0xa2, 0x66, 0xc1, 0xeb, 24];
const SPIN = [0xeb, 0xfe];
const SLEEP = [0xfa, 0xf4, 0xeb, 0xfc]; // cli; hlt

interface Guest extends AsyncDisposable {
  readonly control: KvmControl;
  readonly engine: KvmEngine;
  readonly memory: GuestMemory;
}

/** `cpus` vCPUs, `boot` on the first and `ap` on the others. */
function smpGuest(cpus: number, boot: readonly number[], ap: readonly number[]): Guest {
  const memory = memoryWith(bootCode(boot));
  memory.write(gpa(AP_CODE), new Uint8Array(ap));
  const control = new KvmControl(cpus);
  const threads = new ApThreads(control);
  const engine = new KvmEngine({ memory, cpus, control });
  engine.vcpus[0].writeState(flat32(memory));
  return {
    control,
    engine,
    memory,
    async [Symbol.asyncDispose]() {
      engine[Symbol.dispose]();
      await threads[Symbol.asyncDispose]();
    },
  };
}

testWith(kvmEngine, "four vCPUs start, and the exits of each name it", async () => {
  // mov al, bl; out 0x50, al; in al, 0x30; out 0x51, al
  const io = [0x88, 0xd8, 0xe6, 0x50, 0xe4, 0x30, 0xe6, 0x51];
  await using guest = smpGuest(4, SPIN, [...AP_ID, ...io, ...SLEEP]);
  const { engine } = guest;
  const seen: Record<number, string[]> = { 1: [], 2: [], 3: [] };
  const complete = () => Object.values(seen).every((list) => list.length === 3);
  while (!complete()) {
    const code = engine.run(0);
    const { vcpu, port, data, offset } = engine.exit;
    if (code === ExitCode.PORT_IN) {
      data.setUint8(offset, 0x40 + vcpu);
      seen[vcpu].push(`in ${port}`);
    } else {
      assertEquals(code, ExitCode.PORT_OUT, engine.exit.reason);
      seen[vcpu].push(`out ${port} ${data.getUint8(offset)}`);
    }
  }
  for (const vcpu of [1, 2, 3]) {
    assertEquals(seen[vcpu], [`out 80 ${vcpu}`, "in 48", `out 81 ${0x40 + vcpu}`]);
  }
});

testWith(kvmEngine, "exits of all vCPUs interleave and none is lost", async () => {
  const rounds = 300;
  // mov cx, rounds; loop: mov al, bl; out 0x50, al; loop; out 0x51, al
  const ap = [0xb9, ...le(rounds, 2), 0x88, 0xd8, 0xe6, 0x50, 0xe2, 0xfa, 0xe6, 0x51];
  // vCPU 0: mov ecx, rounds; out 0x10, al; loop; out 0x11, al
  const boot = [0xb9, ...le(rounds, 4), 0xe6, 0x10, 0xe2, 0xfc, 0xe6, 0x11];
  await using guest = smpGuest(3, [...boot, ...SPIN], [...AP_ID, ...ap, ...SLEEP]);
  const { engine } = guest;
  const counts = [0, 0, 0];
  for (let finished = 0; finished < 3;) {
    const code = engine.run(0);
    assertEquals(code, ExitCode.PORT_OUT, engine.exit.reason);
    if (engine.exit.port === 0x11 || engine.exit.port === 0x51) finished++;
    else counts[engine.exit.vcpu]++;
  }
  assertEquals(counts, [rounds, rounds, rounds]);
});

testWith(kvmEngine, "the state of another vCPU can be read while it spins", async () => {
  await using guest = smpGuest(2, SPIN, [...AP_ID, 0xe6, 0x50, ...SPIN]);
  const { engine } = guest;
  assertEquals(engine.run(0), ExitCode.PORT_OUT);
  assertEquals(engine.exit.vcpu, 1);
  const state = new CpuState();
  const spin = BigInt(AP_ID.length + 2);
  engine.vcpus[1].readState(state); // its port write is completed for that
  assertEquals(state.get(State.RIP), spin);
  state.set(State.RIP, 0x100);
  guest.memory.write(gpa(AP_CODE + 0x100), new Uint8Array([0xe6, 0x52, ...SPIN]));
  engine.vcpus[1].writeState(state);
  assertEquals(engine.run(0), ExitCode.PORT_OUT);
  assertEquals(engine.exit.port, 0x52);
});

testWith(kvmEngine, "vCPU 0 completes its access before another vCPU's exit", async () => {
  const boot = [0xe4, 0x30, 0xeb, 0xfc]; // in al, 0x30; jmp
  await using guest = smpGuest(2, boot, [0xe6, 0x50, 0xeb, 0xfc]); // out 0x50, al; jmp
  const { engine, control } = guest;
  while (engine.run(0) !== ExitCode.PORT_IN);
  engine.exit.data.setUint8(engine.exit.offset, 0x77);
  const cpu = new CpuState();
  while (control.slot(1).state !== ApState.PENDING) {
    control.slot(1).waitWhileState(control.slot(1).state, 100);
  }
  engine.vcpus[1].readState(cpu); // after which the other vCPUs are looked at first
  assertEquals(engine.run(0), ExitCode.PORT_OUT);
  assertEquals(engine.exit.vcpu, 1);
  engine.vcpus[0].readState(cpu);
  assertEquals(cpu.gpr(0) & 0xffn, 0x77n);
});

testWith(kvmEngine, "a triple fault of another vCPU ends the run", async () => {
  // lidt [0x100], an empty table; protected mode; xor cx, cx; div cx
  const table = [0x0f, 0x01, 0x1e, 0x00, 0x01];
  const protect = [0x0f, 0x20, 0xc0, 0x0c, 1, 0x0f, 0x22, 0xc0];
  const ap = [...table, ...protect, 0x31, 0xc9, 0xf7, 0xf1];
  await using guest = smpGuest(2, SPIN, ap);
  assertEquals(guest.engine.run(0), ExitCode.SHUTDOWN, guest.engine.exit.reason);
  assertEquals(guest.engine.exit.vcpu, 1);
  assert(guest.engine.exit.reason.includes("vCPU 1"), guest.engine.exit.reason);
});

testWith(kvmEngine, "threads leave when no engine was ever made", async () => {
  await using _threads = new ApThreads(new KvmControl(3));
});

testWith(kvmEngine, "an engine can be disposed before the other threads have come up", async () => {
  await using guest = smpGuest(4, SPIN, SLEEP);
  guest.engine[Symbol.dispose]();
});
