import { assertEquals } from "@std/assert";
import { PAGE_AT, SimdRig } from "./simd_rig.ts";

const CF = 1, ZF = 64, SF = 128, OF = 0x800;
// Bits of the immediate.
const WORDS = 1, SIGNED = 2, RANGES = 4, EACH = 8, ORDERED = 12;
const NEGATIVE = 16, MASKED = 32, MOST = 64;

function setText(rig: SimdRig, register: number, text: string): void {
  rig.xmm(register).fill(0);
  rig.xmm(register).set(new TextEncoder().encode(text));
}

/** pcmpistri xmm1, xmm2: the index and the flags. */
function find(needle: string, text: string, control: number): [number, number] {
  const rig = new SimdRig();
  setText(rig, 1, needle);
  setText(rig, 2, text);
  rig.setGpr(1, -1);
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x63, 0xca, control), -1);
  return [Number(rig.gpr(1)), rig.cpu.statusFlags];
}

Deno.test("equal any finds the first or last character of a set", () => {
  assertEquals(find("aeiou", "strength and", 0), [3, CF | ZF | SF]);
  assertEquals(find("aeiou", "strength and", MOST), [9, CF | ZF | SF]);
  assertEquals(find("xyz", "strength and", 0), [16, ZF | SF]);
  assertEquals(find("s", "sixteen letters!", 0), [0, CF | SF | OF]);
});

Deno.test("ranges match from even to odd elements, signed or not", () => {
  assertEquals(find("azAZ", "12 Bottles", RANGES), [3, CF | ZF | SF]);
  assertEquals(find("azA", "12 BOTTLE", RANGES), [16, ZF | SF]); // the last has no partner
  const rig = new SimdRig();
  rig.setHex(1, "80ff" + "00".repeat(14)); // -128 to -1, or 128 to 255
  rig.setHex(2, "0590" + "00".repeat(14));
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x63, 0xca, RANGES | SIGNED), -1);
  assertEquals(rig.gpr(1), 1n);
});

Deno.test("equal each compares element by element; behind both ends all are equal", () => {
  assertEquals(find("needle", "needed", EACH | NEGATIVE), [4, CF | ZF | SF]);
  assertEquals(find("same", "same", EACH | NEGATIVE), [16, ZF | SF]);
  assertEquals(find("same", "samen", EACH | NEGATIVE), [4, CF | ZF | SF]);
  assertEquals(find("abc", "abcdef", EACH | NEGATIVE | MASKED), [3, CF | ZF | SF]);
});

Deno.test("equal ordered finds a substring, or the beginning of one at the end", () => {
  assertEquals(find("the", "in the end", ORDERED), [3, CF | ZF | SF]);
  assertEquals(find("the", "sixteen chars. t", ORDERED), [15, CF | SF]);
  assertEquals(find("the", "sixteen chars t", ORDERED), [16, ZF | SF]);
  assertEquals(find("", "anything", ORDERED), [0, CF | ZF | SF | OF]);
});

Deno.test("masked negation leaves elements behind the end alone", () => {
  assertEquals(find("abc", "aXbYc", NEGATIVE | MASKED | MOST), [3, CF | ZF | SF]);
  assertEquals(find("abc", "aXbYc", NEGATIVE | MOST), [15, CF | ZF | SF]);
});

Deno.test("explicit lengths are the absolute values of EAX and EDX, at most a register's elements", () => {
  const rig = new SimdRig();
  const compare = (eax: bigint, edx: bigint, ...code: number[]) => {
    rig.setHex(1, "61".repeat(16));
    rig.setHex(2, "00616161" + "61".repeat(12));
    rig.setGpr(0, eax);
    rig.setGpr(2, edx);
    assertEquals(rig.run(...code), -1);
    return [Number(rig.gpr(1)), rig.cpu.statusFlags];
  };
  const pcmpestri = [0x66, 0x0f, 0x3a, 0x61, 0xca, 0];
  assertEquals(compare(1n, 1n, ...pcmpestri), [16, ZF | SF]);
  assertEquals(compare(-1n, -2n, ...pcmpestri), [1, CF | ZF | SF]);
  assertEquals(compare(100n, -0x8000_0000n, ...pcmpestri), [1, CF]);
  assertEquals(compare(0n, 16n, ...pcmpestri), [16, SF]);
  // Only REX.W takes RAX and RDX whole.
  assertEquals(compare(1n << 32n, 16n, ...pcmpestri), [16, SF]);
  assertEquals(compare(1n << 32n, 16n, 0x66, 0x48, 0x0f, 0x3a, 0x61, 0xca, 0), [1, CF]);
});

Deno.test("the mask forms give bits or whole elements in XMM0", () => {
  const rig = new SimdRig();
  const mask = (control: number) => {
    setText(rig, 1, "ab");
    setText(rig, 2, "xaxb");
    rig.xmm(0).fill(0x55);
    assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x62, 0xca, control), -1);
    return rig.hex(0);
  };
  assertEquals(mask(0), "0a" + "00".repeat(15));
  assertEquals(mask(MOST), "00ff00ff" + "00".repeat(12));
  rig.setHex(1, "3412" + "00".repeat(14));
  rig.setHex(2, "00013412ffff3412" + "00".repeat(8));
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x62, 0xca, WORDS | MOST), -1);
  assertEquals(rig.hex(0), "0000ffff0000ffff" + "00".repeat(8));
});

Deno.test("a string in memory need not be aligned", () => {
  const rig = new SimdRig();
  setText(rig, 1, "q");
  rig.page.set(new TextEncoder().encode("for a queue"), 3);
  rig.setGpr(7, PAGE_AT + 3);
  assertEquals(rig.run(0x66, 0x0f, 0x3a, 0x63, 0x0f, 0), -1);
  assertEquals(rig.gpr(1), 6n);
});
