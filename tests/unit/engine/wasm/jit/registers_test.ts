/** Registers in local variables, at every way in and out of loops and conditions. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { type CpuState, Reg, State } from "../../../../../src/cpu/state.ts";
import {
  code,
  DATA_AT,
  mapPage,
  type ProgramOptions,
  runBoth,
  type Side,
} from "../../../../support/program_pair.ts";

/** Both ways of running a program alike: its blocks translated each alone, and in one region. */
function run(bytes: Uint8Array, options: ProgramOptions): { interpreted: Side; translated: Side } {
  runBoth(bytes, { ...options, threshold: 5 });
  return runBoth(bytes, options);
}

/** Where a loop gets to in its 3072nd turn. */
const MISSING_AT = DATA_AT + 0x3_0000;

/** All registers but RSP have values of their own; XMM0 to XMM3, too. */
function fill(state: CpuState): void {
  for (let reg = 0; reg < 16; reg++) {
    if (reg !== Reg.RSP) state.setGpr(reg, 0x1111_1111_1111n * BigInt(reg + 1));
  }
  state.setGpr(Reg.RSI, DATA_AT);
  state.setGpr(Reg.RDI, DATA_AT + 0x800);
  state.set(State.XSAVE + 512, 2);
  for (let i = 0; i < 8; i++) state.set(State.XSAVE + 160 + 8 * i, BigInt(i + 1));
}

/** A loop of 4000 turns around some code, counted by R15. */
function loop(...body: readonly string[]): Uint8Array {
  const inside = code(...body);
  const back = new DataView(new ArrayBuffer(4));
  back.setInt32(0, -(inside.length + 3 + 6), true);
  return Uint8Array.from([
    ...code("41 bf a0 0f 00 00 ; mov r15d, 4000"),
    ...inside,
    ...code("41 ff cf ; dec r15d", "0f 85 ; jnz loop"),
    ...new Uint8Array(back.buffer),
    0xf4,
  ]);
}

/** The same without a loop around: called 4000 times, its last instruction a return. */
function routine(...body: readonly string[]): Uint8Array {
  const inside = code(...body);
  return Uint8Array.from([
    ...code("41 bf a0 0f 00 00 ; mov r15d, 4000"),
    ...code("e8 06 00 00 00 ; again: call routine"),
    ...code("41 ff cf ; dec r15d", "75 f6 ; jnz again", "f4 ; hlt"),
    ...inside,
    0xc3,
  ]);
}

