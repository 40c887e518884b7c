/** What kernels do at their entries and exits, in translated code. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Cr4 } from "../../../../../src/cpu/modes.ts";
import { type CpuState, Reg, Seg, State } from "../../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../../src/engine/engine.ts";
import type { GuestMemory } from "../../../../../src/memory/guest_memory.ts";
import {
  code,
  DATA_AT,
  mapPage,
  type ProgramOptions,
  runBoth,
} from "../../../../support/program_pair.ts";

const PAGE = 4096;
/** Present, writable, accessed, dirty: a supervisor's page. */
const SUPERVISOR = 0x63;
const USER = 0x67;
/** Vectors. */
const UD = 6, GP = 13, PF = 14;
const KERNEL_GS_BASE = 0xc000_0102;
/** PKRU in the XSAVE area. */
const PKRU = State.XSAVE + 2688;
/** Which components there are anything in (SDM 1 §13.4.2). */
const XSTATE_BV = State.XSAVE + 512;

function setCr4(state: CpuState, bits: number): void {
  state.set(State.CR4, state.get(State.CR4) | BigInt(bits));
}

/** All pages are a supervisor's but the one at DATA_AT. */
function mapForSmap(memory: GuestMemory): void {
  for (let page = 0; page < 512; page++) mapPage(memory, page * PAGE, page * PAGE, SUPERVISOR);
  mapPage(memory, DATA_AT, DATA_AT, USER);
  memory.writeU64(gpa(DATA_AT), 3n);
}

function withSmap(state: CpuState): void {
  setCr4(state, Cr4.SMAP);
  state.setGpr(Reg.RDI, DATA_AT);
  state.setGpr(Reg.RSI, DATA_AT + PAGE);
}

function withUserSegments(state: CpuState): void {
  const flat = { base: 0, limit: 0xffff_ffff };
  state.setSegment(Seg.CS, { ...flat, selector: 0x1b, attributes: 0xa0fb });
  state.setSegment(Seg.SS, { ...flat, selector: 0x13, attributes: 0xc0f3 });
}

/** Runs a program that the interpreter has to help but a few times. */
function runAlone(program: Uint8Array, options: ProgramOptions) {
  const { interpreted, translated } = runBoth(program, options);
  const { jit_steps, jit_bails } = translated.stats;
  assert(jit_steps + jit_bails < 20, `${jit_steps} steps, ${jit_bails} bails`);
  return interpreted;
}

Deno.test("translated code accesses a user's page between STAC and CLAC", () => {
  const program = code(
    "b9 88 13 00 00 ; mov ecx, 5000",
    "0f 01 cb ; loop: stac",
    "48 03 07 ; add rax, [rdi]",
    "0f 01 ca ; clac",
    "48 89 06 ; mov [rsi], rax",
    "ff c9 ; dec ecx",
    "75 f0 ; jnz loop",
    "f4 ; hlt",
  );
  for (const threshold of [1, 50]) {
    const { memory, state } = runAlone(program, { threshold, state: withSmap, memory: mapForSmap });
    assertEquals(memory.readU64(gpa(DATA_AT + PAGE)), 15_000n);
    assertEquals(state.gpr(Reg.RAX), 15_000n);
  }
});

Deno.test("behind CLAC a user's page is not to be had, though STAC has let it be found", () => {
  const program = code(
    "0f 01 cb ; stac",
    "48 8b 07 ; mov rax, [rdi]",
    "0f 01 ca ; clac",
    "48 8b 1f ; mov rbx, [rdi]",
    "f4 ; hlt",
  );
  const { interpreted } = runBoth(program, { state: withSmap, memory: mapForSmap });
  assertEquals([interpreted.vector, interpreted.state.gpr(Reg.RAX)], [PF, 3n]);
  // Without SMAP it always is.
  const state = (first: CpuState) => first.setGpr(Reg.RDI, DATA_AT);
  assertEquals(runAlone(program, { state, memory: mapForSmap }).state.gpr(Reg.RBX), 3n);
});

