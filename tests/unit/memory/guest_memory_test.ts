import { assert, assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { gpa } from "../../../src/base/u64.ts";
import { GuestMemory, LOW_RAM_END } from "../../../src/memory/guest_memory.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function boundsError(fn: () => unknown): DenovisorError {
  const error = assertThrows(fn, DenovisorError);
  assertEquals(error.code, "memory-bounds");
  return error;
}

Deno.test("guest memory reads what it wrote, in every width, little-endian", () => {
  const memory = GuestMemory.allocate(MIB);
  memory.writeU64(gpa(8), 0x1122_3344_5566_7788n);
  assertEquals(memory.readU64(gpa(8)), 0x1122_3344_5566_7788n);
  assertEquals(memory.readU32(gpa(8)), 0x5566_7788);
  assertEquals(memory.readU16(gpa(8)), 0x7788);
  assertEquals(memory.readU8(gpa(8)), 0x88);
  memory.writeU32(gpa(8), 0xffff_fffe);
  memory.writeU16(gpa(12), 0xabcd);
  memory.writeU8(gpa(14), 0x7f);
  assertEquals(memory.readU64(gpa(8)), 0x117f_abcd_ffff_fffen);
  memory.writeU64(gpa(16), 2 ** 52 - 1);
  assertEquals(memory.readU53(gpa(16)), 2 ** 52 - 1);
});

Deno.test("guest memory throws outside RAM, at its last byte plus one and not before", () => {
  const memory = GuestMemory.allocate(MIB);
  memory.writeU8(gpa(MIB - 1), 1);
  memory.writeU64(gpa(MIB - 8), 1);
  for (const size of [1, 2, 4, 8] as const) {
    const at = gpa(MIB - size + 1);
    const read = { 1: "readU8", 2: "readU16", 4: "readU32", 8: "readU64" } as const;
    boundsError(() => memory[read[size]](at));
  }
  boundsError(() => memory.writeU8(gpa(MIB), 1));
  boundsError(() => memory.read(gpa(MIB - 4), new Uint8Array(5)));
  boundsError(() => memory.write(gpa(MIB - 4), new Uint8Array(5)));
  boundsError(() => memory.fill(gpa(MIB - 4), 5, 0));
  boundsError(() => memory.view(gpa(0), MIB + 1));
  const error = boundsError(() => memory.readU32(gpa(0x80_fee0_1000)));
  assertEquals(error.details, { address: 0x80_fee0_1000, length: 4 });
});

Deno.test("guest memory of more than 3 GiB goes on at 4 GiB, above the hole", () => {
  const memory = GuestMemory.allocate(LOW_RAM_END + 2 * MIB);
  assertEquals(memory.ramBytes, LOW_RAM_END + 2 * MIB);
  memory.writeU32(gpa(LOW_RAM_END - 4), 1);
  boundsError(() => memory.writeU32(gpa(LOW_RAM_END - 2), 1));
  boundsError(() => memory.readU32(gpa(LOW_RAM_END)));
  boundsError(() => memory.readU32(gpa(4 * GIB - 4)));
  memory.writeU32(gpa(4 * GIB), 0xdead_beef);
  memory.writeU32(gpa(4 * GIB + 2 * MIB - 4), 7);
  boundsError(() => memory.readU32(gpa(4 * GIB + 2 * MIB)));
  assertEquals(memory.readU32(gpa(0)), 0, "no alias at the low address");
  assertEquals(memory.readU32(gpa(4 * GIB)), 0xdead_beef);
});

Deno.test("guest memory larger than 4 GiB is one 64-bit memory", () => {
  const memory = GuestMemory.allocate(6 * GIB);
  const last = gpa(7 * GIB - 8);
  memory.writeU64(last, 0x0123_4567_89ab_cdefn);
  assertEquals(memory.readU64(last), 0x0123_4567_89ab_cdefn);
});

Deno.test("firmware ends at 4 GiB and is marked read-only", () => {
  const memory = GuestMemory.allocate(MIB, 256 * 1024);
  const rom = memory.regions.find((region) => region.readOnly)!;
  assertEquals(rom.gpa + rom.sizeBytes, 4 * GIB);
  memory.writeU8(gpa(4 * GIB - 16), 0xea);
  assertEquals(memory.readU8(gpa(4 * GIB - 16)), 0xea);
  assertEquals(memory.ramBytes, MIB);
});

Deno.test("find() gives the lowest match between its bounds, and none across a hole", () => {
  const memory = GuestMemory.allocate(MIB, 64 * 1024);
  const needle = new TextEncoder().encode("RSD PTR ");
  assertEquals(memory.find(needle), undefined);
  memory.write(gpa(0xe_0010), needle);
  memory.write(gpa(0xf_0000), needle);
  memory.write(gpa(MIB - 7), needle.subarray(0, 7));
  assertEquals<number | undefined>(memory.find(needle), 0xe_0010);
  assertEquals<number | undefined>(memory.find(needle, gpa(0xe_0011)), 0xf_0000);
  assertEquals(memory.find(needle, gpa(0), 0xe_0017), undefined);
  assertEquals<number | undefined>(memory.find(needle, gpa(0), 0xe_0018), 0xe_0010);
  assertEquals(memory.find(needle, gpa(0xf_0001)), undefined);
});

