import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg } from "../../../../../src/cpu/state.ts";
import { Flag, Word } from "../../../../../src/engine/wasm/cpu.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { IntegerRig } from "../../../../support/integer_rig.ts";
import { Random, seed } from "../../../../support/random.ts";
import { CODE_AT, DATA_AT, NONE } from "../../../../support/system_rig.ts";

/** The last page that is mapped: no RAM, so that its accesses are made one by one. */
const LAST_PAGE = 0x3fff_f000;

/** A 64-bit guest with RSI, RDI and RCX set. */
function rigFor(rsi: number, rdi: number, rcx: number | bigint, down = false): IntegerRig {
  const rig = new IntegerRig("long64");
  rig.setGpr(Reg.RSI, rsi);
  rig.setGpr(Reg.RDI, rdi);
  rig.setGpr(Reg.RCX, rcx);
  if (down) rig.cpu.s[Word.RFLAGS] |= Flag.DF;
  return rig;
}

/** RSI, RDI and RCX. */
function pointers(rig: IntegerRig): bigint[] {
  return [rig.gpr(Reg.RSI), rig.gpr(Reg.RDI), rig.gpr(Reg.RCX)];
}

/** Runs a string instruction until RIP is past it; how many times it was entered, or the vector. */
function finish(rig: IntegerRig, code: string): { entries: number; vector: number } {
  const { s } = rig.cpu;
  for (let entries = 1;; entries++) {
    s[Word.RIP] = CODE_AT;
    const vector = rig.run(code);
    if (vector !== NONE || s[Word.RIP] !== CODE_AT) return { entries, vector };
  }
}

Deno.test("REP MOVS of all sizes, directions and overlaps copies element by element", () => {
  const random = new Random(seed(21));
  const memory = new Uint8Array(0x6000);
  for (let round = 0; round < 300; round++) {
    const size = random.pick([1, 2, 4, 8] as const);
    const down = random.oneIn(3);
    const count = random.below(random.pick([4, 40, 1200]));
    const from = 0x2800 + random.below(0x1000);
    // Near, so that they overlap, or a page or so away.
    const to = from + random.pick([0, 1, size, -1, -size, random.below(0x2000) - 0x1000]);
    const rig = rigFor(DATA_AT + from, DATA_AT + to, count, down);
    const bytes = random.bytes(memory.length);
    rig.memory.write(gpa(DATA_AT), bytes);
    memory.set(bytes);
    const step = down ? -size : size;
    for (let i = 0; i < count; i++) {
      const at = from + i * step;
      memory.set(memory.slice(at, at + size), to + i * step);
    }
    const prefix = size === 2 ? "66 " : size === 8 ? "48 " : "";
    const rep = random.pick(["f3", "f2"]);
    const code = size === 2 ? `${prefix}${rep} a5` : `${rep} ${prefix}${size === 1 ? "a4" : "a5"}`;
    const what = `seed ${random.seed}, round ${round}: ${code}`;
    assertEquals(finish(rig, code).vector, NONE, what);
    assertEquals(
      pointers(rig),
      [DATA_AT + from + count * step, DATA_AT + to + count * step, 0].map(BigInt),
      what,
    );
    assertEquals(rig.memory.view(gpa(DATA_AT), memory.length).slice(), memory, what);
  }
});

Deno.test("REP STOS fills with what AL, AX, EAX or RAX has, over pages and backwards", () => {
  for (
    const [code, size] of [["f3 aa", 1], ["66 f3 ab", 2], ["f3 ab", 4], ["f3 48 ab", 8]] as const
  ) {
    for (const down of [false, true]) {
      const count = 1111;
      const at = DATA_AT + 0x3003;
      const rig = rigFor(0, at, count, down);
      rig.setGpr(Reg.RAX, 0x1122_3344_5566_7788n);
      assertEquals(finish(rig, code).vector, NONE);
      const first = down ? at - (count - 1) * size : at;
      const image = [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11].slice(0, size);
      const bytes = rig.memory.view(gpa(first - 1), count * size + 2).slice();
      const expected = new Uint8Array(count * size + 2);
      for (let i = 0; i < count * size; i++) expected[i + 1] = image[i % size];
      assertEquals(bytes, expected, code);
      assertEquals(rig.gpr(Reg.RDI), BigInt(at + (down ? -1 : 1) * count * size));
    }
  }
});

