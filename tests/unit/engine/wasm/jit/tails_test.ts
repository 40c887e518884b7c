/**
 * Translated instructions that cross into the next page: they run without being fetched, until anything
 * about the next page may have changed.
 */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Efer } from "../../../../../src/cpu/modes.ts";
import { type CpuState, Reg, State } from "../../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../../src/engine/engine.ts";
import { Block } from "../../../../../src/engine/wasm/block.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { Insn } from "../../../../../src/engine/wasm/insn.ts";
import { MAX_TAILS } from "../../../../../src/engine/wasm/jit/layout.ts";
import { writeModule } from "../../../../../src/engine/wasm/jit/module_writer.ts";
import { regionCode } from "../../../../../src/engine/wasm/jit/region_code.ts";
import { SIGNATURES } from "../../../../../src/engine/wasm/jit/runtime.ts";
import { IMPORTS } from "../../../../../src/engine/wasm/jit/translator.ts";
import { Tails } from "../../../../../src/engine/wasm/jit/tails.ts";
import type { GuestMemory } from "../../../../../src/memory/guest_memory.ts";
import {
  code,
  CODE_AT,
  DATA_AT,
  decodeAll,
  mapPage,
  type ProgramOptions,
  runBoth,
} from "../../../../support/program_pair.ts";

const PAGE = 4096;
const NEXT_AT = CODE_AT + PAGE;
/** A frame for the next page instead of its own, and other linear addresses. */
const OTHER_AT = 0x6000;
const ALIAS_AT = 0x3_0000;
const TURNS = 3000;
/** The turn at which something changes: the loop has long been translated. */
const CHANGE = 1500;
/** Entry of the next page in the page table. */
const ENTRY_AT = 0x10_3000 + NEXT_AT / PAGE * 8;
const ENTRY = 0x67;

/** Code of which some bytes stand at the end of a page, from `at` on in it. */
interface Across {
  readonly bytes: Uint8Array;
  readonly at: number;
}

/**
 * A loop on ECX, from its turns down to 0, around some instructions: of the one at `crossing` so many
 * bytes are in the first page. At its end RDX is at its place.
 */
function loop(body: readonly string[], crossing: number, first: number): Across {
  const parts = body.map((line) => code(line));
  const before = parts.slice(0, crossing).reduce((sum, part) => sum + part.length, 0);
  const all = parts.flatMap((part) => [...part]);
  const back = all.length + 2 + 6;
  const bytes = Uint8Array.from([
    ...all,
    ...code("ff c9 ; dec ecx", "0f 85 ; jnz"),
    ...new Uint8Array(Int32Array.of(-back).buffer),
    0xf4,
  ]);
  return { bytes, at: PAGE - before - first };
}

/**
 * Runs it; `options` may prepare more. Translated at its second execution, the instruction is in one
 * region with others, and not entered by itself.
 */
function run({ bytes, at }: Across, options: ProgramOptions = {}) {
  return runBoth(new Uint8Array(0), {
    threshold: 2,
    ...options,
    state: (state) => {
      state.set(State.RIP, CODE_AT + at);
      state.setGpr(Reg.RCX, TURNS);
      options.state?.(state);
    },
    memory: (memory) => {
      memory.write(gpa(CODE_AT + at), bytes);
      options.memory?.(memory);
    },
  });
}

/** Steps and bails of the translated side. */
function leavings({ stats }: { stats: Record<string, number> }): number {
  return stats.jit_steps + stats.jit_bails;
}

/** Makes RBX the first address, and in the turn `CHANGE` the second. */
const CHOOSE = [
  "81 f9 dc 05 00 00 ; cmp ecx, CHANGE",
  "4c 89 c3 ; mov rbx, r8",
  "49 0f 44 d9 ; cmovz rbx, r9",
];
/** The instruction that crosses: its immediate is in the next page. */
const ADD = "48 05 11 22 33 44 ; add rax, 0x44332211";