Deno.test("another worker's attachment sees the same bytes", () => {
  const memory = GuestMemory.allocate(MIB);
  const other = GuestMemory.attach({ ...memory.handle, regions: structuredClone(memory.regions) });
  other.writeU32(gpa(0x1000), 42);
  assertEquals(memory.readU32(gpa(0x1000)), 42);
});

Deno.test("allocate() refuses sizes it cannot give, naming them", () => {
  for (const bytes of [0, 100, -4096, 4097, 2 ** 40, NaN]) {
    const error = assertThrows(() => GuestMemory.allocate(bytes), DenovisorError);
    assertEquals(error.code, "memory-size");
    assert(error.message.includes(String(bytes)), error.message);
  }
});

Deno.test("extra regions lie where they were asked, in order, apart from RAM", () => {
  const extra = [
    { gpa: gpa(0x2_0000_1000), sizeBytes: 0x3000, readOnly: false },
    { gpa: gpa(0xd000_0000), sizeBytes: 0x1000, readOnly: true },
  ];
  const memory = GuestMemory.allocate(4 << 20, 0x1_0000, extra);
  const starts = memory.regions.map((region) => region.gpa);
  assertEquals(starts, [0, 0xd000_0000, 0xffff_0000, 0x2_0000_1000].map(gpa));
  for (const { gpa: start, sizeBytes, offset } of memory.regions.slice(1)) {
    memory.writeU8(start, start % 251);
    memory.writeU8(gpa(start + sizeBytes - 1), 7);
    assertEquals(memory.contains(start, sizeBytes + 1), false);
    // Where the host can map it with 2 MiB pages; firmware follows RAM at once.
    if (start < 0xffff_0000 || start > 0xffff_ffff) {
      assertEquals(offset % (2 << 20), start % (2 << 20));
    }
  }
  assertEquals(memory.readU8(gpa(0)), 0);
  assertEquals(memory.containsRam(0x2_0000_1000, 0x3000), true);
  assertEquals(memory.containsRam(0xd000_0000, 1), false);
});

Deno.test("extra regions that overlap or are not in pages are refused", () => {
  const allocate = (start: number, sizeBytes: number) =>
    assertThrows(
      () => GuestMemory.allocate(4 << 20, 0, [{ gpa: gpa(start), sizeBytes, readOnly: false }]),
      DenovisorError,
      "Cannot place",
    );
  for (
    const [start, sizeBytes] of [[0x3f_f000, 0x1000], [0x80_0800, 0x1000], [0x80_0000, 0x800], [
      0x80_0000,
      0,
    ]]
  ) {
    assertEquals(allocate(start, sizeBytes).code, "memslot");
  }
});

Deno.test("guest memory tells its listener where it has been written, in bytes of the memory", () => {
  const memory = GuestMemory.allocate(MIB, 65536);
  const told: number[][] = [];
  memory.watchWrites((offset, length) => told.push([offset, length]));
  memory.writeU8(gpa(1), 1);
  memory.writeU16(gpa(2), 1);
  memory.writeU32(gpa(4), 1);
  memory.writeU64(gpa(8), 1);
  memory.write(gpa(16), new Uint8Array(3));
  memory.fill(gpa(2 ** 32 - 65536), 5, 1);
  memory.readU64(gpa(8));
  boundsError(() => memory.writeU8(gpa(MIB), 1));
  assertEquals(told, [[1, 1], [2, 2], [4, 4], [8, 8], [16, 3], [MIB, 5]]);
});

Deno.test("guest memory tells its listener of other threads' writes when it is asked, once, in pages", () => {
  const memory = GuestMemory.allocate(MIB, 65536);
  const other = GuestMemory.attach(memory.handle);
  other.writeU8(gpa(0x9000), 1); // nobody listens yet
  const told: number[][] = [];
  memory.watchWrites((offset, length) => told.push([offset, length]));
  memory.takeWrites();
  other.write(gpa(0x1fff), new Uint8Array(0x1002));
  other.writeU64(gpa(0x2_0000), 1);
  other.fill(gpa(2 ** 32 - 1), 1, 1);
  other.write(gpa(0x5000), new Uint8Array(0));
  other.readU8(gpa(0x6000));
  assertEquals(told, []);
  memory.takeWrites();
  assertEquals(
    told,
    [0x1000, 0x2000, 0x3000, 0x2_0000, MIB + 65536 - 4096].map((page) => [page, 4096]),
  );
  memory.takeWrites();
  assertEquals(told.length, 5);
});
