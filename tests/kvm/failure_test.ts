import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { CpuState, Event, Seg, State } from "../../src/cpu/state.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import {
  describeFailEntry,
  describeInternalError,
  describeShutdown,
  describeSystemEvent,
  describeUnknownExit,
} from "../../src/engine/kvm/exit_reasons.ts";
import { KvmExit, KvmRun } from "../../src/engine/kvm/kvm_abi.ts";
import { offsetOf } from "../../src/base/struct.ts";
import { Scratch } from "../../src/engine/kvm/scratch.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import {
  CODE,
  codeName,
  engineFor,
  kvmEngine,
  le,
  long64,
  mapWindow,
  memoryWith,
  nextExit,
  shimLibrary,
  WINDOW,
} from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";

testWith(kvmEngine, "a triple fault ends the run with a line that names the vCPU", () => {
  const memory = memoryWith([0x0f, 0x0b]); // ud2, and no IDT
  using engine = engineFor(memory, long64(memory));
  const code = engine.run(0);
  assertEquals(codeName(code), "SHUTDOWN", engine.exit.reason);
  assertStringIncludes(engine.exit.reason, "Triple fault on vCPU 0");
  // Some hosts' KVM resets the vCPU: then there is no RIP, and no bytes.
  if (engine.exit.reason.includes("RIP 0x8000")) {
    assertStringIncludes(engine.exit.reason, "instruction bytes 0f 0b");
  }
});

testWith(kvmEngine, "an instruction that KVM cannot emulate is named by its bytes and RIP", () => {
  // mov edi, WINDOW; cmpxchg16b [rdi] where there is no RAM: no KVM emulates 16-byte MMIO.
  const memory = memoryWith([0xbf, ...le(WINDOW, 4), 0x48, 0x0f, 0xc7, 0x0f]);
  const state = long64(memory);
  mapWindow(memory, 0x1_0000_0000);
  using engine = engineFor(memory, state);
  let code = engine.run(0);
  // The emulator may fetch the operand before it finds out that it cannot go on.
  for (let reads = 0; reads < 8 && code === ExitCode.MMIO_READ; reads++) code = engine.run(0);
  assertEquals(codeName(code), "FAILED", engine.exit.reason);
  assertMatch(engine.exit.reason, /^KVM cannot emulate the instruction on vCPU 0 at RIP 0x8005 /);
  assertStringIncludes(engine.exit.reason, "(64-bit, CPL 0)");
  assertStringIncludes(engine.exit.reason, "48 0f c7 0f");
  assertEquals(engine.exit.reason.includes("\n"), false);
});

testWith(kvmEngine, "instruction bytes come from guest memory when KVM gives none", () => {
  const memory = memoryWith([0xe6, 0x10]);
  using engine = engineFor(memory, long64(memory));
  nextExit(engine);
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  const state = new CpuState();
  engine.vcpus[0].readState(state);
  state.set(State.RIP, 0x1f_fffd); // three bytes before the end of RAM
  memory.write(gpa(0x1f_fffd), new Uint8Array([0xaa, 0xbb, 0xcc]));
  const run = exitPage(KvmExit.INTERNAL_ERROR, { "internal.suberror": 1 });
  const vcpu = { index: 0, fd: engine.vcpus[0].fd, view: run, state };
  assertStringIncludes(describeInternalError(vcpu, { memory, scratch }), "aa bb cc");
});

testWith(shimLibrary, "a triple fault names the last exception while KVM knows it", () => {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  const vcpu = exitedVcpu(KvmExit.SHUTDOWN, {});
  vcpu.state.setEvent(Event.EXCEPTION, 14);
  vcpu.state.setEvent(Event.ERROR_CODE, 2);
  vcpu.state.set(State.CR2, 0xdead_0000);
  assertEquals(
    describeShutdown(vcpu, noRam(scratch)),
    "Triple fault on vCPU 0 at RIP 0x8000 (64-bit, CPL 0): the last exception is #PF " +
      "(vector 14, error code 0x2), CR2 0xdead0000",
  );
});

testWith(shimLibrary, "a triple fault after which KVM reset the vCPU does not invent a RIP", () => {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  const vcpu = exitedVcpu(KvmExit.SHUTDOWN, {});
  vcpu.state.set(State.RIP, 0xfff0);
  vcpu.state.set(State.CR0, 0x6000_0010);
  vcpu.state.setSegment(Seg.CS, {
    base: 0xffff_0000,
    limit: 0,
    selector: 0xf000,
    attributes: 0x9b,
  });
  assertStringIncludes(describeShutdown(vcpu, noRam(scratch)), "RIP is not known");
});

Deno.test("a refused entry names the hardware's reason and the host CPU", () => {
  const fields = { "fail_entry.hardware_entry_failure_reason": 0x8000_0021, "fail_entry.cpu": 3 };
  const line = describeFailEntry(exitedVcpu(KvmExit.FAIL_ENTRY, fields));
  assertStringIncludes(line, "hardware reason 0x80000021 on host CPU 3");
});

Deno.test("an exit that nothing handles is named by its number", () => {
  assertStringIncludes(describeUnknownExit(exitedVcpu(999, {})), "exit reason 999");
  const named = describeUnknownExit(exitedVcpu(KvmExit.HYPERCALL, {}));
  assertStringIncludes(named, "exit reason 3 (KVM_EXIT_HYPERCALL)");
  const unknown = describeUnknownExit(exitedVcpu(0, { "hw.hardware_exit_reason": 0x31 }));
  assertStringIncludes(unknown, "hardware exit reason 0x31");
});

testWith(shimLibrary, "internal errors other than emulation have words and KVM's data", () => {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  const fields = { "internal.suberror": 3, "internal.ndata": 1, "internal.data": 0x8000_0306 };
  const vcpu = exitedVcpu(KvmExit.INTERNAL_ERROR, fields);
  const line = describeInternalError(vcpu, noRam(scratch));
  assertStringIncludes(line, "while it was delivering an event");
  assertStringIncludes(line, "0x80000306");
});

Deno.test("a system event tells a reset from a power-off", () => {
  const reset = describeSystemEvent(exitedVcpu(KvmExit.SYSTEM_EVENT, { "system_event.type": 2 }));
  assertEquals(reset.reset, true);
  const off = describeSystemEvent(exitedVcpu(KvmExit.SYSTEM_EVENT, { "system_event.type": 1 }));
  assertEquals(off, { reason: "System event on vCPU 0: shutdown", reset: false });
});

/** A guest of which no address can be read. */
function noRam(scratch: Scratch) {
  return { memory: GuestMemory.allocate(4096), scratch };
}

/** A kvm_run page with an exit reason and some fields. */
function exitPage(reason: number, fields: Readonly<Record<string, number>>): DataView {
  const view = new DataView(new ArrayBuffer(4096));
  view.setUint32(offsetOf(KvmRun, "exit_reason"), reason, true);
  for (const [name, value] of Object.entries(fields)) {
    view.setUint32(offsetOf(KvmRun, name), value, true);
  }
  return view;
}

/** A vCPU in 64-bit mode that exited at `CODE`. */
function exitedVcpu(reason: number, fields: Readonly<Record<string, number>>) {
  const state = long64(GuestMemory.allocate(2 << 20));
  state.set(State.RIP, CODE);
  return { index: 0, fd: -1, view: exitPage(reason, fields), state };
}