const CONDITIONS: Readonly<Record<string, readonly string[]>> = {
  "CMPXCHG that stores": [
    "48 8b 06 ; mov rax, [rsi]",
    "48 0f b1 1e ; cmpxchg [rsi], rbx",
    "48 01 d9 ; add rcx, rbx", // RBX has been read in the one branch only
    "48 01 c2 ; add rdx, rax",
    "48 ff c3 ; inc rbx",
  ],
  "CMPXCHG that loads": [
    "48 ff 06 ; inc qword [rsi]",
    "48 0f b1 1e ; cmpxchg [rsi], rbx",
    "48 01 d9 ; add rcx, rbx",
    "48 01 c2 ; add rdx, rax",
    "48 31 c0 ; xor rax, rax",
  ],
  "CMPXCHG by turns": [
    "4c 89 fd ; mov rbp, r15",
    "48 83 e5 01 ; and rbp, 1",
    "48 8b 06 ; mov rax, [rsi]",
    "48 01 e8 ; add rax, rbp",
    "48 0f b1 1e ; cmpxchg [rsi], rbx",
    "48 01 d9 ; add rcx, rbx",
    "48 01 c2 ; add rdx, rax",
    "48 ff c3 ; inc rbx",
  ],
  "CMPXCHG of two registers": [
    "4c 89 fd ; mov rbp, r15",
    "83 e5 01 ; and ebp, 1",
    "4c 8d 04 28 ; lea r8, [rax + rbp]",
    "49 0f b1 d9 ; cmpxchg r9, rbx",
    "4d 0f b1 d0 ; cmpxchg r8, r10",
    "4c 01 c1 ; add rcx, r8",
    "4c 01 d1 ; add rcx, r10",
  ],
  "CMPXCHG8B and CMPXCHG16B": [
    "0f c7 0e ; cmpxchg8b [rsi]",
    "48 01 d7 ; add rdi, rdx",
    "48 ff c3 ; inc rbx",
    "48 0f c7 0e ; cmpxchg16b [rsi]",
    "49 01 d0 ; add r8, rdx",
    "49 01 c9 ; add r9, rcx",
    "49 01 da ; add r10, rbx",
  ],
  "CMOV": [
    "4c 39 f8 ; cmp rax, r15",
    "48 0f 47 c3 ; cmova rax, rbx",
    "44 0f 42 c9 ; cmovb r9d, ecx",
    "4c 01 c8 ; add rax, r9",
    "4d 01 fa ; add r10, r15",
  ],
  "shifts by CL of 0 and of more": [
    "44 89 f9 ; mov ecx, r15d",
    "83 e1 21 ; and ecx, 0x21",
    "48 d3 e0 ; shl rax, cl",
    "0f 92 c2 ; setc dl",
    "d3 eb ; shr ebx, cl",
    "49 83 d0 00 ; adc r8, 0",
    "49 d3 c1 ; rol r9, cl",
    "49 83 d2 00 ; adc r10, 0",
    "48 83 c8 55 ; or rax, 0x55",
    "f7 d3 ; not ebx",
  ],
  "REP MOVS and STOS of none and of some": [
    "44 89 f9 ; mov ecx, r15d",
    "83 e1 03 ; and ecx, 3",
    "49 89 c8 ; mov r8, rcx",
    "f3 a4 ; rep movsb",
    "49 01 c8 ; add r8, rcx",
    "48 83 e7 f8 ; and rdi, -8",
    "4c 89 f9 ; mov rcx, r15",
    "83 e1 02 ; and ecx, 2",
    "f3 aa ; rep stosb",
    "49 01 fa ; add r10, rdi",
    "48 81 e6 ff fb ff ff ; and rsi, ~0x400",
    "48 81 e7 ff 0b 02 00 ; and rdi, DATA_AT + 0xbff",
  ],
};

for (const [what, body] of Object.entries(CONDITIONS)) {
  for (const [where, make] of [["in a loop", loop], ["in a routine", routine]] as const) {
    Deno.test(`what ${what} has loaded on one way only is not taken for loaded, ${where}`, () => {
      const { translated } = run(make(...body), { state: fill });
      assert(translated.stats.jit_entries > 0);
      assert(translated.stats.jit_bails < 20, `${translated.stats.jit_bails} bails`);
    });
  }
}

/** Uses general registers and vector ones, and goes on to the next 64 bytes. */
const BODY = [
  "48 01 c3 ; add rbx, rax",
  "48 03 06 ; add rax, [rsi]",
  "66 0f fe c1 ; paddd xmm0, xmm1",
  "66 0f ef d0 ; pxor xmm2, xmm0",
  "49 ff c0 ; inc r8",
  "48 83 c6 40 ; add rsi, 64",
  "f3 0f 7f 07 ; movdqu [rdi], xmm0",
] as const;

Deno.test("a loop that is left by a branch leaves its registers as interpreted", () => {
  for (const end of [1, 7, 3999, 4000]) {
    // cmp r8d, end; je out, behind the loop
    const early = [`41 81 f8 ${word(end)} ; cmp r8d, end`, "74 0d ; je out"];
    const program = loop(...BODY, ...early, "66 0f 6f da ; movdqa xmm3, xmm2");
    const { interpreted } = run(program, {
      state: (state) => {
        fill(state);
        state.setGpr(8, 0);
      },
    });
    assertEquals(interpreted.state.gpr(8), BigInt(end));
  }
});

