import { assertEquals, assertRejects, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { DenovisorError } from "../../../src/base/errors.ts";
import { undoX86Filter } from "../../../src/boot/unpack/bcj_x86.ts";
import { unpackKernel } from "../../../src/boot/unpack/unpack.ts";
import { unlz4 } from "../../../src/boot/unpack/lz4.ts";
import { unxz } from "../../../src/boot/unpack/xz.ts";
import { bzImage, type BzImageOptions, elf } from "../../support/images.ts";
import { packedKernel, unpackedKernel } from "../../support/packed_kernels.ts";
import { Random, seed } from "../../support/random.ts";
import { programs, testWith } from "../../support/requirement.ts";

const KERNEL = unpackedKernel();

/** `packed` with the unpacked size behind it, as Linux' build puts it there. */
function sized(packed: Uint8Array, sizeBytes = KERNEL.length): Uint8Array {
  const payload = new Uint8Array(packed.length + 4);
  payload.set(packed);
  new DataView(payload.buffer).setUint32(packed.length, sizeBytes, true);
  return payload;
}

function unpack(payload: Uint8Array, options: BzImageOptions = {}): Promise<Uint8Array> {
  return unpackKernel({ name: "vmlinuz", bytes: bzImage({ payload, ...options }) });
}

async function refusal(payload: Uint8Array, options: BzImageOptions = {}): Promise<string> {
  const error = await assertRejects(() => unpack(payload, options), DenovisorError);
  assertStrictEquals(error.code, "image", error.message);
  assertStrictEquals(error.message.includes("\n"), false, "the message is one line");
  return error.message;
}

const PAYLOADS = {
  gzip: new Uint8Array(gzipSync(KERNEL)),
  lz4: sized(packedKernel("lz4")),
  zstd: sized(packedKernel("zstd")),
  xz: sized(packedKernel("xz")),
  "xz with the x86 filter": sized(packedKernel("xzX86")),
};

for (const [format, payload] of Object.entries(PAYLOADS)) {
  Deno.test(`unpackKernel gives the ELF file that is packed with ${format}`, async () => {
    assertEquals(await unpack(payload), KERNEL);
  });

  Deno.test(`unpackKernel refuses ${format} data cut off anywhere`, async () => {
    // The size stays at the end: only the data before it is short.
    const size = payload.subarray(payload.length - 4);
    for (let length = 8; length < payload.length - 4; length += 7) {
      const cut = Uint8Array.from([...payload.subarray(0, length), ...size]);
      assertStringIncludes(await refusal(cut), "Cannot unpack vmlinuz: its", `${length} bytes`);
    }
  });

  Deno.test(`unpackKernel refuses ${format} data whose size is one off`, async () => {
    for (const by of [-1, 1]) {
      const wrong = Uint8Array.from([...payload.subarray(0, -4), ...new Uint8Array(4)]);
      new DataView(wrong.buffer).setUint32(wrong.length - 4, KERNEL.length + by, true);
      assertStringIncludes(await refusal(wrong), "payload is damaged");
    }
  });
}

Deno.test("unpackKernel gives a payload that is not packed as it is", async () => {
  assertEquals(await unpack(elf()), elf());
});

Deno.test("unpackKernel names the formats that it does not unpack", async () => {
  assertEquals(
    await refusal(new TextEncoder().encode("BZh91AY&SY")),
    "Cannot unpack vmlinuz: its payload is bzip2, expected gzip, lz4, zstd or xz",
  );
  assertStringIncludes(await refusal(Uint8Array.of(0x5d, 0, 0, 0, 2, 0, 0, 0)), "is lzma");
  assertStringIncludes(await refusal(Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, 0, 0, 0, 0)), "is lzo");
  assertStringIncludes(await refusal(new Uint8Array(8).fill(0xab)), "payload is ab ab ab ab,");
});

Deno.test("unpackKernel refuses what is not an ELF file inside", async () => {
  assertEquals(
    await refusal(new Uint8Array(gzipSync(new Uint8Array(100)))),
    "Cannot unpack vmlinuz: its gzip payload is not an ELF file",
  );
});

Deno.test("unpackKernel refuses a size of 0 and one above 1 GiB", async () => {
  const packed = packedKernel("lz4");
  assertStringIncludes(await refusal(sized(packed, 0)), "unpacks to 0, expected 1 to 1073741824");
  assertStringIncludes(await refusal(sized(packed, 2 ** 30 + 1)), "unpacks to 1073741825");
});

Deno.test("unpackKernel checks the payload against the code", async () => {
  const payload = PAYLOADS.lz4;
  const room = 0x1000 - payload.length;
  await unpack(payload, { payloadOffset: room, codeBytes: 0x1000 });
  assertStringIncludes(
    await refusal(payload, {
      payloadOffset: room,
      codeBytes: 0x1000,
      payloadLength: payload.length + 1,
    }),
    `its payload has ${payload.length + 1} bytes at offset ${room}`,
  );
  assertStringIncludes(await refusal(payload, { payloadLength: 7 }), "names no payload");
  await unpack(payload, { version: 0x208 });
  assertStringIncludes(
    await refusal(payload, { version: 0x207 }),
    "version 0x207) names no payload",
  );
});

