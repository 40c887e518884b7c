import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { createRing, RingReader, RingWriter } from "../../../src/base/ring.ts";
import { Console } from "../../../src/vm/console.ts";
import { TRANSCRIPT_BYTES } from "../../../src/vm/transcript.ts";

/** A console with both far ends of its rings; keeps the event loop running as a guest would. */
function fixture(ringBytes = 64) {
  const output = createRing(ringBytes);
  const input = createRing(ringBytes);
  const guestOut = new RingWriter(output);
  const guestIn = new RingReader(input);
  let pokes = 0;
  const console = new Console(new RingReader(output), new RingWriter(input), () => pokes++);
  const timer = setInterval(() => {}, 1000);
  return {
    console,
    guestIn,
    pokes: () => pokes,
    /** Writes as the guest does, waiting for space. */
    async print(text: string | Uint8Array): Promise<void> {
      const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
      for (let done = 0; done < bytes.length;) {
        if (!await guestOut.writable()) return;
        done += guestOut.writeSome(bytes.subarray(done));
      }
    },
    [Symbol.dispose](): void {
      clearInterval(timer);
      console.end("Guest stopped");
    },
  };
}

Deno.test("expect gives the match, its groups and the text before it", async () => {
  using guest = fixture();
  const found = guest.console.expect(/login(\d+)?(x)?: /);
  await guest.print("welcome\r\nlogin7: ");
  assertEquals(await found, {
    text: "login7: ",
    groups: ["7", undefined],
    before: "welcome\r\n",
  });
});

Deno.test("expect goes on from the end of the last match", async () => {
  using guest = fixture();
  await guest.print("one two one");
  assertEquals((await guest.console.expect("one")).before, "");
  assertEquals((await guest.console.expect("one")).before, " two ");
  await assertRejects(() => guest.console.expect("one", { timeoutMs: 20 }), DenovisorError);
});

Deno.test("expect finds text however it was cut, inside a UTF-8 sequence too", async () => {
  const bytes = new TextEncoder().encode("grün → fertig");
  for (const pattern of ["ün → f", /ü.*→ f/]) {
    using guest = fixture(16);
    const found = guest.console.expect(pattern);
    for (const byte of bytes) {
      await guest.print(Uint8Array.of(byte));
      await turn();
    }
    assertEquals(await found, { text: "ün → f", groups: [], before: "gr" });
  }
});

Deno.test("expect finds what came before it was called", async () => {
  using guest = fixture();
  await guest.print("early ");
  await turn();
  await guest.print("bird");
  await turn();
  assertEquals((await guest.console.expect("early bird")).text, "early bird");
});

Deno.test("expect goes on with what is kept when much was printed meanwhile", async () => {
  using guest = fixture(65536);
  await guest.print("first");
  await guest.console.expect("first");
  await guest.print("dropped ");
  await guest.print("é".repeat(TRANSCRIPT_BYTES));
  await guest.print(" end");
  const { before } = await guest.console.expect(" end");
  assert(!before.includes("dropped") && before.length > TRANSCRIPT_BYTES / 3);
  await guest.print(" of it");
  assertEquals((await guest.console.expect("of it")).before, " ");
});

Deno.test("expect takes a caret as the mark, not as the start of what is kept", async () => {
  using guest = fixture();
  await guest.print("ab");
  await guest.console.expect("a");
  assertEquals((await guest.console.expect(/^b/)).text, "b");
});

Deno.test("expect does not trip over a global or sticky pattern used twice", async () => {
  using guest = fixture();
  const pattern = /x/gy;
  await guest.print("ax bx");
  assertEquals((await guest.console.expect(pattern)).before, "a");
  assertEquals((await guest.console.expect(pattern)).before, " b");
});

Deno.test("two waits at once look from the same mark, and each gets its match", async () => {
  using guest = fixture();
  const waits = [guest.console.expect("b"), guest.console.expect("a")];
  await guest.print("..a..b..");
  assertEquals((await Promise.all(waits)).map((m) => m.before), ["..a..", ".."]);
  await guest.print("c");
  assertEquals((await guest.console.expect("c")).before, "..");
});

Deno.test("expect fails after its time, and says what the last output was", async () => {
  using guest = fixture();
  await guest.print('last "words"\n');
  const error = await assertRejects(
    () => guest.console.expect("login", { timeoutMs: 20 }),
    DenovisorError,
  );
  assertEquals(error.code, "expect-timeout");
  assertEquals(error.details.lastOutput, 'last "words"');
  assertEquals(
    error.message,
    'Cannot find "login" on the console: it did not come within 20 ms; ' +
      'the last output was "last \\"words\\""',
  );
});