function choosing(usual: number, once: number, more: (state: CpuState) => void = () => {}) {
  return (state: CpuState) => {
    state.setGpr(8, usual);
    state.setGpr(9, once);
    more(state);
  };
}

const KINDS: readonly (readonly [name: string, ...body: string[]])[] = [
  ["an addition", ADD],
  ["one whose flags are seen", "05 00 00 00 f0 ; add eax, 0xf0000000", "83 d3 00 ; adc ebx, 0"],
  ["one that sees flags", "81 d3 01 00 00 00 ; adc ebx, 1", "05 00 00 00 f0 ; add eax, 0xf0000000"],
  ["a load", "48 8b 05 00 ff 01 00 ; mov rax, [rip + 0x1ff00]", "48 ff c0 ; inc rax"],
  ["a store", "48 89 8e 00 01 00 00 ; mov [rsi + 0x100], rcx", "48 83 c6 08 ; add rsi, 8"],
  ["a read-modify-write", "48 81 06 78 56 34 12 ; add qword [rsi], 0x12345678"],
  ["a vector instruction", "66 0f fe 86 00 01 00 00 ; paddd xmm0, [rsi + 0x100]"],
  ["a conditional branch", "0f 84 01 00 00 00 ; jz +1", "90 ; nop"],
  ["a jump", "e9 01 00 00 00 ; jmp +1", "90 ; nop"],
  ["a call", "e8 00 00 00 00 ; call +0", "5b ; pop rbx"],
  ["an indirect jump", "ff 25 00 ff 01 00 ; jmp [rip + 0x1ff00]"],
  ["one that is interpreted", "0f 01 86 00 01 00 00 ; sgdt [rsi + 0x100]"],
];

for (const [name, ...body] of KINDS) {
  Deno.test(`wherever it is cut, ${name} across pages does what it does interpreted`, () => {
    const length = code(body[0]).length;
    for (let first = 1; first < length; first++) {
      for (const slice of [1_000_000, 13]) {
        const across = loop(["83 c2 03 ; add edx, 3", ...body], 1, first);
        const { translated } = run(across, {
          slice,
          state: (state) => state.setGpr(Reg.RSI, DATA_AT),
          memory: (memory) => {
            // Where RIP + 0x1ff00 leads to, at all of the cuts.
            const target = CODE_AT + across.at + 3 + length;
            memory.writeU64(gpa(target + 0x1_ff00), BigInt(target));
          },
        });
        if (slice === 13 || name.endsWith("interpreted")) continue;
        assert(leavings(translated) < 30, `${leavings(translated)} times left`);
      }
    }
  });
}

Deno.test("a backward branch across pages closes a loop", () => {
  const body = code(
    "83 c2 03 ; add edx, 3",
    "ff c9 ; dec ecx",
    "0f 85 f5 ff ff ff ; jnz",
    "f4 ; hlt",
  );
  for (let first = 1; first < 6; first++) {
    const { translated } = run({ bytes: body, at: PAGE - 5 - first });
    assert(leavings(translated) < 30, `${leavings(translated)} times left`);
  }
});

Deno.test("bytes in the next page that are overwritten count, through whatever address", () => {
  for (const target of [NEXT_AT, NEXT_AT + 3, ALIAS_AT]) {
    const body = [...CHOOSE, "88 0b ; mov [rbx], cl", "90 ; nop", ADD];
    const { interpreted, translated } = run(loop(body, 5, 2), {
      state: choosing(DATA_AT, target),
      memory: (memory) => mapPage(memory, ALIAS_AT, NEXT_AT),
    });
    const before = 0x4433_2211 * TURNS;
    assert(interpreted.state.gpr(Reg.RAX) !== BigInt(before));
    assert(leavings(translated) < 100, `${leavings(translated)} times left`);
  }
});

