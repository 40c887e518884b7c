/** What accesses cost that the TLB cannot serve, and what makes it forget. */

import { assert, assertEquals } from "@std/assert";
import { type Gfn, gpa } from "../../../../src/base/u64.ts";
import { Cr4, realModeState } from "../../../../src/cpu/modes.ts";
import { Reg } from "../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../src/engine/engine.ts";
import { Word } from "../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../src/engine/wasm/exception.ts";
import { entryAt, TlbSet } from "../../../../src/engine/wasm/tlb.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { code, DATA_AT as CODE_DATA_AT, mapPage, runBoth } from "../../../support/program_pair.ts";
import { CODE_AT, DATA_AT, NONE, SystemRig } from "../../../support/system_rig.ts";
import { runToHalt, wasmEngine } from "../../../support/wasm_guest.ts";

const RAM = 0x1_0000;
const CODE = 0x2000;
const ROUTINE = 0x3000;

function guest(bytes: readonly number[], ds = 0) {
  const memory = GuestMemory.allocate(RAM);
  memory.write(gpa(CODE), Uint8Array.from(bytes));
  memory.writeU8(gpa(ROUTINE), 0xc3); // ret
  const state = realModeState({ cs: 0, ip: CODE, ds, ss: 0, sp: 0x8000 });
  return wasmEngine(memory, state);
}

/** Stores AL to DS:`at` 1000 times and halts. */
function stores(at: number): readonly number[] {
  return [0xb9, 0xe8, 3, 0xa2, at & 255, at >> 8, 0xe2, 0xfb, 0xf4];
}

Deno.test("a page of code is translated once for all stores to it", () => {
  const { engine } = guest(stores(CODE + 0x100));
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  assert(engine.stats().tlb_misses < 10, `${engine.stats().tlb_misses} misses`);
});

Deno.test("a device is translated once for all stores to it", () => {
  const { engine, bus } = guest(stores(0), RAM / 16);
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  assertEquals(bus.log.length, 1000);
  assert(engine.stats().tlb_misses < 10, `${engine.stats().tlb_misses} misses`);
});

Deno.test("a page that has lost its code takes stores like any other", () => {
  const call = [0xe8, ...[0xfd, 0x0f]]; // call ROUTINE
  const { engine } = guest([...call, 0xa2, 0, 0x30, ...stores(ROUTINE + 0x100)]);
  let looks = 0;
  const written = engine.guest.written.bind(engine.guest);
  engine.guest.written = (...args) => {
    looks++;
    written(...args);
  };
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  assertEquals([looks, engine.guest.code.hasCode(ROUTINE / 4096)], [1, false]);
});

const READ = "8b 06"; // mov eax, [rsi]
const WRITE = "89 06"; // mov [rsi], eax
/** Where all of memory is seen once more, in 64-bit mode. */
const ALIAS = 0x4000_0000;
const PDPT_AT = 0x10_1000;

/** A vCPU in 64-bit mode; `key` is the protection key of all pages. */
function rigWithAlias(key = 0n): SystemRig {
  const rig = new SystemRig("long64");
  rig.memory.writeU64(gpa(PDPT_AT), 0x87n | key << 59n);
  rig.memory.writeU64(gpa(PDPT_AT + 8), 0x87n);
  return rig;
}

function access(rig: SystemRig, bytes: string, address: number): number {
  rig.setGpr(Reg.RSI, address);
  return rig.run(bytes);
}

/** Whether the TLB has the page of an address: for reads, for writes. */
function cached(rig: SystemRig, address: number): [boolean, boolean] {
  const has = (set: number) => rig.cpu.s[entryAt(set, address)] === (address & ~4095);
  return [has(TlbSet.SUPERVISOR_READ), has(TlbSet.SUPERVISOR_WRITE)];
}

