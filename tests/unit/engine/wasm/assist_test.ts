/** The interpreter as a help for another engine, without that engine. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import type { CpuidLeaf } from "../../../../src/cpu/cpuid.ts";
import { Cr4, flat32State } from "../../../../src/cpu/modes.ts";
import { CpuState, Event, Reg, State } from "../../../../src/cpu/state.ts";
import { Assisted } from "../../../../src/engine/assist.ts";
import { WasmAssist } from "../../../../src/engine/wasm/assist.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";

const CODE = 0x8000;
const OPERAND = 0x9000;
const STACK = 0x7000;

/** CPUID of an AMD processor with AVX and PKRU: PKRU is not where Intel has it. */
const PKRU_AT = 832;
const CPUID: readonly CpuidLeaf[] = [
  leaf(0xd, 2, { eax: 256, ebx: 576 }),
  leaf(0xd, 9, { eax: 8, ebx: PKRU_AT }),
  leaf(0xd, 11, { eax: 16, ebx: 0, ecx: 1 }), // of IA32_XSS
  leaf(0x8000_0008, 0, { eax: 0x3030 }),
];
const XCR0 = 0x207;

function leaf(number: number, subleaf: number, registers: Partial<CpuidLeaf>): CpuidLeaf {
  const none = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  return { leaf: number, subleaf, indexed: number === 0xd, ...none, ...registers };
}

/** A vCPU of 32-bit code in RAM of 1 MiB, and its assist. */
function rig(code: readonly number[]) {
  const memory = GuestMemory.allocate(1024 * 1024);
  memory.write(gpa(CODE), new Uint8Array(code));
  const gdt = { base: 0, limit: 0 };
  const before = flat32State({ eip: CODE, gdt, selectors: { cs: 8, ds: 16 } });
  before.setGpr(Reg.RSP, STACK);
  before.setGpr(Reg.RDI, OPERAND);
  before.set(State.CR4, before.get(State.CR4) | BigInt(Cr4.OSFXSR | Cr4.OSXSAVE));
  before.set(State.XCR0, XCR0);
  const accesses: string[] = [];
  const devices = {
    readMmio: (vcpu: number, address: number, size: number, into: DataView, at: number) => {
      accesses.push(`${vcpu} reads ${size} at ${address.toString(16)}`);
      for (let i = 0; i < size; i++) into.setUint8(at + i, 0x55);
    },
    writeMmio: (vcpu: number, address: number, size: number) => {
      accesses.push(`${vcpu} writes ${size} at ${address.toString(16)}`);
    },
  };
  const assist = new WasmAssist({ memory, cpus: 2, cpuid: CPUID, devices });
  return { memory, before, after: new CpuState(), assist, accesses };
}

/** Offsets in which two states differ, as multiples of 8. */
function differences(a: CpuState, b: CpuState): number[] {
  const found = [];
  for (let at = 0; at < a.view.byteLength; at += 8) if (a.get(at) !== b.get(at)) found.push(at);
  return found;
}

Deno.test("the states before and after differ in what the instruction has changed only", () => {
  const { before, after, assist } = rig([0x01, 0x07]); // add [edi], eax
  before.setGpr(Reg.RAX, 3);
  assertEquals(assist.complete(0, before, after), Assisted.DONE);
  assertEquals([...assist.counts], [["add", 1]]);
  assertEquals(differences(before, after), [State.RIP, State.RFLAGS]);
  assertEquals(after.get(State.RIP), BigInt(CODE + 2));
});

Deno.test("code that is overwritten between two instructions is decoded anew", () => {
  const { memory, before, after, assist } = rig([0x40]); // inc eax
  assist.complete(0, before, after);
  assertEquals(after.gpr(Reg.RAX), 1n);
  // As the other engine's vCPU writes: nobody is told.
  new Uint8Array(memory.wasm.buffer)[CODE] = 0x48; // dec eax
  after.set(State.RIP, CODE);
  assist.complete(0, after, before);
  assertEquals(before.gpr(Reg.RAX), 0n);
});

Deno.test("page tables that change between two instructions are walked anew", () => {
  const { memory, before, after, assist } = rig([0x8b, 0x07]); // mov eax, [edi]
  const tables = 0x1_0000, table = 0x1_1000;
  memory.writeU32(gpa(tables), table + 7);
  for (let i = 0; i < 16; i++) memory.writeU32(gpa(table + i * 4), i * 4096 + 7);
  memory.writeU32(gpa(OPERAND), 1);
  memory.writeU32(gpa(0xa000), 2);
  before.set(State.CR3, tables);
  before.set(State.CR0, before.get(State.CR0) | 0x8000_0000n);
  assist.complete(0, before, after);
  assertEquals(after.gpr(Reg.RAX), 1n);
  new Uint32Array(memory.wasm.buffer)[(table + 9 * 4) / 4] = 0xa007;
  after.set(State.RIP, CODE);
  assist.complete(0, after, before);
  assertEquals(before.gpr(Reg.RAX), 2n);
});

Deno.test("of a string instruction one repetition is done at a time", () => {
  const { before, after, assist } = rig([0xf3, 0xaa]); // rep stosb
  before.setGpr(Reg.RCX, 5);
  assist.complete(0, before, after);
  assertEquals([after.gpr(Reg.RCX), after.get(State.RIP)], [4n, BigInt(CODE)]);
});

/** pxor xmm0, xmm0 */
const PXOR = [0x66, 0x0f, 0xef, 0xc0];