Deno.test("an instruction that overwrites its own bytes in the next page is another one the next time", () => {
  // Its immediate, where it goes on without a fetch and where it has just been fetched.
  for (const forgetting of ["0f 1f 00 ; nop", "0f 01 3b ; invlpg [rbx]"]) {
    const body = [
      ...CHOOSE,
      "75 03 ; jnz +3",
      forgetting,
      "90 ; nop",
      "66 81 83 00 00 00 00 01 00 ; add word [rbx], 1",
    ];
    const { interpreted, translated } = run(loop(body, 6, 7), {
      state: choosing(DATA_AT, NEXT_AT),
    });
    const sum = TURNS - CHANGE + 2 * (CHANGE - 1);
    assertEquals(interpreted.memory.readU16(gpa(DATA_AT)), sum);
    assert(leavings(translated) < 150, `${leavings(translated)} times left`);
  }
});

Deno.test("bytes in the next page that a device overwrites count", () => {
  let count = 0;
  let memory: GuestMemory | undefined;
  const { interpreted } = run(loop(["e6 10 ; out 0x10, al", ADD], 1, 2), {
    memory: (of) => {
      memory = of;
      count = 0;
    },
    prepare: (_engine, bus) => {
      const mine = memory!;
      bus.onPort = () => {
        if (++count === CHANGE) mine.writeU8(gpa(NEXT_AT), 0x99);
      };
    },
  });
  const steps = BigInt(TURNS - CHANGE + 1) * 0x88n;
  assertEquals(interpreted.state.gpr(Reg.RAX), 0x4433_2211n * BigInt(TURNS) + steps);
});

/** Where a loop begins whose end jumps across pages back into the first one. */
const JUMP_BACK = 0x100;
/** Where the same jump leads with another second byte of its displacement, `OTHER_BYTE`. */
const OTHER_BACK = 0x200;
const OTHER_BYTE = 0xf1;

/** A loop of which only the last jump lies across pages: nothing else of the next page runs. */
function jumping(...body: readonly string[]): Across {
  const bytes = new Uint8Array(PAGE + 3);
  const jumpTo = (at: number, target: number) => {
    bytes[at] = 0xe9;
    new DataView(bytes.buffer).setInt32(at + 1, target - (at + 5), true);
  };
  const inner = code(...body, "ff c9 ; dec ecx", "75 01 ; jnz +1", "f4 ; hlt");
  bytes.set(inner, JUMP_BACK);
  jumpTo(JUMP_BACK + inner.length, PAGE - 2);
  jumpTo(PAGE - 2, JUMP_BACK);
  bytes.set(code("48 ff c0 ; inc rax"), OTHER_BACK);
  jumpTo(OTHER_BACK + 3, JUMP_BACK);
  return { bytes, at: 0 };
}

function beginning(state: CpuState): void {
  state.set(State.RIP, CODE_AT + JUMP_BACK);
}

Deno.test("a jump across pages is not fetched each time though nothing behind it runs", () => {
  const { translated } = run(jumping("83 c2 03 ; add edx, 3"), { state: beginning });
  assert(leavings(translated) < 30, `${leavings(translated)} times left`);
});

Deno.test("bytes in the next page count though code behind them has been overwritten before", () => {
  // What has been decoded behind the jump goes in one turn, and the jump changes in a later one.
  const body = [
    "81 f9 d0 07 00 00 ; cmp ecx, 2000",
    "4c 89 c3 ; mov rbx, r8",
    "49 0f 44 d9 ; cmovz rbx, r9",
    "81 f9 dc 05 00 00 ; cmp ecx, CHANGE",
    "49 0f 44 da ; cmovz rbx, r10",
    "c6 03 f1 ; mov byte [rbx], OTHER_BYTE",
  ];
  const { interpreted } = run(jumping(...body), {
    state: (state) => {
      beginning(state);
      state.setGpr(8, DATA_AT);
      state.setGpr(9, NEXT_AT + 16);
      state.setGpr(10, NEXT_AT);
    },
  });
  assertEquals(interpreted.memory.readU8(gpa(NEXT_AT)), OTHER_BYTE);
  assertEquals(interpreted.state.gpr(Reg.RAX), BigInt(CHANGE - 1));
});