Deno.test("a frame that is tracked leaves the TLB wherever it was mapped, and nothing else does", () => {
  const rig = rigWithAlias();
  for (const page of [DATA_AT, ALIAS + DATA_AT, DATA_AT + 0x1000]) {
    assertEquals(access(rig, WRITE, page), NONE);
    assertEquals(cached(rig, page), [true, true]);
  }
  const { mmu } = rig.engine.guest;
  const gfn = DATA_AT / 4096 as Gfn;
  mmu.writeTracking.track(mmu.findMemslot(gfn)!, gfn);
  assertEquals(cached(rig, DATA_AT), [false, false]);
  assertEquals(cached(rig, ALIAS + DATA_AT), [false, false]);
  assertEquals(cached(rig, DATA_AT + 0x1000), [true, true]);
  access(rig, READ, DATA_AT);
  assertEquals(cached(rig, DATA_AT), [true, false], "reads need no look");
  access(rig, WRITE, DATA_AT);
  assertEquals(cached(rig, DATA_AT), [true, false], "each write does");
});

Deno.test("a frame that the TLB has for reads only keeps its entry when it is tracked again", () => {
  const rig = rigWithAlias();
  const { mmu } = rig.engine.guest;
  const gfn = DATA_AT / 4096 as Gfn;
  mmu.writeTracking.track(mmu.findMemslot(gfn)!, gfn);
  access(rig, READ, DATA_AT);
  mmu.writeTracking.track(mmu.findMemslot(gfn)!, gfn);
  assertEquals(cached(rig, DATA_AT), [true, false]);
});

/** A vCPU whose low memory is global, and its alias not; what it caches is empty. */
function rigWithGlobals(): SystemRig {
  const rig = rigWithAlias();
  rig.memory.writeU64(gpa(PDPT_AT), 0x187n);
  rig.setGpr(Reg.RAX, rig.get(Word.CR4) | BigInt(Cr4.PGE));
  assertEquals(rig.run("0f 22 e0"), NONE); // mov cr4, rax
  return rig;
}

function reloadCr3(rig: SystemRig): void {
  assert(rig.cpu.paging.loadCr3(rig.cpu.s[Word.CR3], rig.cpu.s[Word.CR3 + 1]));
}

Deno.test("an entry of the TLB that has been global for long leaves with CR3 once it is not", () => {
  const rig = rigWithGlobals();
  access(rig, WRITE, DATA_AT);
  reloadCr3(rig);
  reloadCr3(rig);
  assertEquals(cached(rig, DATA_AT), [true, true]);
  access(rig, WRITE, ALIAS + DATA_AT);
  assertEquals(cached(rig, ALIAS + DATA_AT), [true, true]);
  assertEquals(cached(rig, DATA_AT), [false, false], "it had the same entry");
  reloadCr3(rig);
  assertEquals(cached(rig, ALIAS + DATA_AT), [false, false]);
});

Deno.test("pages that take an entry of the TLB from each other, again and again, cost no others theirs", () => {
  const rig = rigWithGlobals();
  const { paging } = rig.cpu;
  access(rig, WRITE, DATA_AT + 0x1000);
  for (let i = 0; i < 20_000; i++) {
    assert(paging.fill(DATA_AT, 0, 1, false));
    assert(paging.fill(ALIAS + DATA_AT, 0, 1, false));
  }
  assertEquals(cached(rig, DATA_AT + 0x1000), [true, true]);
  access(rig, READ, ALIAS + DATA_AT);
  reloadCr3(rig);
  assertEquals(cached(rig, ALIAS + DATA_AT), [false, false]);
  assertEquals(cached(rig, DATA_AT + 0x1000), [true, true]);
  paging.flush();
  assertEquals(cached(rig, DATA_AT + 0x1000), [false, false]);
});

