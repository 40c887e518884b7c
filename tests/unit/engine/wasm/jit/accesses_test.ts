/** Which accesses of a block ask the TLB together, and what is left of that when it runs. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { type CpuState, Reg } from "../../../../../src/cpu/state.ts";
import { CodeSize } from "../../../../../src/engine/wasm/cpu.ts";
import { type Access, groupAccesses } from "../../../../../src/engine/wasm/jit/accesses.ts";
import { GROUPS } from "../../../../../src/engine/wasm/jit/locals.ts";
import {
  code,
  DATA_AT,
  decodeAll,
  mapPage,
  runBoth,
  STACK_AT,
} from "../../../../support/program_pair.ts";

function accessesOf(...lines: readonly string[]): (Access | undefined)[] {
  return groupAccesses(decodeAll(code(...lines)), true);
}

/** By instruction the number of its group, counted from 0 as they come; -1: it has none. */
function groupsOf(...lines: readonly string[]): number[] {
  const accesses = accessesOf(...lines);
  const groups = [...new Set(accesses.map((access) => access?.group))].filter((one) => one);
  return accesses.map((access) => groups.indexOf(access?.group));
}

Deno.test("pushes, pops and operands at RSP are one group, wherever RSP has got to", () => {
  const accesses = accessesOf(
    "53 ; push rbx",
    "51 ; push rcx",
    "48 89 44 24 10 ; mov [rsp + 16], rax",
    "48 8b 54 24 08 ; mov rdx, [rsp + 8]",
    "59 ; pop rcx",
    "5b ; pop rbx",
  );
  const [{ group }] = accesses as Access[];
  assert(accesses.every((access) => access?.group === group));
  assertEquals(accesses.map((access) => access!.position), [-8, -16, 0, -8, -16, -8]);
  assertEquals(accesses.map((access) => access!.moved), [0, -8, -16, -16, -16, -8]);
  assertEquals([group.base, group.write, group.low, group.high], [Reg.RSP, true, -16, 8]);
});

Deno.test("a call's return address and a return belong to the stack's group", () => {
  assertEquals(groupsOf("53 ; push rbx", "e8 00 00 00 00 ; call"), [0, 0]);
  assertEquals(groupsOf("5b ; pop rbx", "c3 ; ret"), [0, 0]);
});

Deno.test("a register that is written ends its groups, and no others", () => {
  assertEquals(
    groupsOf(
      "8b 06 ; mov eax, [rsi]",
      "8b 0f ; mov ecx, [rdi]",
      "48 8d 76 10 ; lea rsi, [rsi + 16]",
      "8b 06 ; mov eax, [rsi]",
      "8b 0f ; mov ecx, [rdi]",
      "8b 46 04 ; mov eax, [rsi + 4]",
    ),
    [-1, 0, -1, 1, 0, 1],
  );
});

Deno.test("a load into its own base register is the last of its group", () => {
  const chased = ["48 8b 46 08 ; mov rax, [rsi + 8]", "48 8b 36 ; mov rsi, [rsi]"];
  assertEquals(groupsOf(...chased, "48 8b 06", "48 8b 46 08"), [0, 0, 1, 1]);
  assertEquals(groupsOf("5c ; pop rsp", "59 ; pop rcx", "59"), [-1, 0, 0]);
});

Deno.test("any part of a register counts as the register", () => {
  for (
    const change of ["66 be 01 00 ; mov si, 1", "40 b6 01 ; mov sil, 1", "89 c6 ; mov esi, eax"]
  ) {
    assertEquals(groupsOf("8b 06", change, "8b 06"), [-1, -1, -1], change);
  }
  // AH is a part of RAX, not of RSP, which has its number.
  assertEquals(groupsOf("8b 0c 24", "b4 01 ; mov ah, 1", "8b 0c 24"), [0, -1, 0]);
  assertEquals(groupsOf("8b 08", "b4 01 ; mov ah, 1", "8b 08"), [-1, -1, -1]);
});

Deno.test("ADD and SUB of an immediate move along", () => {
  const accesses = accessesOf(
    "8b 06 ; mov eax, [rsi]",
    "48 83 c6 04 ; add rsi, 4",
    "8b 06 ; mov eax, [rsi]",
    "48 83 ee 08 ; sub rsi, 8",
    "8b 46 02 ; mov eax, [rsi + 2]",
  );
  assertEquals(accesses.map((access) => access?.position), [0, undefined, 4, undefined, -2]);
  assertEquals(accesses[4]!.moved, -4);
  // Half of a register is another value, and so is what a register adds.
  assertEquals(groupsOf("8b 06", "83 c6 04 ; add esi, 4", "8b 06"), [-1, -1, -1]);
  assertEquals(groupsOf("8b 06", "48 01 c6 ; add rsi, rax", "8b 06"), [-1, -1, -1]);
});