Deno.test("unpackKernel refuses what is no bzImage", async () => {
  const error = await assertRejects(
    () => unpackKernel({ name: "vmlinux", bytes: elf() }),
    DenovisorError,
  );
  assertStrictEquals(error.message, "Cannot unpack vmlinux: it is not a Linux bzImage");
});

Deno.test("xz data whose checksum is wrong is refused, x86 filter or not", async () => {
  for (const format of ["xz", "xzX86"] as const) {
    const packed = packedKernel(format);
    // The check is the last word before the index, whose size the footer has.
    const index = (new DataView(packed.buffer).getUint32(packed.length - 8, true) + 1) * 4;
    packed[packed.length - 12 - index - 1] ^= 1;
    await assertRejects(() => unxz(packed, KERNEL.length), Error);
  }
});

Deno.test("an lz4 match may overlap itself, and may not start before its block", async () => {
  // A literal "a", a match of 4 + 9 bytes one byte back, and the last literal.
  const block = (distance: number) => [0x19, 0x61, distance, 0, 0x10, 0x62];
  const frame = (body: number[]) =>
    Uint8Array.from([0x02, 0x21, 0x4c, 0x18, body.length, 0, 0, 0, ...body]);
  assertEquals(await unlz4(frame(block(1)), 15), new TextEncoder().encode("aaaaaaaaaaaaaab"));
  await assertRejects(
    () => unlz4(frame(block(2)), 15),
    Error,
    "a match 2 bytes back, 1 bytes into",
  );
  await assertRejects(() => unlz4(frame(block(0)), 15), Error, "a match 0 bytes back");
  await assertRejects(() => unlz4(frame(block(1)), 13), Error, "a match run over the end");
  await assertRejects(() => unlz4(frame(block(1)), 14), Error, "literals run over the end");
  await assertRejects(() => unlz4(frame(block(1)), 16), Error, "unpacks to 15 bytes and names 16");
});

Deno.test("lz4 lengths of 15 and more go on in the bytes that follow", async () => {
  const frame = (body: number[]) =>
    Uint8Array.from([0x02, 0x21, 0x4c, 0x18, body.length & 255, body.length >> 8, 0, 0, ...body]);
  for (const more of [0, 1, 254, 255, 256, 510, 600]) {
    const bytes = [...new Array(Math.floor(more / 255)).fill(255), more % 255];
    const literals = Array.from({ length: 15 + more }, (_, i) => i % 251);
    // The literals, and a match as long as 4 more of them, from their start on.
    const block = [
      0xff,
      ...bytes,
      ...literals,
      literals.length & 255,
      literals.length >> 8,
      ...bytes,
    ];
    const expected = Uint8Array.from([...literals, ...literals, ...literals.slice(0, 4)]);
    assertEquals(await unlz4(frame(block), expected.length), expected, `${more} more`);
  }
});

Deno.test("an lz4 block unpacks to at most 8 MiB", async () => {
  // A literal, and a match one byte back for the rest.
  const ofBytes = (sizeBytes: number) => {
    const more = sizeBytes - 1 - 4 - 15;
    const bytes = [...new Array(Math.floor(more / 255)).fill(255), more % 255];
    const frame = Uint8Array.from([0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 0, 0x1f, 0x61, 1, 0, ...bytes]);
    new DataView(frame.buffer).setUint32(4, frame.length - 8, true);
    return frame;
  };
  const limit = 8 * 2 ** 20;
  const unpacked = await unlz4(ofBytes(limit), limit);
  assertStrictEquals(unpacked.every((byte) => byte === 0x61), true);
  await assertRejects(
    () => unlz4(ofBytes(limit + 1), limit + 1),
    Error,
    "a match run over the end",
  );
});

Deno.test("lz4 frames of several blocks unpack in a row", async () => {
  const literal = (char: number) => [2, 0, 0, 0, 0x10, char];
  const frame = Uint8Array.from([0x02, 0x21, 0x4c, 0x18, ...literal(0x61), ...literal(0x62)]);
  assertEquals(await unlz4(frame, 2), new TextEncoder().encode("ab"));
});

Deno.test("the x86 filter is undone for a call, a jump, and not across the end", () => {
  // call +0x10 at 0 and jmp -2 at 5, as absolute targets; the last e8 has no room for a target.
  const code = Uint8Array.of(0xe8, 0x15, 0, 0, 0, 0xe9, 0x08, 0, 0, 0, 0xe8, 0, 0, 0);
  undoX86Filter(code);
  assertEquals([...code], [0xe8, 0x10, 0, 0, 0, 0xe9, 0xfe, 0xff, 0xff, 0xff, 0xe8, 0, 0, 0]);
});

testWith(programs("xz"), "the x86 filter is undone as the xz program applies it", async () => {
  const random = new Random(seed(0x86));
  const code = Uint8Array.from(
    { length: 200_000 },
    () => random.pick([0xe8, 0xe9, 0, 0, 0xff, 0xff, 1, random.below(256)]),
  );
  const pack = new Deno.Command("xz", {
    args: ["-c", "-1", "--check=crc32", "--x86", "--lzma2=preset=0"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = pack.stdin.getWriter();
  await Promise.all([
    writer.write(code).then(() => writer.close()),
    pack.output().then(async ({ stdout }) => {
      const unpacked = await unxz(stdout, code.length);
      assertStrictEquals(unpacked.every((byte, i) => byte === code[i]), true, `${random.seed}`);
    }),
  ]);
});
