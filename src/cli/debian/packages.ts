/** The Packages index of a Debian suite: one stanza for each version of each package. */

import { DenovisorError } from "../../base/errors.ts";
import type { FileHash } from "./release.ts";

/** One version of one package. */
export interface Package extends FileHash {
  readonly name: string;
  readonly version: string;
  /** The Depends field as it stands; "" when there is none. */
  readonly depends: string;
  /** Path of the .deb below the mirror's top. */
  readonly path: string;
}

/**
 * The package `name` in the index `text`, of `version` if that is given, else the first.
 * @throws DenovisorError `fetch` when it is not there or its stanza lacks what a fetch needs.
 */
export function findPackage(text: string, name: string, version?: string): Package {
  const start = `Package: ${name}\n`;
  for (let at = indexOfStanza(text, start, 0); at >= 0; at = indexOfStanza(text, start, at + 1)) {
    const found = parseStanza(name, stanzaAt(text, at));
    if (version === undefined || found.version === version) return found;
  }
  const which = version === undefined ? name : `${name} ${version}`;
  throw new DenovisorError("fetch", `Cannot find the package ${which} in the mirror's index`);
}

/**
 * The package that `meta` stands for: the one of its dependencies whose name matches `pattern`.
 * @throws DenovisorError `fetch` when no dependency does.
 */
export function followDependency(text: string, meta: Package, pattern: RegExp): Package {
  for (const dependency of meta.depends.split(/[,|]/)) {
    const parts = /^\s*([a-z0-9][a-z0-9+.-]*)(?::\w+)?\s*(?:\(= ?([^\s)]+)\))?\s*$/.exec(
      dependency,
    );
    if (parts !== null && pattern.test(parts[1])) return findPackage(text, parts[1], parts[2]);
  }
  throw new DenovisorError(
    "fetch",
    `Cannot follow the package ${meta.name}: found the dependencies "${meta.depends}", ` +
      `expected one that matches ${pattern.source}`,
  );
}

function indexOfStanza(text: string, start: string, from: number): number {
  for (let at = text.indexOf(start, from); at >= 0; at = text.indexOf(start, at + 1)) {
    if (at === 0 || text[at - 1] === "\n") return at;
  }
  return -1;
}

function stanzaAt(text: string, at: number): string {
  const end = text.indexOf("\n\n", at);
  return text.slice(at, end < 0 ? text.length : end);
}

function parseStanza(name: string, stanza: string): Package {
  const field = (key: string): string =>
    new RegExp(`^${key}: (.*)$`, "m").exec(stanza)?.[1].trim() ?? "";
  const found: Package = {
    name,
    version: field("Version"),
    depends: field("Depends"),
    path: field("Filename"),
    sha256: field("SHA256"),
    sizeBytes: Number(field("Size")),
  };
  const safePath = /^[\w+.~%/:-]+$/.test(found.path) && !found.path.split("/").includes("..");
  if (
    !safePath || !/^[0-9a-f]{64}$/.test(found.sha256) || !Number.isSafeInteger(found.sizeBytes) ||
    !/^[A-Za-z0-9][A-Za-z0-9.+~:-]*$/.test(found.version)
  ) {
    throw new DenovisorError(
      "fetch",
      `Cannot use the package ${name}: its stanza in the mirror's index is malformed, ` +
        `expected Version, Filename, Size and SHA256`,
    );
  }
  return found;
}
