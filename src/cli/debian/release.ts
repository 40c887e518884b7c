/** The Release file of a Debian suite: which index files there are, with their hashes. */

import { DenovisorError } from "../../base/errors.ts";

/** What a Release or Packages file says of a file. */
export interface FileHash {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** A parsed Release file. */
export interface Release {
  /** Index files are also kept under their hash, safe from a mirror update in mid-fetch. */
  readonly byHash: boolean;
  /** By path relative to the suite's folder. */
  readonly files: ReadonlyMap<string, FileHash>;
}

/**
 * Parses a Release file (https://wiki.debian.org/DebianRepository/Format). `source` names it.
 * @throws DenovisorError `fetch` when it has no SHA256 section.
 */
export function parseRelease(text: string, source: string): Release {
  const files = new Map<string, FileHash>();
  let byHash = false;
  let field = "";
  for (const line of text.split("\n")) {
    if (line.startsWith(" ")) {
      const entry = /^ ([0-9a-f]{64}) +([0-9]{1,15}) (\S+)$/.exec(line);
      if (field === "SHA256" && entry !== null) {
        files.set(entry[3], { sha256: entry[1], sizeBytes: Number(entry[2]) });
      }
      continue;
    }
    const colon = line.indexOf(":");
    field = line.slice(0, Math.max(colon, 0));
    if (field === "Acquire-By-Hash") byHash = line.slice(colon + 1).trim() === "yes";
  }
  if (files.size === 0) {
    throw new DenovisorError(
      "fetch",
      `Cannot read ${source}: found no SHA256 section, expected a Debian Release file`,
    );
  }
  return { byHash, files };
}
