/** POPF and IRET in translated code: the plain cases, and those that are left to the interpreter. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Cr4 } from "../../../../../src/cpu/modes.ts";
import { type CpuState, Event, Reg, Seg, State } from "../../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../../src/engine/engine.ts";
import {
  code,
  CODE_AT,
  mapPage,
  type ProgramOptions,
  runBoth,
} from "../../../../support/program_pair.ts";

const CODE_DESCRIPTOR = 0x4008;
const STACK_DESCRIPTOR = 0x4010;
/** Vectors. */
const DB = 1, NP = 11, GP = 13;
const TF = 8, IF = 9, NT = 14, RF = 16, AC = 18;
const BITS = 22;
const TURNS = 200;

function bytes32(value: number): string {
  return [0, 8, 16, 24].map((shift) => (value >>> shift & 255).toString(16)).join(" ");
}

/** Pushes a frame that returns behind IRET, and executes that. */
function iret(flags: number, at = 0, more: readonly string[] = []): string[] {
  const rest = code(...more, "90").length - 1;
  return [
    "8c d0 ; mov eax, ss",
    "50 ; push rax",
    "54 ; push rsp",
    "48 83 04 24 08 ; add qword [rsp], 8",
    `68 ${bytes32(flags)} ; push flags`,
    "8c c8 ; mov eax, cs",
    "50 ; push rax",
    `68 ${bytes32(CODE_AT + at + 24 + rest)} ; push behind`,
    ...more,
    "48 cf ; iretq",
  ];
}

/** A loop of so many turns around what `body` makes of its place. */
function loop(body: (at: number) => readonly string[], turns = TURNS): Uint8Array {
  const inside = code(...body(5));
  return Uint8Array.from([
    ...code(`b9 ${bytes32(turns)} ; mov ecx, turns`),
    ...inside,
    ...code("ff c9 ; dec ecx", `75 ${(252 - inside.length).toString(16)} ; jnz`, "f4 ; hlt"),
  ]);
}

/** A program of its own block: the first write to the stack, which the interpreter makes, is in another. */
function once(body: (at: number) => readonly string[]): Uint8Array {
  const before = ["50 ; push rax", "58 ; pop rax", "eb 00 ; jmp +0"];
  return code(...before, ...body(code(...before).length), "90 ; nop", "f4 ; hlt");
}

/** Both, and what was left to the interpreter, without the HLT at the end. */
function run(program: Uint8Array, options: ProgramOptions = {}) {
  const { interpreted, translated } = runBoth(program, options);
  const { jit_steps, jit_bails } = translated.stats;
  return {
    ...interpreted,
    vector: interpreted.vector,
    exit: interpreted.exit,
    left: jit_steps + jit_bails - 1,
    stats: translated.stats,
  };
}

function withUserSegments(state: CpuState): void {
  const flat = { base: 0, limit: 0xffff_ffff };
  state.setSegment(Seg.CS, { ...flat, selector: 0x1b, attributes: 0xa0fb });
  state.setSegment(Seg.SS, { ...flat, selector: 0x13, attributes: 0xc0f3 });
}

/** Instructions that set flags, at an offset, and the flags whose change is left to the interpreter. */
const FORMS = [
  {
    name: "POPF",
    make: (flags: number) => [`68 ${bytes32(flags)} ; push`, "9d ; popf"],
    odd: [12, 13, AC],
  },
  { name: "IRET", make: iret, odd: [RF, AC] },
];

for (const { name, make, odd } of FORMS) {
  Deno.test(`${name} takes every flag, or none, as it does interpreted`, () => {
    for (const flags of [2, 0x8d7]) {
      const state = (first: CpuState) => first.set(State.RFLAGS, flags);
      for (let bit = 0; bit < BITS; bit++) {
        const value = flags ^ 1 << bit;
        const taken = run(once((at) => make(value, at)), { state });
        if (bit === TF) {
          assertEquals(taken.vector, DB);
          continue;
        }
        const isThere = taken.state.get(State.RFLAGS) >> BigInt(bit) & 1n;
        const plain = [0, 2, 4, 6, 7, IF, 10, 11, 12, 13, NT, AC, 21];
        if (plain.includes(bit)) assertEquals(isThere, BigInt(value >> bit & 1), `bit ${bit}`);
        if (bit === NT && name === "IRET") continue; // no other one can follow
        const back = (
          at: number,
        ) => [...make(value, at), ...make(flags, at + code(...make(2, 0)).length)];
        const { left } = run(loop(back), { state });
        assertEquals(left > TURNS / 2, odd.includes(bit), `${left} for bit ${bit}`);
      }
    }
  });
}