Deno.test("SSE code is carried out as a whole, up to what concerns the rest of the machine", () => {
  for (
    const end of [[0xfa], [0xec], [0x0f, 0x31], [0x0f, 0xa2], [0xf0, 0xff, 0x07], [0x87, 0x07]]
  ) {
    const { before, after, assist } = rig([...PXOR, 0x40, 0xeb, 0, ...PXOR, 0x40, ...end]);
    before.setGpr(Reg.RAX, 7);
    assertEquals(assist.complete(0, before, after), Assisted.DONE);
    assertEquals(after.get(State.RIP), BigInt(CODE + 12), `${end}`);
    assertEquals(after.gpr(Reg.RAX), 9n);
    assertEquals([...assist.counts], [["pxor", 2], ["inc", 2], ["jmp", 1]]);
  }
});

Deno.test("SSE code that goes on without end is interrupted soon", () => {
  const { before, after, assist } = rig([...PXOR, 0xeb, 0xfa]); // to itself
  assertEquals(assist.complete(0, before, after), Assisted.DONE);
  assertEquals(assist.counts.get("pxor"), 128);
});

Deno.test("other code is carried out instruction by instruction, and behind SSE code not for long", () => {
  const plain = rig([0x40, 0x40, 0x40]);
  plain.assist.complete(0, plain.before, plain.after);
  assertEquals(plain.after.gpr(Reg.RAX), 1n);
  const mixed = rig([...PXOR, ...new Array(20).fill(0x40)]);
  mixed.assist.complete(0, mixed.before, mixed.after);
  assertEquals(mixed.after.gpr(Reg.RAX), 16n);
});

Deno.test("a run ends before an instruction that cannot be carried out here, and is no failure", () => {
  const { before, after, assist } = rig([...PXOR, 0x8b, 0x07]); // mov eax, [edi]
  before.set(State.APIC_BASE, 0xfee0_0900);
  before.setGpr(Reg.RDI, 0xfee0_0080);
  assertEquals(assist.complete(0, before, after), Assisted.DONE);
  assertEquals(after.get(State.RIP), BigInt(CODE + 4));
});

Deno.test("XSAVE components are those of the guest's CPUID, in its places", () => {
  const { memory, before, after, assist } = rig([0x0f, 0xc7, 0x27]); // xsavec [edi]
  before.setGpr(Reg.RAX, XCR0);
  before.set(State.XSAVE + 512, 0x206);
  before.set(State.XSAVE + 24, 0x1f80);
  before.set(State.XSAVE + 576 + 8, 0x1234n);
  before.set(State.XSAVE + PKRU_AT, 0x5555n);
  assertEquals(assist.complete(0, before, after), Assisted.DONE);
  assertEquals(memory.readU64(gpa(OPERAND + 512)), 0x204n);
  assertEquals(memory.readU64(gpa(OPERAND + 520)), 0x8000_0000_0000_0207n);
  assertEquals(memory.readU64(gpa(OPERAND + 576 + 8)), 0x1234n);
  assertEquals(memory.readU64(gpa(OPERAND + 576 + 256)), 0x5555n);
  // And they are where they were.
  assertEquals(after.get(State.XSAVE + 512) & 0x204n, 0x204n);
  assertEquals(after.get(State.XSAVE + 576 + 8), 0x1234n);
  assertEquals(after.get(State.XSAVE + PKRU_AT), 0x5555n);
});

Deno.test("device memory is the devices', of the vCPU that it is", () => {
  const { before, after, assist, accesses } = rig([0x66, 0x0f, 0x6f, 0x07]); // movdqa xmm0, [edi]
  before.setGpr(Reg.RDI, 0xd000_0000);
  assertEquals(assist.complete(1, before, after), Assisted.DONE);
  assertEquals(accesses, ["1 reads 8 at d0000000", "1 reads 8 at d0000008"]);
  assertEquals(after.get(State.XSAVE + 160), 0x5555_5555_5555_5555n);
});

for (
  const { what, code, edi, reason } of [
    { what: "its bytes", code: [0x0f, 0x0a], edi: 0, reason: "does not know it" },
    { what: "a port", code: [0xec], edi: 0, reason: "port" },
    { what: "the local APIC", code: [0x8b, 0x07], edi: 0xfee0_0080, reason: "local APIC" },
    { what: "the I/O APIC", code: [0x89, 0x07], edi: 0xfec0_0010, reason: "I/O APIC" },
  ]
) {
  Deno.test(`an instruction is refused for ${what}, with the reason`, () => {
    const { before, after, assist, accesses } = rig(code);
    before.set(State.APIC_BASE, 0xfee0_0900);
    before.setGpr(Reg.RDI, edi);
    assertEquals(assist.complete(0, before, after), Assisted.REFUSED);
    assertStringIncludes(assist.reason, reason);
    assertEquals(accesses, []);
  });
}

Deno.test("code in device memory, and an event that is being delivered, are refused", () => {
  const { before, after, assist, accesses } = rig([]);
  before.setEvent(Event.INTERRUPT, 0x30);
  assertEquals(assist.complete(0, before, after), Assisted.REFUSED);
  before.setEvent(Event.INTERRUPT, new CpuState().event(Event.INTERRUPT));
  before.set(State.RIP, 0xd000_0000);
  assertEquals(assist.complete(0, before, after), Assisted.REFUSED);
  assertEquals([assist.reason, accesses], ["its bytes are not in RAM", []]);
});

Deno.test("UD2 is an instruction: its exception goes to the guest, and without an IDT that is the end", () => {
  const { before, after, assist } = rig([0x0f, 0x0b]);
  assertEquals(assist.complete(1, before, after), Assisted.SHUTDOWN);
  assertStringIncludes(assist.reason, "Triple fault on vCPU 1");
});
