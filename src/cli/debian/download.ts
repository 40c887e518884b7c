/** Files from a mirror: bounded in size and time, checked against their hash. */

import { DenovisorError } from "../../base/errors.ts";
import { sha256Hex } from "../../base/sha256.ts";
import type { FileHash } from "./release.ts";

/** A mirror that sends nothing for so long has failed. */
const SILENCE_MS = 30_000;

/** Told how much of a file has come. */
export type Progress = (file: string, receivedBytes: number, totalBytes: number) => void;

/**
 * Fetches `url`, of at most `maxBytes`.
 * @throws DenovisorError `fetch` when it cannot be had whole.
 */
export async function download(
  url: URL,
  maxBytes: number,
  onBytes: (receivedBytes: number) => void = () => {},
): Promise<Uint8Array<ArrayBuffer>> {
  const silence = new AbortController();
  const tooQuiet = () => silence.abort(new Error(`no answer for ${SILENCE_MS / 1000} s`));
  let timer = setTimeout(tooQuiet, SILENCE_MS);
  try {
    const reply = await fetch(url, { signal: silence.signal });
    if (!reply.ok || reply.body === null) {
      await reply.body?.cancel();
      throw new Error(`HTTP status ${reply.status}`);
    }
    const parts: Uint8Array[] = [];
    let received = 0;
    for await (const part of reply.body) {
      clearTimeout(timer);
      timer = setTimeout(tooQuiet, SILENCE_MS);
      received += part.length;
      if (received > maxBytes) throw new Error(`more than the ${maxBytes} bytes expected`);
      parts.push(part);
      onBytes(received);
    }
    return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const short = why.replace(/^error sending request for url \(.*?\): /, ""); // it is named already
    throw new DenovisorError(
      "fetch",
      `Cannot fetch ${url.href}: ${short}`,
      { url: url.href },
      cause,
    );
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Fetches `url` and checks it against `expected`.
 * @throws DenovisorError `fetch` when it cannot be had, or has another size or hash.
 */
export async function downloadVerified(
  url: URL,
  expected: FileHash,
  progress: Progress = () => {},
): Promise<Uint8Array<ArrayBuffer>> {
  const file = decodeURIComponent(url.pathname.split("/").at(-1) ?? "");
  const bytes = await download(
    url,
    expected.sizeBytes,
    (received) => progress(file, received, expected.sizeBytes),
  );
  if (bytes.length !== expected.sizeBytes) {
    throw mismatch(url, `${bytes.length} bytes`, `${expected.sizeBytes}`);
  }
  const sha256 = await sha256Hex(bytes);
  if (sha256 !== expected.sha256) {
    throw mismatch(url, `SHA-256 ${sha256}`, expected.sha256);
  }
  return bytes;
}

function mismatch(url: URL, found: string, expected: string): DenovisorError {
  return new DenovisorError(
    "fetch",
    `Cannot use ${url.href}: found ${found}, expected ${expected}`,
    { url: url.href },
  );
}
