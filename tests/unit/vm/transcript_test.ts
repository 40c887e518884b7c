import { assert, assertEquals } from "@std/assert";
import { Random, seed } from "../../support/random.ts";
import { Transcript, type TranscriptReader } from "../../../src/vm/transcript.ts";

const LIMIT = 16 * 1024;

Deno.test("a transcript without readers keeps its latest bytes", () => {
  const transcript = new Transcript(LIMIT);
  for (let i = 0; i < 5; i++) transcript.append(new Uint8Array(LIMIT / 2).fill(i));
  assertEquals([transcript.start, transcript.end], [LIMIT * 1.5, LIMIT * 2.5]);
  const kept = transcript.slice(0);
  assertEquals([kept.length, kept[0], kept.at(-1)], [LIMIT, 3, 4]);
  assertEquals(transcript.room, LIMIT);
});

Deno.test("a transcript starts at 0 until something is dropped", () => {
  const transcript = new Transcript(LIMIT);
  transcript.append(Uint8Array.of(1, 2));
  assertEquals([transcript.start, transcript.end, transcript.slice(0).length], [0, 2, 2]);
});

Deno.test("a piece longer than a transcript leaves its end", () => {
  const transcript = new Transcript(LIMIT);
  transcript.append(Uint8Array.from({ length: LIMIT + 7 }, (_, i) => i));
  assertEquals([transcript.start, transcript.slice(0).length], [7, LIMIT]);
  assertEquals(transcript.slice(0)[0], 7);
});

Deno.test("what a reader still has to read is kept beyond the limit", async () => {
  const transcript = new Transcript(LIMIT);
  const reader = transcript.reader();
  transcript.append(new Uint8Array(LIMIT).fill(1));
  assertEquals(transcript.room, 0);
  transcript.append(new Uint8Array(LIMIT).fill(2)); // the guest's last words do not wait for room
  transcript.finish();
  const read = await drain(reader);
  assertEquals([read.length, read[0], read.at(-1)], [2 * LIMIT, 1, 2]);
});

Deno.test("a reader that has gone keeps nothing", () => {
  const transcript = new Transcript(LIMIT);
  const reader = transcript.reader();
  transcript.append(new Uint8Array(LIMIT));
  reader.detach();
  assertEquals(transcript.room, LIMIT);
});

Deno.test("readers of any pace get the same bytes", async () => {
  const random = new Random(seed(0x7a11));
  const message = random.bytes(300_000);
  const transcript = new Transcript(LIMIT);
  const readers = Array.from({ length: 3 }, () => drain(transcript.reader(), random));
  for (let at = 0; at < message.length;) {
    await transcript.hasRoom();
    const length = Math.min(1 + random.below(5000), transcript.room, message.length - at);
    transcript.append(message.subarray(at, at + length));
    at += length;
  }
  transcript.finish();
  for (const read of await Promise.all(readers)) {
    assertEquals(read.length, message.length, `seed ${random.seed}`);
    assert(message.every((byte, i) => read[i] === byte), `seed ${random.seed}`);
  }
});

/** All bytes of a reader, which sometimes takes its time. */
async function drain(reader: TranscriptReader, random?: Random): Promise<Uint8Array> {
  const all: number[] = [];
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    for (const byte of chunk) all.push(byte);
    if (random?.oneIn(4)) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return Uint8Array.from(all);
}
