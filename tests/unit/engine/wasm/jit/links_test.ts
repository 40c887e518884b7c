/** Links between regions: where a way out led the last time, until anything about that has changed. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg } from "../../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../../src/engine/engine.ts";
import {
  JUMP_BYTES,
  JUMPS_AT,
  JUMPS_END,
  LINKS_AT,
  LINKS_END,
} from "../../../../../src/engine/wasm/jit/layout.ts";
import { code, CODE_AT, runBoth, type Side } from "../../../../support/program_pair.ts";

const PAGE = 4096;
/** The page that a loop in the first one leads to and comes back from, and a frame to put there. */
const NEXT_AT = CODE_AT + PAGE;
const OTHER_AT = 0x6000;
const TURNS = 3000;
/** Turns are counted down: the one at which something changes; the loop has long been translated. */
const CHANGE = 1500;

/** Ways to the next page and back. */
const WAYS = {
  "direct jumps": { to: jump(NEXT_AT), back: (at: number) => jump(at)(NEXT_AT + 6) },
  "calls and returns": { to: call(NEXT_AT), back: () => code("c3 ; ret") },
  "indirect calls": { to: () => code("41 ff d2 ; call r10"), back: () => code("c3 ; ret") },
  "indirect jumps": {
    to: () => code("41 ff e2 ; jmp r10"),
    back: () => code("41 ff e3 ; jmp r11"),
  },
} as const;

function relative(opcode: number, target: number, at: number): Uint8Array {
  return Uint8Array.of(opcode, ...new Uint8Array(Int32Array.of(target - at - 5).buffer));
}
function jump(target: number) {
  return (at: number) => relative(0xe9, target, at);
}
function call(target: number) {
  return (at: number) => relative(0xe8, target, at);
}

/** RAX counts: by one for each turn that comes to the page itself, by 16 for one in its stead. */
function next(step: number, back: Uint8Array): Uint8Array {
  return Uint8Array.of(...code("48 05"), step, 0, 0, 0, ...back); // add rax, step
}

/** Runs the loop. */
function run(way: keyof typeof WAYS, change: Uint8Array, turns = TURNS, budget = 1_000_000) {
  const { to, back } = WAYS[way];
  const head = [
    ...code("81 f9 dc 05 00 00 ; cmp ecx, CHANGE", "75 ; jne"),
    change.length,
    ...change,
  ];
  const there = to(CODE_AT + head.length);
  const behind = head.length + there.length;
  const loop = -(behind + 2 + 6);
  const bytes = Uint8Array.from([
    ...head,
    ...there,
    ...code("ff c9 ; dec ecx", "0f 85 ; jnz"),
    ...new Uint8Array(Int32Array.of(loop).buffer),
    0xf4,
  ]);
  const pair = runBoth(bytes, {
    budget,
    state: (state) => {
      state.setGpr(Reg.RCX, turns);
      state.setGpr(Reg.RAX, 0);
      state.setGpr(10, NEXT_AT);
      state.setGpr(11, CODE_AT + behind);
    },
    memory: (memory) => {
      memory.write(gpa(NEXT_AT), next(1, back(CODE_AT + behind)));
      memory.write(gpa(OTHER_AT), next(16, back(CODE_AT + behind)));
    },
  });
  return { ...pair, count: Number(pair.translated.state.gpr(Reg.RAX)) };
}

/** Links that lead somewhere. */
function links({ engine }: Side): number {
  const { s } = engine.vcpus[0].cpu;
  let count = 0;
  for (let at = LINKS_AT / 4; at < LINKS_END / 4; at += JUMP_BYTES / 4) {
    if (s[at + 1] !== 0) count++;
  }
  return count;
}

const NOTHING = code("90");
const REMAP = [
  "48 c7 04 25 10 30 10 00 67 60 00 00 ; its entry in the page table = OTHER_AT | flags",
] as const;
const CHANGES = {
  "has other bytes": code("c6 04 25 02 20 00 00 10 ; mov byte [NEXT_AT + 2], 16"),
  "is another page after INVLPG": code(...REMAP, "0f 01 3c 25 00 20 00 00 ; invlpg [NEXT_AT]"),
  "is another page after CR3 was loaded": code(...REMAP, "0f 20 db 0f 22 db ; mov cr3, cr3"),
} as const;

for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[]) {
  Deno.test(`${way} to another page are linked`, () => {
    const { count, translated } = run(way, NOTHING);
    assertEquals(count, TURNS);
    assert(links(translated) > 0);
    assert(
      translated.stats.jit_entries < 100,
      `${translated.stats.jit_entries} times by TypeScript`,
    );
  });

  Deno.test(`${way} that are linked do without the jump cache`, () => {
    const { engine } = run(way, NOTHING, 1_000_000, 10_000).translated;
    const before = engine.stats().jit_entries;
    engine.vcpus[0].cpu.s.fill(0, JUMPS_AT / 4, JUMPS_END / 4);
    assertEquals(engine.run(10_000), ExitCode.BUDGET);
    // At the beginning, and near the end of the budget; TypeScript would make each missing jump, too.
    assert(engine.stats().jit_entries - before <= 2);
  });

  for (const [name, change] of Object.entries(CHANGES)) {
    Deno.test(`${way} lead to what is there when the page ${name}`, () => {
      assertEquals(run(way, change).count, TURNS - CHANGE + CHANGE * 16);
    });
  }
}