Deno.test("a loop forgets the user's page of its access when CLAC comes", () => {
  // Every other turn accesses a supervisor's page without STAC, and the last one the user's.
  const program = code(
    "b9 88 13 00 00 ; mov ecx, 5000",
    "4c 89 c7 ; loop: mov rdi, r8",
    "f6 c1 01 ; test cl, 1",
    "74 09 ; jz +9: stac",
    "83 f9 01 ; cmp ecx, 1",
    "49 0f 45 f9 ; cmovne rdi, r9",
    "eb 03 ; jmp +3: mov rax",
    "0f 01 cb ; stac",
    "48 8b 07 ; mov rax, [rdi]",
    "0f 01 ca ; clac",
    "ff c9 ; dec ecx",
    "75 e2 ; jnz loop",
    "f4 ; hlt",
  );
  for (const threshold of [1, 20]) {
    const { interpreted, translated } = runBoth(program, {
      threshold,
      state: (state) => {
        withSmap(state);
        state.setGpr(8, DATA_AT);
        state.setGpr(9, DATA_AT + PAGE);
      },
      memory: mapForSmap,
    });
    assertEquals([interpreted.vector, interpreted.state.gpr(Reg.RCX)], [PF, 1n]);
    // It is translated code that comes to the access.
    if (threshold > 1) assertEquals(translated.stats.jit_bails, 1);
  }
});

Deno.test("an access of the interpreter behind STAC and CLAC is made as these have it", () => {
  // FXSAVE is always interpreted.
  const save = "0f ae 07 ; fxsave [rdi]";
  const options = { state: withSmap, memory: mapForSmap };
  assertEquals(
    runBoth(code("0f 01 cb ; stac", save, "f4 ; hlt"), options).interpreted.exit,
    ExitCode.HALT,
  );
  const closed = code("0f 01 cb ; stac", "90 ; nop", "0f 01 ca ; clac", save, "f4 ; hlt");
  assertEquals(runBoth(closed, options).interpreted.vector, PF);
});

Deno.test("SWAPGS and the instructions for bases of FS and GS are translated code", () => {
  const program = code(
    "b9 c8 00 00 00 ; mov ecx, 200",
    "0f 01 f8 ; loop: swapgs",
    "65 48 ff 04 25 00 00 00 00 ; inc qword gs:[0]",
    "f3 48 0f ae c8 ; rdgsbase rax",
    "f3 48 0f ae d0 ; wrfsbase rax",
    "64 48 ff 04 25 08 00 00 00 ; inc qword fs:[8]",
    "f3 48 0f ae c3 ; rdfsbase rbx",
    "48 83 c3 10 ; add rbx, 16",
    "f3 48 0f ae db ; wrgsbase rbx",
    "f3 0f ae c2 ; rdfsbase edx",
    "ff c9 ; dec ecx",
    "75 cb ; jnz loop",
    "f4 ; hlt",
  );
  const { memory, state } = runAlone(program, {
    state: (state) => {
      setCr4(state, Cr4.FSGSBASE);
      state.setGpr(Reg.RDX, -1n);
      state.setMsr(KERNEL_GS_BASE, DATA_AT);
    },
  });
  assertEquals(memory.readU64(gpa(DATA_AT)), 1n);
  assertEquals(memory.readU64(gpa(DATA_AT + 8)), 1n);
  assertEquals(memory.readU64(gpa(DATA_AT + 99 * 16)), 1n);
  assertEquals(state.msr(KERNEL_GS_BASE), BigInt(DATA_AT + 100 * 16));
  assertEquals(state.gpr(Reg.RDX), 99n * 16n);
});

Deno.test("what cannot be a base raises #GP, and without CR4.FSGSBASE there are none to write", () => {
  const write = (reg: string, cr4: number, value: bigint) => {
    const { interpreted } = runBoth(code(`f3 48 0f ae ${reg} ; wrbase rax`, "f4 ; hlt"), {
      state: (state) => {
        setCr4(state, cr4);
        state.setGpr(Reg.RAX, value);
      },
    });
    return interpreted.vector;
  };
  for (const reg of ["d0", "d8"]) {
    assertEquals(write(reg, Cr4.FSGSBASE, 1n << 47n), GP);
    assertEquals(write(reg, 0, 0n), UD);
  }
  // Of 32 bits anything is one.
  const { interpreted } = runBoth(code("f3 0f ae d0 ; wrfsbase eax", "f4 ; hlt"), {
    state: (state) => {
      setCr4(state, Cr4.FSGSBASE);
      state.setGpr(Reg.RAX, 1n << 47n | 0xffff_ffffn);
    },
  });
  assertEquals(interpreted.state.get(State.SEGMENTS + Seg.FS * 16), 0xffff_ffffn);
});