/** In the turn `CHANGE` an entry of the page table becomes another one, and the page is forgotten. */
const FORGETTINGS = [
  ["INVLPG of the next page", "41 0f 01 3a ; invlpg [r10]"],
  ["INVLPG of the first page", "41 0f 01 3b ; invlpg [r11]"],
  ["loading CR3", "41 0f 20 df 41 0f 22 df ; mov r15, cr3; mov cr3, r15"],
  [
    "changing CR4.PGE",
    "41 0f 20 e7 49 81 f7 80 00 00 00 41 0f 22 e7 ; mov r15, cr4; xor; mov cr4, r15",
  ],
] as const;

/** Writes RDX to where RBX points, in each turn, and then runs `forgetting` in the turn `CHANGE`. */
function changing(forgetting: string): readonly string[] {
  const length = code(forgetting).length;
  return [
    ...CHOOSE,
    "48 89 13 ; mov [rbx], rdx",
    `75 ${length.toString(16).padStart(2, "0")} ; jnz over it`,
    forgetting,
    "90 ; nop, where translated code is entered again",
    ADD,
  ];
}

function forgets(entry: bigint | number, more: (state: CpuState) => void = () => {}) {
  return choosing(DATA_AT, ENTRY_AT, (state) => {
    state.setGpr(Reg.RDX, BigInt(entry));
    state.setGpr(10, NEXT_AT);
    state.setGpr(11, CODE_AT);
    more(state);
  });
}

for (const [name, forgetting] of FORGETTINGS) {
  const across = loop(changing(forgetting), 7, 2);
  /** The code in another frame with another immediate. */
  const other = (memory: GuestMemory) => {
    memory.write(gpa(OTHER_AT), across.bytes.subarray(PAGE - across.at));
    memory.writeU8(gpa(OTHER_AT), 0x99);
  };
  // INVLPG of one page need not forget another one.
  const certainly = !name.includes("first");

  Deno.test(`${name} lets the next page's new frame be seen`, () => {
    const { interpreted, translated } = run(across, {
      memory: other,
      state: forgets(OTHER_AT | ENTRY),
    });
    const changed = interpreted.state.gpr(Reg.RAX) !== 0x4433_2211n * BigInt(TURNS);
    if (certainly) assertEquals(changed, true);
    assert(leavings(translated) < 100, `${leavings(translated)} times left`);
  });

  if (!certainly) continue;
  Deno.test(`${name} lets it be seen that the next page is not to be executed any more`, () => {
    for (const entry of [0n, 1n << 63n | BigInt(NEXT_AT | ENTRY)]) {
      const { interpreted } = run(across, {
        state: forgets(entry, (state) => {
          state.set(State.EFER, state.get(State.EFER) | BigInt(Efer.NXE));
        }),
      });
      assertEquals(interpreted.vector, Vector.PF);
      assertEquals(interpreted.state.get(State.CR2), BigInt(NEXT_AT));
      assertEquals(interpreted.state.gpr(Reg.RCX), BigInt(CHANGE));
    }
  });
}

Deno.test("a fetch that sets the next page's accessed flag is made again when the page is forgotten", () => {
  const body = changing(FORGETTINGS[0][1]).slice(0, -1);
  const { interpreted, translated } = run(jumping(...body), {
    state: forgets(NEXT_AT | ENTRY & ~0x20, beginning),
  });
  assertEquals(interpreted.memory.readU64(gpa(ENTRY_AT)), BigInt(NEXT_AT | ENTRY));
  assert(leavings(translated) < 100, `${leavings(translated)} times left`);
});