Deno.test("expect fails at once when the guest ends, after its last output was searched", async () => {
  using guest = fixture();
  const there = guest.console.expect(/by./, { timeoutMs: 60_000 });
  const absent = guest.console.expect(/login/, { timeoutMs: 60_000 });
  await guest.print("bye");
  guest.console.end("Guest powered off");
  assertEquals((await there).text, "bye");
  const error = await assertRejects(() => absent, DenovisorError);
  assertEquals(error.code, "guest-ended");
  assertStringIncludes(
    error.message,
    'on the console, which has ended: Guest powered off; the last output was "bye"',
  );
  const late = await assertRejects(() => guest.console.expect("x"), DenovisorError);
  assertEquals(late.code, "guest-ended");
});

Deno.test("expect can still find what the guest said when it has ended", async () => {
  using guest = fixture();
  await guest.print("done 42");
  guest.console.end("Guest powered off");
  assertEquals((await guest.console.expect(/done (\d+)/)).groups, ["42"]);
});

Deno.test("expect refuses an empty pattern and a timeout that is none", async () => {
  using guest = fixture();
  for (
    const bad of [
      () => guest.console.expect(""),
      () => guest.console.expect("x", { timeoutMs: 0 }),
      () => guest.console.expect("x", { timeoutMs: NaN }),
    ]
  ) {
    assertEquals((await assertRejects(bad, DenovisorError)).code, "usage");
  }
});

Deno.test("every reader gets all of the output", async () => {
  using guest = fixture();
  const text = "0123456789".repeat(1000);
  const readers = [
    collect(guest.console),
    collect(guest.console),
    collect(guest.console.readable),
  ];
  await guest.print(text);
  guest.console.end("Guest powered off");
  for (const read of readers) assertEquals(await read, text);
  assertEquals(await collect(guest.console), text);
  assertEquals(guest.console.transcript, text);
});

Deno.test("a guest that is a transcript ahead of a reader waits for it, and nothing is lost", async () => {
  using guest = fixture(4096);
  const total = TRANSCRIPT_BYTES * 3 + 12345;
  const reader = guest.console.readable.getReader();
  let printed = 0;
  const printing = (async () => {
    for (let n = 0; printed < total; n++) {
      const bytes = new Uint8Array(Math.min(1000, total - printed)).map((_, i) => (n + i) % 251);
      await guest.print(bytes);
      printed += bytes.length;
    }
    guest.console.end("Guest powered off");
  })();
  let at = 0;
  const first = await reader.read();
  at += check(first.value!, at);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert(printed < at + TRANSCRIPT_BYTES + 2 * 4096 + 1000, `${printed} bytes ahead of a reader`);
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    at += check(next.value, at);
  }
  await printing;
  assertEquals(at, total);

  function check(chunk: Uint8Array, from: number): number {
    for (let i = 0; i < chunk.length; i++) {
      const position = from + i;
      const expected = (Math.floor(position / 1000) + position % 1000) % 251;
      if (chunk[i] !== expected) throw new Error(`byte ${position}: ${chunk[i]}, not ${expected}`);
    }
    return chunk.length;
  }
});

Deno.test("a reader that leaves no longer holds the guest up", async () => {
  using guest = fixture(65536);
  await guest.print("first");
  for await (const chunk of guest.console) {
    assertEquals(new TextDecoder().decode(chunk), "first");
    break;
  }
  await guest.print(new Uint8Array(2 * TRANSCRIPT_BYTES));
  await guest.print("end");
  assertEquals((await guest.console.expect("end")).text, "end");
  guest.console.end("Guest powered off");
  assertEquals(new TextEncoder().encode(await collect(guest.console)).length, TRANSCRIPT_BYTES);
});

Deno.test("input goes in order, as fast as the guest takes it", async () => {
  using guest = fixture(16);
  const text = "the quick brown fox jumps over the lazy dog";
  const sends = [guest.console.send(text), guest.console.sendLine("!")];
  let got = "";
  while (!got.endsWith("\r")) {
    const byte = guest.guestIn.readByte();
    if (byte < 0) await turn();
    else got += String.fromCharCode(byte);
  }
  await Promise.all(sends);
  assertEquals(got, text + "!\r");
  assert(guest.pokes() > 1, "the machine hears of new input each time that it can take more");
});

Deno.test("send fails when the guest ends before it took everything", async () => {
  using guest = fixture(16);
  const sent = guest.console.send(new Uint8Array(17));
  await turn();
  guest.console.end("Guest powered off");
  const error = await assertRejects(() => sent, DenovisorError);
  assertEquals(error.code, "guest-ended");
  assertStringIncludes(error.message, "1 bytes not sent");
  assertEquals(
    (await assertRejects(() => guest.console.send("x"), DenovisorError)).code,
    error.code,
  );
});

/** Lets pending promises and timers of 0 ms run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
