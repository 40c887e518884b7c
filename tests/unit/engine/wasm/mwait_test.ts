/** MONITOR and MWAIT in whole guests: what ends a wait, and that a wait costs nothing. */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { flat32State } from "../../../../src/cpu/modes.ts";
import { Event, MpState, State } from "../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../src/engine/engine.ts";
import { Flag } from "../../../../src/engine/wasm/cpu.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { QuietApic, runToHalt, wasmEngine } from "../../../support/wasm_guest.ts";

const CODE = 0x1000;
const LINE = 0x8000;
/** mov eax, LINE; monitor; mov ecx, `extensions`; mwait; inc ebx; cli; hlt */
const waitOnce = (extensions: number) => [
  ...[0xb8, 0, 0x80, 0, 0, 0x0f, 0x01, 0xc8, 0xb9, extensions, 0, 0, 0],
  ...[0x0f, 0x01, 0xc9, 0x43, 0xfa, 0xf4],
];
/** The vCPU waits behind MWAIT, or has come to the HLT behind it. */
const BEHIND_MWAIT = BigInt(CODE + 16), BEHIND_HLT = BigInt(CODE + 19);

function guest(extensions: number, interrupts: boolean) {
  const memory = GuestMemory.allocate(0x1_0000);
  memory.write(gpa(CODE), Uint8Array.from(waitOnce(extensions)));
  const state = flat32State({
    eip: CODE,
    gdt: { base: 0, limit: 0 },
    selectors: { cs: 8, ds: 16 },
  });
  if (interrupts) state.set(State.RFLAGS, 2 | Flag.IF);
  const { engine, bus } = wasmEngine(memory, state);
  const pending = { any: false };
  (bus.localApics[0] as QuietApic).hasInterrupt = () => pending.any;
  return { memory, engine, pending };
}

Deno.test("MWAIT waits without an instruction until the line is written to", () => {
  const { engine, memory } = guest(0, true);
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  const { retired } = engine;
  for (let i = 0; i < 3; i++) assertEquals(engine.run(1000), ExitCode.HALT);
  assertEquals(engine.retired, retired);
  memory.writeU8(gpa(LINE + 64), 1); // the next line
  assertEquals(runToHalt(engine).state.get(State.RIP), BEHIND_MWAIT);
  memory.writeU8(gpa(LINE + 63), 1);
  assertEquals(runToHalt(engine).state.get(State.RIP), BEHIND_HLT);
});

Deno.test("MWAIT does not wait for a store that comes between MONITOR and it", () => {
  const { engine, memory } = guest(0, true);
  engine.run(2);
  memory.writeU8(gpa(LINE), 1);
  assertEquals(runToHalt(engine).state.get(State.RIP), BEHIND_HLT);
});

Deno.test("masked interrupts end MWAIT when ECX bit 0 says so, others always do", () => {
  for (const extensions of [0, 1]) {
    for (const interrupts of [false, true]) {
      const { engine, pending } = guest(extensions, interrupts);
      assertEquals(runToHalt(engine).state.get(State.RIP), BEHIND_MWAIT);
      pending.any = true;
      const ends = interrupts || extensions === 1;
      const rip = runToHalt(engine).state.get(State.RIP);
      assertEquals(rip, ends ? BEHIND_HLT : BEHIND_MWAIT, `${extensions} ${interrupts}`);
    }
  }
});

Deno.test("a guest in MWAIT has not halted for good, and one that is restored goes on behind it", () => {
  const { engine } = guest(1, false);
  const { state } = runToHalt(engine);
  assertEquals(state.event(Event.MP_STATE), MpState.RUNNABLE);
  engine.vcpus[0].writeState(state);
  assertEquals(runToHalt(engine).state.get(State.RIP), BEHIND_HLT);
});