Deno.test("a page at two addresses goes on in the page behind each of them", () => {
  for (const immediate of [0x99, 0x11]) {
    // It jumps to the same place at the other address.
    const far = ALIAS_AT - CODE_AT;
    const body = ["4c 31 ef ; xor rdi, r13", ADD, "48 31 fe ; xor rsi, rdi"];
    const { bytes, at } = loop(body, 1, 2);
    const jump = Uint8Array.from([
      ...bytes.subarray(0, -7),
      ...code("74 02 ; jz +2", "ff e7 ; jmp rdi", "f4"),
    ]);
    const { interpreted } = run({ bytes: jump, at }, {
      state: (state) => {
        state.setGpr(Reg.RDI, CODE_AT + at);
        state.setGpr(13, CODE_AT + at ^ CODE_AT + at + far);
      },
      memory: (memory) => {
        mapPage(memory, ALIAS_AT, CODE_AT);
        mapPage(memory, ALIAS_AT + PAGE, OTHER_AT);
        memory.write(gpa(OTHER_AT), jump.subarray(PAGE - at));
        memory.writeU8(gpa(OTHER_AT), immediate);
      },
    });
    const sum = BigInt(TURNS) * 0x4433_2211n + BigInt(TURNS / 2) * BigInt(immediate - 0x11);
    assertEquals(interpreted.state.gpr(Reg.RAX), sum);
  }
});

Deno.test("a page that has been translated at one address goes on at another one as it does there", () => {
  const body = ["90 ; nop", ADD, "81 f9 dc 05 00 00 ; cmp ecx, CHANGE", "75 02 ; jnz +2"];
  const { bytes, at } = loop([...body, "ff e7 ; jmp rdi"], 1, 2);
  const { interpreted, translated } = run({ bytes, at }, {
    state: (state) => state.setGpr(Reg.RDI, ALIAS_AT + at),
    memory: (memory) => {
      mapPage(memory, ALIAS_AT, CODE_AT);
      mapPage(memory, ALIAS_AT + PAGE, OTHER_AT);
      memory.write(gpa(OTHER_AT), bytes.subarray(PAGE - at));
      memory.writeU8(gpa(OTHER_AT), 0x99);
      memory.writeU8(gpa(OTHER_AT + 10), 0xeb); // it stays there
    },
  });
  const sum = 0x4433_2211n * BigInt(TURNS + 1) + 0x88n * BigInt(CHANGE);
  assertEquals(interpreted.state.gpr(Reg.RAX), sum);
  assert(translated.stats.jit_entries > 0);
});

Deno.test("what a supervisor may fetch from the next page, a user may not", () => {
  // IRETQ to the loop in ring 3, in the turn CHANGE; without a stack for handlers.
  const iret = [
    "6a 23 ; push 0x23",
    "54 ; push rsp",
    "9c ; pushf",
    "6a 1b ; push 0x1b",
    "41 55 ; push r13",
    "48 cf ; iretq",
  ];
  const length = iret.reduce((sum, line) => sum + code(line).length, 0);
  const body = [...CHOOSE, `75 ${length.toString(16)} ; jnz`, ...iret, "90 ; nop", ADD];
  for (const flags of [ENTRY & ~4, ENTRY]) {
    const across = loop(body, body.length - 1, 2);
    const { interpreted } = run(across, {
      state: (state) => {
        state.setGpr(13, CODE_AT + PAGE - 3);
        state.setTable(State.GDTR, 0x4000, 0x2f);
      },
      memory: (memory) => {
        memory.writeU64(gpa(0x4018), 0x00af_fb00_0000_ffffn);
        memory.writeU64(gpa(0x4020), 0x00cf_f300_0000_ffffn);
        mapPage(memory, NEXT_AT, NEXT_AT, flags);
      },
    });
    assertEquals(interpreted.exit, ExitCode.SHUTDOWN);
    // HLT ends it in ring 3.
    assertEquals(interpreted.state.gpr(Reg.RCX), flags === ENTRY ? 0n : BigInt(CHANGE));
  }
});

Deno.test("a breakpoint on an instruction across pages that is set while it is translated is met", () => {
  const set = ["41 0f 23 c3 ; mov dr0, r11", "41 0f 23 fc ; mov dr7, r12"];
  const body = [...CHOOSE, "75 08 ; jnz +8", ...set, ADD];
  const { interpreted } = run(loop(body, 6, 2), {
    state: (state) => {
      state.setGpr(11, CODE_AT + PAGE - 2);
      state.setGpr(12, 0x401);
    },
  });
  assertEquals(interpreted.vector, Vector.DB);
  assertEquals(interpreted.state.gpr(Reg.RCX), BigInt(CHANGE));
});