Deno.test("a fault in the middle leaves registers at the repetition that failed", () => {
  const rig = rigFor(DATA_AT, LAST_PAGE + 0x1000 - 24, 10);
  assertEquals(finish(rig, "f3 48 a5").vector, Vector.PF);
  assertEquals(pointers(rig), [DATA_AT + 24, 0x4000_0000, 7].map(BigInt));
  assertEquals(rig.get(Word.CR2), 0x4000_0000n);
  assertEquals(rig.cpu.s[Word.RIP], CODE_AT);
  assertEquals(rig.bus.log.filter((line) => line.startsWith("mmio write")).length, 3);
});

Deno.test("a call makes no more repetitions than the budget allows, and each counts", () => {
  const rig = rigFor(DATA_AT, DATA_AT + 0x8000, 5000);
  rig.cpu.repeats = 0;
  rig.memory.write(gpa(CODE_AT), Uint8Array.of(0xf3, 0xa4, 0xf4));
  rig.cpu.s[Word.RIP] = CODE_AT;
  const before = rig.engine.retired;
  rig.engine.run(1000);
  assertEquals(rig.engine.retired - before, 1000);
  assertEquals(pointers(rig), [DATA_AT + 1000, DATA_AT + 0x8000 + 1000, 4000].map(BigInt));
  assertEquals(rig.cpu.s[Word.RIP], CODE_AT);
  rig.engine.run(100_000);
  assertEquals(rig.engine.retired - before, 5001); // HLT is the last
  assertEquals(rig.gpr(Reg.RCX), 0n);
});

Deno.test("REPE CMPS stops behind the first difference, REPNE SCAS behind the first match", () => {
  const rig = rigFor(DATA_AT, DATA_AT + 0x100, 16);
  rig.memory.write(gpa(DATA_AT), new TextEncoder().encode("hypervisor"));
  rig.memory.write(gpa(DATA_AT + 0x100), new TextEncoder().encode("hyperdrive"));
  assertEquals(finish(rig, "f3 a6").vector, NONE);
  assertEquals(pointers(rig), [DATA_AT + 6, DATA_AT + 0x106, 10].map(BigInt));
  assertEquals(rig.flagsBut("ap"), ""); // "v" - "d"
  rig.setGpr(Reg.RDI, DATA_AT);
  rig.setGpr(Reg.RCX, -1n);
  rig.setGpr(Reg.RAX, "s".charCodeAt(0));
  assertEquals(finish(rig, "f2 ae").vector, NONE);
  assertEquals(rig.gpr(Reg.RDI), BigInt(DATA_AT + 8));
  assertEquals(rig.gpr(Reg.RCX), 2n ** 64n - 9n);
  assertEquals(rig.flagsBut(), "zp");
});

Deno.test("with a count of 0 nothing is accessed and no flag changes", () => {
  const rig = rigFor(-1, -1, 0);
  rig.setFlags("osapc");
  for (const code of ["f3 a4", "f3 aa", "f3 ac", "f3 a6", "f2 ae"]) {
    assertEquals(finish(rig, code).vector, NONE, code);
  }
  assertEquals(rig.flagsBut(), "osapc");
  assertEquals(pointers(rig), [2n ** 64n - 1n, 2n ** 64n - 1n, 0n]);
});

Deno.test("the address size cuts pointers and count, and clears upper halves at 32 bits", () => {
  const rig = rigFor(0, 0, 0);
  rig.setGpr(Reg.RSI, 0x7_0000_0000n + BigInt(DATA_AT));
  rig.setGpr(Reg.RDI, 0x7_0000_0000n + BigInt(DATA_AT + 0x100));
  rig.setGpr(Reg.RCX, 0x7_0000_0002n);
  rig.poke(DATA_AT, 16, 0xbeef);
  assertEquals(finish(rig, "67 f3 a4").vector, NONE);
  assertEquals(pointers(rig), [DATA_AT + 2, DATA_AT + 0x102, 0].map(BigInt));
  assertEquals(rig.peek(DATA_AT + 0x100, 16), 0xbeefn);
});