Deno.test("a range of 128 bytes is one group, of 129 bytes two", () => {
  assertEquals(groupsOf("8a 06 ; mov al, [rsi]", "8a 46 7f ; mov al, [rsi + 127]"), [0, 0]);
  assertEquals(groupsOf("8a 06", "8a 86 80 00 00 00 ; mov al, [rsi + 128]"), [-1, -1]);
  assertEquals(
    groupsOf("8a 06", "8a 86 c8 00 00 00", "8a 46 01", "8a 86 c9 00 00 00"),
    [0, 1, 0, 1],
  );
});

Deno.test("operands count with their own sizes", () => {
  const high = (line: string) => accessesOf("8a 06 ; mov al, [rsi]", line)[0]!.group.high;
  assertEquals(high("0f b6 46 10 ; movzx eax, byte [rsi + 16]"), 17);
  assertEquals(high("48 0f bf 46 10 ; movsx rax, word [rsi + 16]"), 18);
  assertEquals(high("48 63 46 10 ; movsxd rax, dword [rsi + 16]"), 20);
  assertEquals(high("48 0f 44 46 10 ; cmove rax, [rsi + 16]"), 24);
  assertEquals(high("66 83 7e 10 01 ; cmp word [rsi + 16], 1"), 18);
});

Deno.test("more groups than variables close the oldest ones", () => {
  // [rax], [rcx], [rdx], [rbx], [rsi]: the last takes the variable of the first.
  const reads = ["8b 38", "8b 39", "8b 3a", "8b 3b", "8b 3e"];
  assertEquals(reads.length, GROUPS + 1);
  assertEquals(
    groupsOf(...reads, "8b 79 04 ; mov edi, [rcx + 4]", "8b 78 04 ; mov edi, [rax + 4]"),
    [-1, 0, -1, -1, -1, 0, -1],
  );
});

Deno.test("reads join a group of writes, writes never one of reads", () => {
  const [read, write] = ["8b 46 04 ; mov eax, [rsi + 4]", "89 06 ; mov [rsi], eax"];
  assertEquals(groupsOf(write, read), [0, 0]);
  assertEquals(groupsOf(read, write), [-1, -1]);
  assertEquals(groupsOf(read, write, read, write, "83 7e 08 01 ; cmp [rsi + 8], 1"), [
    -1,
    0,
    0,
    0,
    0,
  ]);
});

Deno.test("FS and GS, index registers, 32-bit and constant addresses are in no group", () => {
  for (
    const line of [
      "64 8b 06 ; mov eax, fs:[rsi]",
      "65 8b 06 ; mov eax, gs:[rsi]",
      "8b 04 3e ; mov eax, [rsi + rdi]",
      "67 8b 06 ; mov eax, [esi]",
      "8b 05 00 00 00 00 ; mov eax, [rip]",
      "8b 04 25 00 00 00 00 ; mov eax, [0]",
    ]
  ) {
    assertEquals(groupsOf(line, line), [-1, -1], line);
    assertEquals(groupsOf("8b 06", line, "8b 06").map((group) => group >= 0), [true, false, true]);
  }
});

Deno.test("NOP and LEA with an address access nothing", () => {
  assertEquals(
    groupsOf("8b 06", "0f 1f 46 08 ; nop [rsi + 8]", "48 8d 46 08 ; lea rax, [rsi + 8]", "8b 06"),
    [0, -1, -1, 0],
  );
});

Deno.test("vector instructions are in no group and end none, but for what they write unseen", () => {
  assertEquals(groupsOf("8b 01", "0f 10 41 10 ; movups xmm0, [rcx + 16]", "8b 01"), [0, -1, 0]);
  const pcmpistri = "66 0f 3a 63 c1 00 ; pcmpistri xmm0, xmm1, 0";
  assertEquals(groupsOf("8b 01 ; mov eax, [rcx]", pcmpistri, "8b 01"), [-1, -1, -1]);
});

Deno.test("what is not known ends all groups", () => {
  for (const line of ["0f af c1 ; imul eax, ecx", "c9 ; leave", "87 d9 ; xchg ecx, ebx"]) {
    assertEquals(groupsOf("8b 06", line, "8b 06"), [-1, -1, -1], line);
  }
});

Deno.test("in 32-bit code addresses of 32 bits are in groups", () => {
  const insns = decodeAll(code("50 ; push eax", "8b 44 24 04", "58"), 0, CodeSize.BITS32);
  assertEquals(groupAccesses(insns, false).map((access) => access?.position), [-4, 0, -4]);
});

