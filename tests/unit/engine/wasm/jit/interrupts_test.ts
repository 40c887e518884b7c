/** Interrupts between the instructions of translated code, and the shadow of STI (SDM 2B STI). */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Event, Seg, State } from "../../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../../src/engine/engine.ts";
import { code, CODE_AT, HANDLERS_AT, runBoth } from "../../../../support/program_pair.ts";
import type { QuietApic } from "../../../../support/wasm_guest.ts";

const VECTOR = 0x20;
const TURNS = 2000;
/** The handler keeps where it came from, and how often: [LOG + count * 8]. */
const LOG_AT = 0x3_0000;

const OUT = "e6 10 ; out 0x10, al";

/** A loop around some instructions, with interrupts off at first. */
function loop(...body: readonly string[]): Uint8Array {
  const inside = code(...body);
  return Uint8Array.from([
    ...code("b9 d0 07 00 00 ; mov ecx, TURNS"),
    ...inside,
    ...code("ff c9 ; dec ecx", `75 ${(-(inside.length + 4) & 255).toString(16)} ; jnz`, "f4 ; hlt"),
  ]);
}

/** The handler: room for it is behind the others. */
const HANDLER_AT = HANDLERS_AT + 0x800;
const HANDLER = code(
  "48 8b 04 24 ; mov rax, [rsp]",
  "48 89 04 dd 00 00 03 00 ; mov [LOG_AT + rbx * 8], rax",
  "ff c3 ; inc ebx",
  "48 cf ; iretq",
);
const IDT_ENTRY_AT = 0x5000 + VECTOR * 16;

/** Runs the loop; at each of so many OUTs an interrupt begins to wait. */
function run(every: number, ...body: readonly string[]) {
  const { interpreted, translated } = runBoth(loop(...body), {
    state: (state) => state.setGpr(2, 16), // a data segment
    memory: (memory) => {
      memory.write(gpa(HANDLER_AT), HANDLER);
      memory.writeU64(gpa(IDT_ENTRY_AT), BigInt(HANDLER_AT) | 0x8e00_0008_0000n);
    },
    prepare: (engine, bus) => {
      const apic = bus.localApics[0] as QuietApic;
      let pending = false;
      let outs = 0;
      apic.hasInterrupt = () => pending;
      apic.acknowledge = () => {
        pending = false;
        return VECTOR;
      };
      bus.onPort = () => {
        if (++outs % every !== 0) return;
        pending = true;
        engine.interrupt(0);
      };
    },
  });
  const { memory, state } = interpreted;
  const count = Number(state.gpr(3));
  const places = new Set<number>();
  for (let i = 0; i < count; i++) places.add(memory.readU32(gpa(LOG_AT + i * 8)) - CODE_AT - 5);
  return { count, places: [...places], stats: translated.stats };
}

Deno.test("an interrupt that waits before STI comes behind the instruction after it", () => {
  const { count, places } = run(3, OUT, "fb ; sti", "90 ; nop", "fa ; cli");
  assertEquals([count, places], [Math.floor(TURNS / 3), [4]]);
});

Deno.test("an interrupt that begins to wait in the shadow of STI comes behind it", () => {
  const { count, places } = run(3, "fb ; sti", OUT, "fa ; cli");
  assertEquals([count, places], [Math.floor(TURNS / 3), [3]]);
});

Deno.test("an interrupt that begins to wait behind the shadow comes at once", () => {
  const { count, places } = run(1, "fb ; sti", "90 ; nop", OUT, "90 ; nop", "fa ; cli");
  assertEquals([count, places], [TURNS, [4]]);
});

Deno.test("CLI in the shadow of STI lets no interrupt in", () => {
  const { count } = run(3, OUT, "fb ; sti", "fa ; cli", "90 ; nop");
  assertEquals(count, 0);
});

Deno.test("a shadow that MOV SS casts in the one of STI ends behind the next instruction", () => {
  const body = ["fb ; sti", "8e d2 ; mov ss, edx", "90 ; nop", OUT, "90 ; nop", "fa ; cli"];
  const { count, places } = run(3, ...body);
  assertEquals([count, places], [Math.floor(TURNS / 3), [6]]);
});