/** Writes a routine to a page that it writes to first, calls it, and changes it in between. */
const MODIFYING = code(
  "b9 c8 00 00 00 ; mov ecx, 200",
  "31 db ; xor ebx, ebx",
  "88 0e ; first: mov [rsi], cl", // fills the TLB
  "88 0f ; mov [rdi], cl",
  "ff c9 ; dec ecx",
  "75 f8 ; jnz first",
  "b9 c8 00 00 00 ; mov ecx, 200",
  "c7 06 80 c3 00 c3 ; mov dword [rsi], 'add bl, 0; ret'",
  "ff d6 ; again: call rsi",
  "88 4e 02 ; mov [rsi + 2], cl", // its immediate
  "88 0f ; mov [rdi], cl",
  "ff c9 ; dec ecx",
  "75 f5 ; jnz again",
  "f4 ; hlt",
);

for (const mmu of ["tdp", "shadow"] as const) {
  Deno.test(`code in a page that has been written before, ${mmu}: writes that the TLB knew change it`, () => {
    const { interpreted } = runBoth(MODIFYING, {
      engine: { mmu },
      state: (state) => {
        state.setGpr(Reg.RSI, CODE_DATA_AT);
        state.setGpr(Reg.RDI, CODE_DATA_AT + 0x1000);
      },
    });
    const sum = (200 * 201 / 2 - 1) & 255; // the last value has not been added
    assertEquals(interpreted.state.gpr(Reg.RBX) & 0xffn, BigInt(sum));
  });

  Deno.test(`code that is written through another mapping of its page, ${mmu}, is what has been written`, () => {
    const { interpreted } = runBoth(MODIFYING, {
      engine: { mmu },
      state: (state) => {
        state.setGpr(Reg.RSI, CODE_DATA_AT);
        state.setGpr(Reg.RDI, CODE_DATA_AT + 0x1002); // the immediate, too
      },
      memory: (memory) => mapPage(memory, CODE_DATA_AT + 0x1000, CODE_DATA_AT),
    });
    assertEquals(interpreted.state.gpr(Reg.RBX) & 0xffn, BigInt((200 * 201 / 2 - 1) & 255));
  });
}

/** WRPKRU. */
function setKeys(rig: SystemRig, pkru: number): void {
  rig.setGpr(Reg.RCX, 0);
  rig.setGpr(Reg.RDX, 0);
  rig.setGpr(Reg.RAX, pkru);
  assertEquals(rig.run("0f 01 ef"), NONE);
}

/** All pages have key 1; PKRU has two bits for each key, no access and no writes. */
function rigWithKeys(): SystemRig {
  const rig = rigWithAlias(1n);
  rig.setGpr(Reg.RAX, rig.get(Word.CR4) | BigInt(Cr4.PKE));
  assertEquals(rig.run("0f 22 e0"), NONE); // mov cr4, rax
  return rig;
}

Deno.test("PKRU decides anew over data that the TLB knew, and leaves code alone", () => {
  const rig = rigWithKeys();
  const page = rig.cpu.paging.codePage(CODE_AT, 0);
  assertEquals(access(rig, WRITE, DATA_AT), NONE);
  setKeys(rig, 1 << 2); // no access by key 1
  assertEquals([access(rig, READ, DATA_AT), rig.cpu.faultCode & 0x20], [Vector.PF, 0x20]);
  assertEquals(rig.cpu.paging.code.find(CODE_AT, 0, false), page);
  setKeys(rig, 0);
  assertEquals(access(rig, WRITE, DATA_AT), NONE);
  assertEquals(rig.cpu.paging.code.find(CODE_AT, 0, false), page);
});

Deno.test("a PKRU that stays as it was flushes nothing", () => {
  const rig = rigWithKeys();
  setKeys(rig, 3 << 8);
  access(rig, WRITE, DATA_AT);
  setKeys(rig, 3 << 8);
  assertEquals(cached(rig, DATA_AT), [true, true]);
  setKeys(rig, 3 << 6);
  assertEquals(cached(rig, DATA_AT), [false, false]);
});
