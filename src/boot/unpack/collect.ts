/** Collects a stream whose length is known beforehand. */

/**
 * The bytes of `stream`, exactly `sizeBytes` of them.
 * @throws Error when it has fewer or more, or fails itself.
 */
export async function collect(
  stream: ReadableStream<Uint8Array>,
  sizeBytes: number,
): Promise<Uint8Array> {
  const all = new Uint8Array(sizeBytes);
  let length = 0;
  // Leaving the loop early cancels the stream.
  for await (const chunk of stream) {
    if (chunk.length > sizeBytes - length) {
      throw new Error(`it unpacks to more than the ${sizeBytes} bytes that it names`);
    }
    all.set(chunk, length);
    length += chunk.length;
  }
  if (length !== sizeBytes) {
    throw new Error(`it unpacks to ${length} bytes and names ${sizeBytes}`);
  }
  return all;
}