/** Pushes, fields and pops, 1000 times. */
const FRAME = code(
  "b9 e8 03 00 00 ; mov ecx, 1000",
  "51 ; loop: push rcx",
  "53 ; push rbx",
  "48 83 ec 20 ; sub rsp, 32",
  "48 89 0c 24 ; mov [rsp], rcx",
  "48 01 4c 24 18 ; add [rsp + 24], rcx",
  "48 03 5c 24 18 ; add rbx, [rsp + 24]",
  "48 03 1c 24 ; add rbx, [rsp]",
  "48 83 c4 20 ; add rsp, 32",
  "48 01 1c 24 ; add [rsp], rbx",
  "5a ; pop rdx",
  "59 ; pop rcx",
  "ff c9 ; dec ecx",
  "75 da ; jnz loop",
  "f4 ; hlt",
);

/** Bails of so many instructions, with the stack at an address. */
function bailsOfFrame(rsp: number, budget: number): number {
  const state = (state: CpuState) => state.setGpr(Reg.RSP, rsp);
  return runBoth(FRAME, { state, budget }).translated.stats.jit_bails;
}

Deno.test("a stack frame across pages: as interpreted, and soon without bails", () => {
  for (const rsp of [STACK_AT + 8, STACK_AT + 16, STACK_AT + 40]) {
    const bails = bailsOfFrame(rsp, 6000);
    assert(bails >= 8 && bails < 16, `${bails} bails at first`);
    assertEquals(bailsOfFrame(rsp, 1_000_000), bails, "bails later");
  }
});

Deno.test("accesses that cross pages themselves go on as interpreted", () => {
  assert(bailsOfFrame(STACK_AT + 20, 1_000_000) > 500);
});

Deno.test("a stack frame in one page bails at no turn", () => {
  const { translated } = runBoth(FRAME, { state: (state) => state.setGpr(Reg.RSP, STACK_AT - 64) });
  assert(translated.stats.jit_bails < 3, `${translated.stats.jit_bails} bails`);
});

Deno.test("a group whose displacements end at the lowest one leads to where it should", () => {
  // Positions below -2^31 from where the register pointed.
  const { interpreted, translated } = runBoth(
    code(
      "b9 64 00 00 00 ; mov ecx, 100",
      "48 89 f7 ; loop: mov rdi, rsi",
      "8b 87 00 00 00 80 ; mov eax, [rdi - 0x80000000]",
      "48 83 ef 10 ; sub rdi, 16",
      "03 87 00 00 00 80 ; add eax, [rdi - 0x80000000]",
      "ff c9 ; dec ecx",
      "75 e7 ; jnz loop",
      "f4 ; hlt",
    ),
    {
      state: (state) => state.setGpr(Reg.RSI, DATA_AT + 0x100 + 2 ** 31),
      memory: (memory) => {
        memory.writeU32(gpa(DATA_AT + 0xf0), 0x1111);
        memory.writeU32(gpa(DATA_AT + 0x100), 0x2222);
      },
    },
  );
  assertEquals(interpreted.state.gpr(Reg.RAX), 0x3333n);
  assert(translated.stats.jit_bails < 3, `${translated.stats.jit_bails} bails`);
});

Deno.test("an access behind PCMPISTRI goes by the RCX that it has made", () => {
  // Behind the comparison RCX is 16: nothing equal has been found.
  const { interpreted } = runBoth(
    code(
      "ba 64 00 00 00 ; mov edx, 100",
      "48 89 f1 ; loop: mov rcx, rsi",
      "8b 01 ; mov eax, [rcx]",
      "66 0f 3a 63 c1 00 ; pcmpistri xmm0, xmm1, 0",
      "03 41 04 ; add eax, [rcx + 4]",
      "ff ca ; dec edx",
      "75 ee ; jnz loop",
      "f4 ; hlt",
    ),
    {
      state: (state) => state.setGpr(Reg.RSI, DATA_AT),
      memory: (memory) => {
        memory.writeU32(gpa(DATA_AT + 4), 7);
        memory.writeU32(gpa(16 + 4), 9);
      },
    },
  );
  assertEquals(interpreted.state.gpr(Reg.RAX), 9n);
});

Deno.test("a group that runs into a missing page faults as interpreted", () => {
  const { interpreted } = runBoth(
    code(
      "b9 00 02 00 00 ; mov ecx, 512",
      "8b 06 ; loop: mov eax, [rsi]",
      "03 46 0c ; add eax, [rsi + 12]",
      "89 06 ; mov [rsi], eax",
      "89 46 08 ; mov [rsi + 8], eax",
      "48 83 c6 10 ; add rsi, 16",
      "ff c9 ; dec ecx",
      "75 ee ; jnz loop",
      "f4 ; hlt",
    ),
    {
      state: (state) => state.setGpr(Reg.RSI, DATA_AT),
      memory: (memory) => mapPage(memory, DATA_AT + 0x1000, 0, 0),
    },
  );
  assertEquals(interpreted.vector, 14);
});
