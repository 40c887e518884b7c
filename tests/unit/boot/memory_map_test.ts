import { assertEquals } from "@std/assert";
import { gpa } from "../../../src/base/u64.ts";
import { MapType, memoryMap, ramMap } from "../../../src/boot/memory_map.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Start, end and type of every entry, in hexadecimal. */
function lines(memory: GuestMemory, reserved: { start: number; sizeBytes: number }[] = []) {
  return memoryMap(memory, reserved).map(({ start, sizeBytes, type }) =>
    `${start.toString(16)}-${(start + sizeBytes).toString(16)} ${type}`
  );
}

Deno.test("memory map keeps the EBDA and the BIOS area from a guest's RAM", () => {
  assertEquals(lines(GuestMemory.allocate(32 * MIB)), [
    "0-9fc00 1",
    "9fc00-100000 2",
    "100000-2000000 1",
  ]);
});

Deno.test("memory map has the hole below 4 GiB, firmware, KVM's pages and RAM above", () => {
  const memory = GuestMemory.allocate(5 * GIB, 256 * 1024);
  assertEquals(lines(memory, [{ start: gpa(0xfeff_c000), sizeBytes: 0x4000 }]), [
    "0-9fc00 1",
    "9fc00-100000 2",
    "100000-c0000000 1",
    "feffc000-ff000000 2",
    "fffc0000-100000000 2",
    "100000000-180000000 1",
  ]);
});

Deno.test("memory map takes reserved ranges out of RAM, overlapping and touching ones as one", () => {
  const reserved = [
    { start: 0x30_0000, sizeBytes: 0x1000 },
    { start: 0x20_0000, sizeBytes: 0x8000 },
    { start: 0x20_1000, sizeBytes: 0x2000 },
    { start: 0x20_8000, sizeBytes: 0x1000 },
    { start: 0x50_0000, sizeBytes: 0 },
  ];
  assertEquals(lines(GuestMemory.allocate(8 * MIB), reserved).slice(2), [
    "100000-200000 1",
    "200000-209000 2",
    "209000-300000 1",
    "300000-301000 2",
    "301000-800000 1",
  ]);
});

Deno.test("memory map of a guest without a full megabyte has no RAM above it", () => {
  assertEquals(lines(GuestMemory.allocate(64 * 1024)), ["0-10000 1", "9fc00-100000 2"]);
  assertEquals(lines(GuestMemory.allocate(MIB)), ["0-9fc00 1", "9fc00-100000 2"]);
});

Deno.test("RAM map for firmware has all RAM and nothing else", () => {
  assertEquals(ramMap(GuestMemory.allocate(5 * GIB, 128 * 1024)), [
    { start: 0, sizeBytes: 3 * GIB, type: MapType.RAM },
    { start: 4 * GIB, sizeBytes: 2 * GIB, type: MapType.RAM },
  ]);
});
