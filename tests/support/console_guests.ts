/** Guests that move many bytes through the console, for the fast and the slow test of it. */

import { assertEquals } from "@std/assert";
import type { EngineName } from "./engines.ts";
import { bootCode, bootGuest } from "./vm_guest.ts";

/** What ends the echo guest. */
const CTRL_D = 4;
const READY = "ready\r\n";
/** The flood guest's image, which it sends over and over, padded to this. */
const BLOCK_BYTES = 4096;

/** Sends `length` bytes at once to the echo guest and checks that all come back unchanged. */
export async function checkPaste(
  engine: EngineName,
  length: number,
  timeoutMs: number,
): Promise<void> {
  const sent = Uint8Array.from({ length }, (_, i) => {
    const byte = (i * 7 + (i >>> 8)) & 0xff;
    return byte === CTRL_D ? 0xff : byte;
  });
  await using vm = await bootGuest("echo", { engine, debugExit: true, timeoutMs });
  const echo = gather(vm.console);
  await vm.console.expect(READY, { timeoutMs });
  await Promise.all([vm.console.send(sent), vm.console.send(Uint8Array.of(CTRL_D))]);
  assertEquals(await vm.wait(), { kind: "debug-exit", value: 0x10 });
  assertSame((await echo).subarray(READY.length), sent);
}

/** Lets a guest print `blocks` times 4 KiB as fast as it can and checks that nothing is lost. */
export async function checkFlood(
  engine: EngineName,
  blocks: number,
  timeoutMs: number,
): Promise<void> {
  const code = [
    ...[0xfc, 0xba, 0xf8, 0x03], // cld; mov dx, 0x3f8
    ...[0xbb, blocks & 0xff, blocks >>> 8], // mov bx, blocks
    ...[0xbe, 0x00, 0x7c], // 1: mov si, 0x7c00
    ...[0xb9, BLOCK_BYTES & 0xff, BLOCK_BYTES >>> 8], // mov cx, BLOCK_BYTES
    ...[0xf3, 0x6e], // rep outsb
    ...[0x4b, 0x75, 0xf5], // dec bx; jnz 1b
    ...[0xb0, 0xfe, 0xe6, 0x64, 0xf4], // mov al, 0xfe; out 0x64, al (reset); hlt
  ];
  const image = Uint8Array.from({ length: BLOCK_BYTES }, (_, i) => code[i] ?? (i * 31) & 0xff);
  await using vm = await bootCode([...image], { engine, timeoutMs });
  const output = gather(vm.console);
  assertEquals(await vm.wait(), { kind: "reset" });
  const expected = new Uint8Array(blocks * BLOCK_BYTES);
  for (let block = 0; block < blocks; block++) expected.set(image, block * BLOCK_BYTES);
  assertSame(await output, expected);
}

async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** As `assertEquals`, which would print megabytes. */
function assertSame(found: Uint8Array, expected: Uint8Array): void {
  const wrong = found.findIndex((byte, i) => byte !== expected[i]);
  assertEquals(
    [found.length, wrong],
    [expected.length, -1],
    "lengths, and the first byte that differs",
  );
}
