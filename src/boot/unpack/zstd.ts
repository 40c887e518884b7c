/** Zstandard (RFC 8878), through the reference decoder in WebAssembly: not every Deno has its own. */

import { ZSTDDecoder } from "npm:zstddec@0.3.4";

export async function unzstd(packed: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  const decoder = new ZSTDDecoder();
  await decoder.init();
  const unpacked = decoder.decode(packed, sizeBytes);
  // The decoder gives no reason: it returns what it has, nothing where it failed.
  if (unpacked.length !== sizeBytes) {
    throw new Error(`it does not unpack to the ${sizeBytes} bytes that it names`);
  }
  return unpacked;
}
