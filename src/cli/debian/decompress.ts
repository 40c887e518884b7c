/** Decompression of what Debian compresses, by the suffix of its name. */

import { DenovisorError } from "../../base/errors.ts";

/** A stage of a stream that decompresses. */
export type Decompressor = ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>;

/**
 * A stage that decompresses files with `suffix` (".xz", ".gz", or "" for not compressed). `source`
 * names the file in messages. The stream fails with DenovisorError `image` on damaged data.
 * @throws DenovisorError `image` for a suffix that is none of these.
 */
export async function decompressor(suffix: string, source: string): Promise<Decompressor> {
  switch (suffix) {
    case "":
      return new TransformStream();
    case ".gz":
      return named(new DecompressionStream("gzip"), source);
    case ".xz":
      return named(await xzStage(), source);
    default:
      throw new DenovisorError(
        "image",
        `Cannot unpack ${source}: found the compression "${suffix}", expected .xz or .gz`,
      );
  }
}

/** The library wraps a stream; this makes it a stage. Loaded when needed: most runs do without. */
async function xzStage(): Promise<Decompressor> {
  const { default: xz } = await import("npm:xz-decompress@0.2.3");
  const packed = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
  const readable = new xz.XzReadableStream(packed.readable);
  return {
    writable: packed.writable,
    readable: readable as ReadableStream<Uint8Array<ArrayBuffer>>,
  };
}

/** The same stage, whose errors say which file is damaged. */
function named(stage: Decompressor, source: string): Decompressor {
  const reader = stage.readable.getReader();
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        controller.error(
          new DenovisorError("image", `Cannot unpack ${source}: ${why}`, { source }, cause),
        );
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return { writable: stage.writable, readable };
}