Deno.test("POPF that turns interrupts on casts no shadow", () => {
  const body = ["fa ; cli", OUT, "68 02 02 00 00 ; push 0x202", "9d ; popf", "90 ; nop"];
  const { count, places } = run(3, ...body);
  assertEquals([count, places], [Math.floor(TURNS / 3), [9]]);
});

Deno.test("IRET that turns interrupts on lets one in where it returns to", () => {
  const body = [
    "fa ; cli",
    OUT,
    "8c d0 ; mov eax, ss",
    "50 ; push rax",
    "54 ; push rsp",
    "48 83 04 24 08 ; add qword [rsp], 8",
    "68 02 02 00 00 ; push 0x202",
    "6a 08 ; push 8",
    "68 20 10 00 00 ; push CODE_AT + 32",
    "48 cf ; iretq",
    "f4 ; hlt",
    "90 ; nop",
  ];
  for (const every of [1, 3]) {
    const { count, places } = run(every, ...body);
    assertEquals([count, places], [Math.floor(TURNS / every), [27]]);
  }
});

Deno.test("where no interrupt waits, POPF turns them on in translated code", () => {
  const body = ["fa ; cli", "68 02 02 00 00 ; push 0x202", "9d ; popf", "90 ; nop"];
  const { count, stats } = run(1, ...body);
  assertEquals(count, 0);
  assert(stats.jit_entries < 20, `${stats.jit_entries} entries`);
  assert(stats.jit_steps + stats.jit_bails < 20, `${stats.jit_steps}, ${stats.jit_bails}`);
});

Deno.test("where no interrupt waits, STI and its shadow are translated code", () => {
  const { count, stats } = run(1, "fb ; sti", "90 ; nop", "fa ; cli");
  assertEquals(count, 0);
  assert(stats.jit_entries < 20, `${stats.jit_entries} entries`);
  assert(stats.jit_steps + stats.jit_bails < 20, `${stats.jit_steps}, ${stats.jit_bails}`);
});

/** The last instructions at whose end `run` stops: several turns of a loop of eight. */
const ENDS = Array.from({ length: 20 }, (_, i) => 3000 + i);

Deno.test("a slice that ends behind STI leaves a shadow if interrupts were off, and only then", () => {
  const body = ["fb ; sti", "90 ; nop", "fb ; sti", "90 ; nop", "fa ; cli", "fb ; sti"];
  const shadows = ENDS.map((budget) => {
    const { interpreted, translated } = runBoth(loop(...body), { budget });
    const { jit_steps } = translated.stats;
    assert(jit_steps < 20, `${jit_steps} steps`);
    const rip = Number(interpreted.state.get(State.RIP)) - CODE_AT - 5;
    return [rip, interpreted.state.event(Event.SHADOW)] as const;
  });
  const expected = [[6, 1], [8, 0], [0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0]];
  const byPlace = new Map(shadows);
  assertEquals(expected.map(([place]) => [place, byPlace.get(place)]), expected);
});

Deno.test("a slice that ends behind an STI that the next region follows leaves a shadow", () => {
  // Each block is a region of its own: STI ends one.
  const body = ["fa ; cli", "fb ; sti", "eb 00 ; jmp", "90 ; nop"];
  const places = ENDS.map((budget) => {
    const { interpreted } = runBoth(loop(...body), { budget });
    return interpreted.state.event(Event.SHADOW);
  });
  assertEquals(places.includes(1), true);
});

Deno.test("STI above the I/O privilege level raises #GP, and below it does not", () => {
  for (const iopl of [0, 3]) {
    const { interpreted } = runBoth(code("fb ; loop: sti", "90 ; nop", "eb fc ; jmp loop"), {
      budget: 1000,
      state: (state) => {
        state.set(State.RFLAGS, 2 | iopl << 12);
        const flat = { base: 0, limit: 0xffff_ffff };
        state.setSegment(Seg.CS, { ...flat, selector: 0x1b, attributes: 0xa0fb });
        state.setSegment(Seg.SS, { ...flat, selector: 0x13, attributes: 0xc0f3 });
      },
    });
    // There is no stack for a handler.
    assertEquals(interpreted.exit, iopl === 3 ? ExitCode.BUDGET : ExitCode.SHUTDOWN);
  }
});
