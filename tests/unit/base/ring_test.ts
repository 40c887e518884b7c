import { assert, assertEquals, assertThrows } from "@std/assert";
import { createRing, RingReader, RingWriter } from "../../../src/base/ring.ts";
import { Random, seed } from "../../support/random.ts";

Deno.test("a ring is a power of two from 16 bytes on", () => {
  for (const wrong of [0, 8, 15, 17, 24, 2 ** 31, NaN]) {
    assertThrows(() => createRing(wrong), RangeError, "power of two");
  }
  assertEquals(new RingReader(createRing(16)).capacity, 16);
});

Deno.test("a ring gives back bytes in order and takes no more than it holds", () => {
  const { writer, reader } = pair(16);
  assertEquals(writer.writeSome(sequence(0, 20)), 16);
  assertEquals(writer.writeSome(sequence(16, 4)), 0);
  assertEquals(reader.readByte(), 0);
  assertEquals(writer.writeSome(sequence(16, 4)), 1);
  const rest = new Uint8Array(32);
  assertEquals(reader.read(rest), 16);
  assertEquals(rest.subarray(0, 16), sequence(1, 16));
  assertEquals(reader.readByte(), -1);
  assertEquals(reader.read(rest), 0);
});

Deno.test("ring counters run over 2^32 without losing a byte", () => {
  const memory = createRing(16);
  new Int32Array(memory).fill(-5, 0, 2); // head and tail, five bytes before the wrap
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const got = new Uint8Array(16);
  for (let round = 0; round < 4; round++) {
    assertEquals(writer.writeSome(sequence(round, 16)), 16);
    assertEquals(reader.available, 16);
    assertEquals(reader.read(got), 16);
    assertEquals(got, sequence(round, 16));
  }
});

Deno.test("what was written before the producer closed is still read", async () => {
  const { writer, reader } = pair(16);
  writer.writeSome(sequence(7, 2));
  writer.close();
  assertEquals(writer.writeSome(sequence(0, 1)), 0);
  assertEquals(writer.writeByte(1), false);
  assert(await reader.readable());
  assertEquals([reader.readByte(), reader.readByte()], [7, 8]);
  assertEquals(await reader.readable(), false);
});

Deno.test("closing wakes a consumer that waits for bytes", async () => {
  using _alive = keepAlive();
  const { writer, reader } = pair(16);
  const waiting = reader.readable();
  writer.close();
  assertEquals(await waiting, false);
});

Deno.test("closing wakes a producer that waits for space", async () => {
  using _alive = keepAlive();
  const { writer, reader } = pair(16);
  writer.writeSome(sequence(0, 16));
  const waiting = writer.writable();
  reader.close();
  assertEquals(await waiting, false);
});

Deno.test("a waiting producer goes on once half of the ring is free", async () => {
  using _alive = keepAlive();
  const { writer, reader } = pair(16);
  const all = sequence(0, 40);
  const writing = writeAll(writer, all);
  const got: number[] = [];
  while (got.length < all.length) {
    assert(await reader.readable());
    got.push(reader.readByte());
  }
  assertEquals(await writing, true);
  assertEquals(Uint8Array.from(got), all);
});

Deno.test("a million random bytes cross two rings and a thread unchanged", async () => {
  const random = new Random(seed(0x51f1));
  const message = random.bytes(1_000_000);
  const there = createRing(1024);
  const back = createRing(64);
  const worker = copier(there, back);
  const writer = new RingWriter(there);
  const reader = new RingReader(back);
  const sending = (async () => {
    for (let at = 0; at < message.length;) {
      const length = 1 + random.below(3000);
      assert(await writeAll(writer, message.subarray(at, at + length)));
      at += length;
    }
    writer.close();
  })();
  const got = new Uint8Array(message.length + 1);
  let length = 0;
  while (await reader.readable()) {
    length += reader.read(got.subarray(length, length + 1 + random.below(100)));
  }
  await sending;
  assertEquals(await worker, message.length, `seed ${random.seed}`);
  assertEquals(length, message.length);
  assert(message.every((byte, i) => got[i] === byte), `bytes differ; seed ${random.seed}`);
});

Deno.test("a thread that blocks on a full ring goes on when the consumer closes it", async () => {
  const there = createRing(1024);
  const back = createRing(16);
  const worker = copier(there, back);
  const writer = new RingWriter(there);
  const reader = new RingReader(back);
  await writeAll(writer, sequence(0, 100));
  while (reader.available < 16) await reader.readable().then(() => pause());
  reader.close();
  assertEquals(await worker, 16);
});

function pair(capacity: number): { writer: RingWriter; reader: RingReader } {
  const memory = createRing(capacity);
  return { writer: new RingWriter(memory), reader: new RingReader(memory) };
}

async function writeAll(writer: RingWriter, bytes: Uint8Array): Promise<boolean> {
  for (let done = 0; done < bytes.length;) {
    if (!await writer.writable()) return false;
    done += writer.writeSome(bytes.subarray(done));
  }
  return true;
}

function sequence(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

/** A promise of Atomics.waitAsync alone does not keep the event loop running. */
function keepAlive(): Disposable {
  const timer = setInterval(() => {}, 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Starts the other thread; resolves with the number of bytes it copied. */
function copier(input: SharedArrayBuffer, output: SharedArrayBuffer): Promise<number> {
  const worker = new Worker(new URL("./ring_worker.ts", import.meta.url), { type: "module" });
  worker.postMessage({ input, output });
  return new Promise((resolve, reject) => {
    worker.onmessage = (event) => {
      worker.terminate();
      resolve(event.data);
    };
    worker.onerror = (event) => reject(new Error(event.message));
  });
}