Deno.test("a loop in a routine is left for what is behind it in the same region", () => {
  const { translated } = run(
    routine(
      "41 be 05 00 00 00 ; mov r14d, 5",
      "44 89 fd ; mov ebp, r15d",
      "83 e5 07 ; and ebp, 7",
      "41 39 ee ; inner: cmp r14d, ebp",
      "74 14 ; je out", // sometimes at once, before RDX and XMM3 have been written, or never
      "48 01 c3 ; add rbx, rax",
      "4c 89 f2 ; mov rdx, r14",
      "66 0f fe c1 ; paddd xmm0, xmm1",
      "66 0f 6f d8 ; movdqa xmm3, xmm0",
      "41 ff ce ; dec r14d",
      "75 e8 ; jnz inner",
      "90 ; nop",
      "48 01 d1 ; out: add rcx, rdx",
      "49 01 d8 ; add r8, rbx",
      "66 0f ef d3 ; pxor xmm2, xmm3",
      "48 f7 d2 ; not rdx",
      "66 0f ef db ; pxor xmm3, xmm3",
    ),
    { state: fill },
  );
  assert(translated.stats.jit_bails < 5, `${translated.stats.jit_bails} bails`);
});

Deno.test("loops in a loop that branch out of both leave registers as interpreted", () => {
  const inner = [
    "41 be 05 00 00 00 ; mov r14d, 5",
    "48 01 c3 ; inner: add rbx, rax",
    "66 0f fe c1 ; paddd xmm0, xmm1",
    "48 ff c1 ; inc rcx",
    `48 81 f9 ${word(15_000)} ; cmp rcx, 15000`,
    "74 11 ; je out of both",
    "41 ff ce ; dec r14d",
    "75 e8 ; jnz inner",
    "49 01 d8 ; add r8, rbx",
  ];
  const { interpreted } = run(loop(...inner), {
    state: (state) => {
      fill(state);
      state.setGpr(Reg.RCX, 0);
    },
  });
  assertEquals(interpreted.state.gpr(Reg.RCX), 15_000n);
});

Deno.test("a loop that comes to a missing page faults with its registers as interpreted", () => {
  const { interpreted, translated } = run(loop(...BODY), {
    state: fill,
    memory: (memory) => mapPage(memory, MISSING_AT, 0, 0),
  });
  assertEquals([interpreted.vector, interpreted.state.gpr(Reg.RSI)], [
    14,
    BigInt(MISSING_AT),
  ]);
  assert(translated.stats.jit_bails > 0);
});

Deno.test("a loop that bails in the middle at each turn goes on as interpreted", () => {
  // Stores to a page with code are left to the interpreter.
  const { translated } = run(loop(...BODY), {
    state: (state) => {
      fill(state);
      state.setGpr(Reg.RDI, 0x1800);
    },
  });
  assert(translated.stats.jit_bails > 100, `${translated.stats.jit_bails} bails`);
});

Deno.test("a loop whose budget ends anywhere in it stops and goes on as interpreted", () => {
  for (const slice of [61, 333]) {
    const { translated } = run(loop(...BODY), { state: fill, slice });
    if (slice > 300) assert(translated.stats.jit_entries > 2);
  }
  for (let budget = 30_000; budget < 30_009; budget++) run(loop(...BODY), { state: fill, budget });
});

Deno.test("a loop that calls a routine, and steps over what is interpreted, keeps its registers", () => {
  // CPUID is interpreted; it writes RAX, RBX, RCX and RDX.
  const body = ["31 c0 ; xor eax, eax", "0f a2 ; cpuid", "49 01 c0 ; add r8, rax", ...BODY];
  run(loop(...body), { state: fill });
});

Deno.test("a routine that is entered for XMM registers alone finds what the loop has made of them", () => {
  run(routine("66 0f fe c1 ; paddd xmm0, xmm1", "66 0f fe d0 ; paddd xmm2, xmm0"), {
    state: fill,
    memory: (memory) => memory.writeU64(gpa(DATA_AT), 5n),
  });
});

/** Bytes of a number of 32 bits. */
function word(value: number): string {
  return [0, 8, 16, 24].map((shift) => (value >>> shift & 255).toString(16)).join(" ");
}
