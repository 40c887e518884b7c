/** gzip (RFC 1952), through the runtime. */

import { collect } from "./collect.ts";

export function gunzip(packed: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  const source = new Blob([packed as Uint8Array<ArrayBuffer>]).stream();
  return collect(source.pipeThrough(new DecompressionStream("gzip")), sizeBytes);
}
