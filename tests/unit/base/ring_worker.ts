/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The other thread of ring_test.ts: `copy` reads a ring and writes each byte to another. */

import { RingReader, RingWriter } from "../../../src/base/ring.ts";

self.onmessage = async (event: MessageEvent) => {
  const { input, output } = event.data as { input: SharedArrayBuffer; output: SharedArrayBuffer };
  const reader = new RingReader(input);
  const writer = new RingWriter(output);
  let copied = 0;
  while (await reader.readable()) {
    for (let byte = reader.readByte(); byte >= 0; byte = reader.readByte()) {
      if (!writer.writeByte(byte)) break;
      copied++;
    }
    if (writer.closed) break;
  }
  writer.close();
  self.postMessage(copied);
  self.close();
};