Deno.test("POPF at CPL 3 changes no IF that its I/O privilege level does not let it change", () => {
  for (const iopl of [0, 3]) {
    for (let bit = 0; bit < BITS; bit++) {
      const flags = 2 | iopl << 12 | 1 << IF;
      const popped = flags ^ 1 << bit;
      // Nothing halts: a loop that pushes what has become of it.
      const program = code(
        `68 ${bytes32(popped)} ; loop: push`,
        "9d ; popf",
        "9c ; pushf",
        "58 ; pop rax",
        "eb f6",
      );
      const { state, exit } = run(program, {
        budget: 400,
        state: (state) => {
          state.set(State.RFLAGS, flags);
          withUserSegments(state);
        },
      });
      if (bit === TF) continue; // there is no stack for a handler
      assertEquals(exit, ExitCode.BUDGET);
      if (bit === IF) assertEquals(Number(state.gpr(Reg.RAX)) >> IF & 1, iopl === 3 ? 0 : 1);
    }
  }
});

Deno.test("IRET to the instruction behind it, or elsewhere, is translated code", () => {
  const behind = (at: number) => iret(2, at);
  const overHlt = (at: number) => [...iret(2, at + 1), "f4 ; hlt"];
  for (const body of [behind, overHlt]) {
    // Each block alone, and then the whole loop as one region.
    for (const [threshold, turns] of [[1, 200], [50, 10_000]]) {
      const program = loop(body, turns);
      const { left, state, stats } = run(program, { threshold });
      assert(left < 20, `${left} steps`);
      assertEquals(state.gpr(Reg.RCX), 0n);
      // There is no need to leave the region for the next instruction.
      if (threshold > 1 && body === behind) assert(stats.jit_entries < 50, `${stats.jit_entries}`);
    }
  }
});

Deno.test("IRET that leaves a block counts what of it has run", () => {
  // Every other turn it returns behind the instruction that follows it.
  const odd = ["89 c8 ; mov eax, ecx", "83 e0 01 ; and eax, 1", "48 01 04 24 ; add [rsp], rax"];
  const program = loop((at) => [...iret(2, at, odd), "90 ; nop", "90 ; nop"], 5000);
  for (let budget = 70_000; budget < 70_015; budget++) {
    const { left } = run(program, { budget, threshold: 20 });
    assert(left < 20, `${left} steps`);
  }
});

Deno.test("IRET without a stack segment stays without one", () => {
  const program = loop((at) => iret(2, at));
  const none = { selector: 0, base: 0x1_2345, limit: 0xffff_ffff, attributes: 0 };
  const { left, state } = run(program, { state: (state) => state.setSegment(Seg.SS, none) });
  assert(left < 20, `${left} steps`);
  assertEquals(state.segment(Seg.SS), { selector: 0, base: 0n, limit: 0, attributes: 0 });
  const first = run(once((at) => iret(2, at)), {
    state: (state) => state.setSegment(Seg.SS, none),
  });
  assertEquals(first.state.segment(Seg.SS), state.segment(Seg.SS));
});

Deno.test("IRET to another stack segment loads that, and drops its own for none", () => {
  const { state } = run(once((at) => iret(2, at).with(0, "31 c0 ; xor eax, eax")));
  assertEquals(state.segment(Seg.SS), { selector: 0, base: 0n, limit: 0, attributes: 0 });
});

Deno.test("IRET sets the accessed bits of its descriptors", () => {
  for (const [at, byte] of [[CODE_DESCRIPTOR, 0x9b], [STACK_DESCRIPTOR, 0x93]]) {
    const clear = `c6 04 25 ${bytes32(at + 5)} ${(byte - 1).toString(16)} ; mov byte [at + 5]`;
    const { memory, state } = run(loop((place) => [clear, ...iret(2, place + 8)]));
    assertEquals(memory.readU8(gpa(at + 5)), byte);
    assertEquals(state.gpr(Reg.RCX), 0n);
  }
});