/** Maps pages anywhere to frames below 2 MiB. */
function mapAnywhere(memory: GuestMemory, address: bigint, frame: number, spare: number): void {
  let table = 0x10_0000; // the root
  for (let level = 3; level > 0; level--) {
    const at = gpa(table + Number(address >> BigInt(12 + 9 * level) & 511n) * 8);
    if (memory.readU64(at) === 0n) memory.writeU64(at, BigInt(spare + level * PAGE | ENTRY));
    table = Number(memory.readU64(at) & 0xf_ffff_f000n);
  }
  memory.writeU64(gpa(table + Number(address >> 12n & 511n) * 8), BigInt(frame | ENTRY));
}

Deno.test("at the ends of the address spaces the next page is the one that follows, or none", () => {
  const ends = [
    [0xffff_f000n, 0x1_0000_0000n],
    [0xffff_ffff_ffff_f000n, 0n],
    [0x7fff_ffff_f000n, undefined],
  ] as const;
  for (const [page, next] of ends) {
    const across = loop(["83 c2 03 ; add edx, 3", ADD], 1, 2);
    const { interpreted, translated } = run(across, {
      state: (state) => state.set(State.RIP, page + BigInt(across.at)),
      memory: (memory) => {
        mapAnywhere(memory, page, CODE_AT, 0x11_0000);
        if (next !== undefined) mapAnywhere(memory, next, NEXT_AT, 0x12_0000);
      },
    });
    if (next === undefined) assertEquals(interpreted.vector, Vector.GP);
    else {
      assertEquals(interpreted.state.gpr(Reg.RAX), 0x4433_2211n * BigInt(TURNS));
      assert(leavings(translated) < 30, `${leavings(translated)} times left`);
    }
  }
});

Deno.test("flags that a faulting fetch shows are those before the instruction", () => {
  // What it replaces them with does not come to be.
  const body = changing(FORGETTINGS[0][1]).slice(0, -1);
  const all = [...body, "80 fa 80 ; cmp dl, 0x80", ADD];
  const { interpreted } = run(loop(all, all.length - 1, 2), { state: forgets(0) });
  assertEquals(interpreted.vector, Vector.PF);
});

Deno.test("numbers of instructions across pages are used again, and there is an end of them", () => {
  const tails = new Tails();
  const block = () => new Block([new Insn()]);
  const blocks = Array.from({ length: MAX_TAILS }, block);
  assertEquals(blocks.map((one) => tails.add(one)), blocks.map((_, number) => number));
  assertEquals(tails.add(block()), undefined);
  assertEquals(tails.at(7)?.block, blocks[7]);
  tails.drop(7);
  assertEquals(tails.at(7), undefined);
  assertEquals(tails.add(block()), 7);
  assertEquals(tails.add(block()), undefined);
});

Deno.test("without a number, an instruction across pages is stepped over, and its code is valid", () => {
  const insns = decodeAll(code("83 c2 03 ; add edx, 3", ADD), PAGE - 5);
  const block = {
    offset: PAGE - 5,
    insns,
    steps: false,
    falls: true,
    isEntry: true,
    isStart: true,
  };
  const numbers: (number | undefined)[] = [];
  const functions = [undefined, 5].map((number) => {
    const tailOf = ({ offset }: Insn) => {
      numbers.push(offset);
      return number;
    };
    return regionCode([block], true, 0, () => 0, () => false, tailOf).code;
  });
  assertEquals(numbers, [PAGE - 2, PAGE - 2]);
  const parts = { types: SIGNATURES, imports: IMPORTS, functions, tableBase: 1 };
  assert(WebAssembly.validate(writeModule(parts)));
});