Deno.test("16-bit pointers wrap at 64 KiB and keep the registers' upper parts", () => {
  const rig = new IntegerRig("real");
  rig.setGpr(Reg.RSI, 0x5_fffe);
  rig.setGpr(Reg.RDI, 0x6_4000);
  rig.setGpr(Reg.RCX, 0x7_0003);
  rig.poke(0xfffe, 16, 0x2211);
  rig.poke(0, 8, 0x33);
  assertEquals(finish(rig, "f3 a4").vector, NONE);
  assertEquals(pointers(rig), [0x5_0001n, 0x6_4003n, 0x7_0000n]);
  assertEquals(rig.peek(0x4000, 32), 0x33_2211n);
});

Deno.test("LODS and single MOVS take a segment override for the source alone", () => {
  const rig = rigFor(0x40, DATA_AT, 0);
  rig.set(Word.SEGMENTS + 4 * 4, DATA_AT + 0x1000); // FS.base
  rig.poke(DATA_AT + 0x1040, 64, 0x0102_0304_0506_0708n);
  assertEquals(finish(rig, "64 48 a5").vector, NONE);
  assertEquals(rig.peek(DATA_AT, 64), 0x0102_0304_0506_0708n);
  rig.setGpr(Reg.RSI, 0x40);
  rig.setGpr(Reg.RAX, -1n);
  assertEquals(finish(rig, "64 ad").vector, NONE);
  assertEquals([rig.gpr(Reg.RAX), rig.gpr(Reg.RSI)], [0x0506_0708n, 0x44n]);
});

Deno.test("REP CMPS, SCAS and LODS of all sizes end where element by element they would", () => {
  const random = new Random(seed(22));
  const memory = new Uint8Array(0x6000);
  const view = new DataView(memory.buffer);
  const element = (at: number, size: number) => {
    const all = view.getBigUint64(at, true);
    return BigInt.asUintN(size * 8, all);
  };
  for (let round = 0; round < 300; round++) {
    const size = random.pick([1, 2, 4, 8] as const);
    const opcode = random.pick(["a6", "ae", "ac"]);
    const repeatWhileEqual = random.oneIn(2);
    const step = random.oneIn(4) ? -size : size;
    const count = 1 + random.below(random.pick([3, 40, 1200]));
    const from = 0x2800 + random.below(0x1000);
    const to = 0x2800 + random.below(0x1000);
    // Long runs of what goes on, whatever is compared with what.
    memory.fill(repeatWhileEqual ? 0 : 0x11);
    const rax = repeatWhileEqual ? 0n : 0x22n;
    if (!repeatWhileEqual && opcode === "a6") memory.fill(0x22, to & ~0xff);
    for (let i = random.below(4); i > 0; i--) memory[random.below(memory.length)] = 0x22;
    const rig = rigFor(DATA_AT + from, DATA_AT + to, count, step < 0);
    rig.setGpr(Reg.RAX, rax);
    rig.memory.write(gpa(DATA_AT), memory);

    const compares = opcode !== "ac";
    let done = 0;
    let a = rax;
    let b = 0n;
    do {
      if (opcode !== "ae") a = element(from + done * step, size);
      b = element(to + done * step, size);
      done++;
    } while (done < count && (!compares || (a === b) === repeatWhileEqual));

    const byte = (parseInt(opcode, 16) | (size === 1 ? 0 : 1)).toString(16);
    const rep = repeatWhileEqual ? "f3" : "f2";
    const code = size === 2 ? `66 ${rep} ${byte}` : `${rep} ${size === 8 ? "48 " : ""}${byte}`;
    const what = `seed ${random.seed}, round ${round}: ${code}, ${count} times`;
    assertEquals(finish(rig, code).vector, NONE, what);
    const moved = BigInt(done * step);
    assertEquals(
      pointers(rig),
      [
        BigInt(DATA_AT + from) + (opcode === "ae" ? 0n : moved),
        BigInt(DATA_AT + to) + (compares ? moved : 0n),
        BigInt(count - done),
      ],
      what,
    );
    const { cf, zero } = rig.cpu;
    if (compares) assertEquals([cf === 1, zero === 0], [a < b, a === b], what);
    else assertEquals(BigInt.asUintN(size * 8, rig.gpr(Reg.RAX)), a, what);
  }
});