Deno.test("RDPKRU is translated where CR4.PKE is set and ECX is 0, and elsewhere raises what it raises", () => {
  const run = (cr4: number, ecx: number) =>
    runBoth(code("0f 01 ee ; rdpkru", "f4 ; hlt"), {
      state: (state) => {
        setCr4(state, cr4);
        state.set(PKRU, 0x5555_5554n);
        state.set(XSTATE_BV, state.get(XSTATE_BV) | 1n << 9n);
        state.setGpr(Reg.RCX, BigInt(ecx) | 1n << 32n);
        state.setGpr(Reg.RAX, -1n);
        state.setGpr(Reg.RDX, -1n);
      },
    });
  const { interpreted, translated } = run(Cr4.PKE, 0);
  assertEquals([Reg.RAX, Reg.RDX].map((reg) => interpreted.state.gpr(reg)), [0x5555_5554n, 0n]);
  assertEquals(translated.stats.jit_bails, 0);
  assertEquals(run(Cr4.PKE, 1).interpreted.vector, GP);
  assertEquals(run(0, 0).interpreted.vector, UD);
});

Deno.test("control registers but CR8 are read by translated code", () => {
  const program = code(
    "b9 c8 00 00 00 ; mov ecx, 200",
    "0f 20 c0 ; loop: mov rax, cr0",
    "0f 20 d3 ; mov rbx, cr2",
    "0f 20 da ; mov rdx, cr3",
    "41 0f 20 e0 ; mov r8, cr4",
    "ff c9 ; dec ecx",
    "75 ef ; jnz loop",
    "44 0f 20 c7 ; mov rdi, cr8",
    "f4 ; hlt",
  );
  const { state } = runAlone(program, {
    state: (state) => state.set(State.CR2, 0x1234_5678_9abc_def0n),
  });
  const names = [State.CR0, State.CR2, State.CR3, State.CR4];
  assertEquals(
    [Reg.RAX, Reg.RBX, Reg.RDX, 8].map((reg) => state.gpr(reg)),
    names.map((name) => state.get(name)),
  );
});

Deno.test("programs of CPL 3 may do none of it", () => {
  for (const bytes of ["0f 01 ca", "0f 01 cb", "0f 01 f8", "0f 20 c0"]) {
    const length = bytes.split(" ").length;
    const program = code(bytes, `eb ${(256 - length - 2).toString(16)} ; jmp`);
    const exit = (state: (state: CpuState) => void) =>
      runBoth(program, { state, budget: 1000 }).interpreted.exit;
    assertEquals(exit(() => {}), ExitCode.BUDGET, bytes);
    // There is no stack for a handler.
    assertEquals(exit(withUserSegments), ExitCode.SHUTDOWN, bytes);
  }
});

Deno.test("behind LDMXCSR arithmetic rounds as it says, within a block and in a loop", () => {
  const program = code(
    "b9 c8 00 00 00 ; mov ecx, 200",
    "0f ae 16 ; loop: ldmxcsr [rsi]",
    "f3 0f 10 07 ; movss xmm0, [rdi]",
    "f3 0f 5e 47 04 ; divss xmm0, [rdi + 4]",
    "0f ae 56 04 ; ldmxcsr [rsi + 4]",
    "f3 0f 10 0f ; movss xmm1, [rdi]",
    "f3 0f 5e 4f 04 ; divss xmm1, [rdi + 4]",
    "0f ae 5f 08 ; stmxcsr [rdi + 8]",
    "ff c9 ; dec ecx",
    "75 df ; jnz loop",
    "f3 0f 11 47 0c ; movss [rdi + 12], xmm0",
    "f3 0f 11 4f 10 ; movss [rdi + 16], xmm1",
    "f4 ; hlt",
  );
  const { interpreted } = runBoth(program, {
    state: (state) => {
      state.setGpr(Reg.RDI, DATA_AT);
      state.setGpr(Reg.RSI, DATA_AT + 64);
    },
    memory: (memory) => {
      memory.writeU32(gpa(DATA_AT), 0x3f80_0000); // 1.0
      memory.writeU32(gpa(DATA_AT + 4), 0x4120_0000); // 10.0
      memory.writeU32(gpa(DATA_AT + 64), 0x1fa0);
      memory.writeU32(gpa(DATA_AT + 68), 0x3fa0); // down
    },
  });
  const words = [8, 12, 16].map((at) => interpreted.memory.readU32(gpa(DATA_AT + at)));
  assertEquals(words, [0x3fa0, 0x3dcc_cccd, 0x3dcc_cccc]);
});

Deno.test("reserved bits for MXCSR raise #GP", () => {
  const { interpreted } = runBoth(code("0f ae 16 ; ldmxcsr [rsi]", "f4 ; hlt"), {
    state: (state) => state.setGpr(Reg.RSI, DATA_AT),
    memory: (memory) => memory.writeU32(gpa(DATA_AT), 0x1_1f80),
  });
  assertEquals(interpreted.vector, GP);
});
