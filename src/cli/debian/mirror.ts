/**
 * A Debian mirror: from the suite's Release file to the Packages index to packages, each checked
 * against the hash that the file before it gives.
 */

import { DenovisorError } from "../../base/errors.ts";
import { decompressor } from "./decompress.ts";
import { download, downloadVerified, type Progress } from "./download.ts";
import type { Package } from "./packages.ts";
import { parseRelease } from "./release.ts";

/** Where packages come from when nothing else is said. */
export const DEFAULT_MIRROR = "https://deb.debian.org/debian";
/** Debian 12, whose kernel and busybox the guest is made of. */
export const SUITE = "bookworm";

const MAX_RELEASE_BYTES = 4 * 1024 ** 2;
/** The index is 50 MB unpacked in 2025. */
const MAX_INDEX_BYTES = 256 * 1024 ** 2;
/** In the order of preference: the smallest first. */
const INDEX_SUFFIXES = [".xz", ".gz"];

/** A Debian architecture. */
export type Architecture = "amd64" | "i386";

/**
 * The text of the suite's index of main for `architecture`.
 * @throws DenovisorError `fetch` when the mirror does not give it or its hash differs.
 */
export async function fetchIndex(
  mirror: URL,
  progress: Progress,
  architecture: Architecture = "amd64",
): Promise<string> {
  const folder = `main/binary-${architecture}`;
  const index = `${folder}/Packages`;
  const suite = below(mirror, `dists/${SUITE}/`);
  const releaseUrl = new URL("Release", suite);
  const releaseText = new TextDecoder().decode(await download(releaseUrl, MAX_RELEASE_BYTES));
  const release = parseRelease(releaseText, releaseUrl.href);
  for (const suffix of INDEX_SUFFIXES) {
    const file = release.files.get(index + suffix);
    if (file === undefined) continue;
    const url = release.byHash
      ? new URL(`${folder}/by-hash/SHA256/${file.sha256}`, suite)
      : new URL(index + suffix, suite);
    const packed = await downloadVerified(
      url,
      file,
      (_, received, total) => progress(`Packages${suffix}`, received, total),
    );
    return await unpackText(packed, suffix, url.href);
  }
  throw new DenovisorError(
    "fetch",
    `Cannot use ${releaseUrl.href}: found no ${index} with ${INDEX_SUFFIXES.join(" or ")}, ` +
      `expected one`,
  );
}

/**
 * The bytes of a package.
 * @throws DenovisorError `fetch` when the mirror does not give it or its hash differs.
 */
export function fetchPackage(
  mirror: URL,
  wanted: Package,
  progress: Progress,
): Promise<Uint8Array<ArrayBuffer>> {
  return downloadVerified(below(mirror, wanted.path), wanted, progress);
}

/** `path` below the mirror's top, whether or not its address ends in a slash. */
function below(mirror: URL, path: string): URL {
  return new URL(path, mirror.href.replace(/\/*$/, "/"));
}

async function unpackText(
  packed: Uint8Array<ArrayBuffer>,
  suffix: string,
  source: string,
): Promise<string> {
  const unpacked = new Blob([packed]).stream().pipeThrough(await decompressor(suffix, source));
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of unpacked) {
    text += decoder.decode(part, { stream: true });
    if (text.length > MAX_INDEX_BYTES) {
      throw new DenovisorError(
        "fetch",
        `Cannot use ${source}: found more than ${MAX_INDEX_BYTES} bytes unpacked`,
      );
    }
  }
  return text + decoder.decode();
}