Deno.test("IRET takes over base, limit and attributes that have changed in its descriptors", () => {
  // A byte of the descriptor becomes CL's at each turn but where that would be another segment.
  for (const descriptor of [CODE_DESCRIPTOR, STACK_DESCRIPTOR]) {
    for (const byte of [0, 1, 2, 3, 4, 7]) {
      const change = `88 0c 25 ${bytes32(descriptor + byte)} ; mov [descriptor + byte], cl`;
      const { state, memory } = run(loop((at) => [change, ...iret(2, at + 7)]));
      assertEquals(memory.readU8(gpa(descriptor + byte)), 1);
      const seg = descriptor === CODE_DESCRIPTOR ? Seg.CS : Seg.SS;
      const { base, limit } = state.segment(seg);
      assert(
        byte < 2
          ? limit !== 0xffff_ffff
          : BigInt(base) === 1n << BigInt([0, 8, 16, 0, 0, 24][byte - 2]),
      );
    }
    // What the system may use, granularity, and the size of a stack.
    for (const bits of descriptor === CODE_DESCRIPTOR ? [0x10, 0x80] : [0x10, 0x80, 0x40]) {
      const change = `80 34 25 ${bytes32(descriptor + 6)} ${bits.toString(16)} ; xor byte, bits`;
      for (const turns of [TURNS, TURNS + 1]) {
        run(loop((at) => [change, ...iret(2, at + 8)], turns));
      }
    }
  }
});

Deno.test("IRET raises what descriptors raise that have become wrong", () => {
  const wrong = [
    [CODE_DESCRIPTOR, 0x1b, NP],
    [CODE_DESCRIPTOR, 0xfb, GP],
    [CODE_DESCRIPTOR, 0x93, GP],
    [STACK_DESCRIPTOR, 0x91, GP],
    [STACK_DESCRIPTOR, 0xf3, GP],
  ];
  for (const [at, value, vector] of wrong) {
    // The handler's own segment is a good one.
    const change = `c6 04 25 ${bytes32(at + 5)} ${value.toString(16)} ; mov byte`;
    const result = run(once((at) => [change, ...iret(2, at + 8)]), {
      state: (state) => state.setTable(State.GDTR, 0x4000, 0x27),
      memory: (memory) => {
        memory.writeU64(gpa(0x4020), 0x00af_9b00_0000_ffffn);
        for (let gate = 0; gate < 32; gate++) memory.writeU8(gpa(0x5002 + gate * 16), 0x20);
      },
    });
    assertEquals(result.vector, vector, `0x${value.toString(16)} at 0x${at.toString(16)}`);
  }
});

Deno.test("IRET finds no descriptor behind the table's end", () => {
  const limits = [0xf, 0x16, 0x17].map((limit) =>
    run(once((at) => iret(2, at)), {
      state: (state) => state.setTable(State.GDTR, 0x4000, limit),
    })
  );
  assertEquals(limits.map(({ vector }) => vector === GP), [true, true, false]);
});

Deno.test("IRET unmasks NMIs", () => {
  const { state } = run(once((at) => iret(2, at)), {
    state: (state) => state.setEvent(Event.NMI, 2),
  });
  assertEquals(state.event(Event.NMI), 0);
});

Deno.test("IRET with NT set, and one to an address that is none, raise #GP", () => {
  const nested = run(once((at) => iret(2, at)), {
    state: (state) => state.set(State.RFLAGS, 2 | 1 << NT),
  });
  assertEquals(nested.vector, GP);
  const far = ["48 c1 24 24 20 ; shl qword [rsp], 32", "48 c1 24 24 08 ; shl qword [rsp], 8"];
  assertEquals(run(once((at) => iret(2, at, far))).vector, GP);
});

Deno.test("IRET where AC suspends SMAP reads its descriptors without that", () => {
  const exits = [0x63, 0x67].map((flags) =>
    run(once((at) => ["0f 01 cb ; stac", ...iret(2 | 1 << AC, at + 3)]), {
      state: (state) => state.set(State.CR4, state.get(State.CR4) | BigInt(Cr4.SMAP)),
      memory: (memory) => {
        // All pages are the supervisor's, but perhaps that of the descriptors.
        for (let page = 0; page < 512; page++) mapPage(memory, page * 4096, page * 4096, 0x63);
        mapPage(memory, 0x4000, 0x4000, flags);
      },
    }).exit
  );
  assertEquals(exits, [ExitCode.HALT, ExitCode.SHUTDOWN]);
});
