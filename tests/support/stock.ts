/**
 * Files of stock guests, from Debian packages. They are fetched once into .cache/stock/ at the top
 * of the repository; delete that folder to fetch newer versions.
 */

import { fileFromDeb } from "../../src/cli/debian/deb.ts";
import {
  type Architecture,
  DEFAULT_MIRROR,
  fetchIndex,
  fetchPackage,
  SUITE,
} from "../../src/cli/debian/mirror.ts";
import { findPackage, followDependency } from "../../src/cli/debian/packages.ts";
import type { Requirement } from "./requirement.ts";

/** A file of a package; where `via` is given, of the dependency of `package` that it matches. */
interface StockFile {
  readonly package: string;
  readonly via?: RegExp;
  readonly path: RegExp;
  /** amd64 when it is not given. */
  readonly architecture?: Architecture;
}

const FILES = {
  seabios: { package: "seabios", path: /^usr\/share\/seabios\/bios-256k\.bin$/ },
  grub: { package: "grub-firmware-qemu", path: /^usr\/share\/qemu\/grub\.bin$/ },
  ipxe: { package: "ipxe", path: /^boot\/ipxe\.lkrn$/ },
  memtest: { package: "memtest86+", path: /^boot\/memtest86\+x64\.bin$/ },
  memtest32: { package: "memtest86+", path: /^boot\/memtest86\+ia32\.bin$/ },
  busybox: { package: "busybox-static", path: /^(?:usr\/)?bin\/busybox$/ },
  linuxCloud: {
    package: "linux-image-cloud-amd64",
    via: /^linux-image-[0-9].*-cloud-amd64$/,
    path: /^boot\/vmlinuz-/,
  },
  linuxRt: {
    package: "linux-image-rt-amd64",
    via: /^linux-image-[0-9].*-rt-amd64$/,
    path: /^boot\/vmlinuz-/,
  },
  linux686: {
    package: "linux-image-686",
    via: /^linux-image-[0-9].*-686$/,
    path: /^boot\/vmlinuz-/,
    architecture: "i386",
  },
  linux686Pae: {
    package: "linux-image-686-pae",
    via: /^linux-image-[0-9].*-686-pae$/,
    path: /^boot\/vmlinuz-/,
    architecture: "i386",
  },
  busybox386: {
    package: "busybox-static",
    path: /^(?:usr\/)?bin\/busybox$/,
    architecture: "i386",
  },
} as const satisfies Record<string, StockFile>;

/** Which file. */
export type StockName = keyof typeof FILES;

const FOLDER = new URL("../../.cache/stock/", import.meta.url);
const MAX_FILE_BYTES = 128 * 1024 ** 2;
const MIRROR_ANSWER_MS = 5000;
const quietly = () => {};

/** The stock files named are here, or the mirror that has them answers. */
export async function stockFiles(...names: readonly StockName[]): Promise<Requirement> {
  const here = await Promise.all(names.map(isCached));
  if (here.every((cached) => cached)) return { missing: undefined };
  return await debianMirror();
}

/** The Debian mirror answers. */
export async function debianMirror(): Promise<Requirement> {
  try {
    const signal = AbortSignal.timeout(MIRROR_ANSWER_MS);
    const reply = await fetch(`${DEFAULT_MIRROR}/dists/${SUITE}/Release`, {
      method: "HEAD",
      signal,
    });
    await reply.body?.cancel();
    return { missing: reply.ok ? undefined : `the Debian mirror answers with ${reply.status}` };
  } catch {
    return { missing: "the Debian mirror is out of reach" };
  }
}

/** The path of a stock file, which is fetched when it is not here yet. */
export async function stockFile(name: StockName): Promise<string> {
  const path = new URL(name, FOLDER);
  if (!await isCached(name)) {
    await Deno.mkdir(FOLDER, { recursive: true });
    const part = new URL(`${name}.${Deno.pid}.part`, FOLDER);
    await Deno.writeFile(part, await fetchStock(FILES[name]));
    await Deno.rename(part, path);
  }
  return path.pathname;
}

async function isCached(name: StockName): Promise<boolean> {
  try {
    return (await Deno.stat(new URL(name, FOLDER))).isFile;
  } catch {
    return false;
  }
}

/** The mirror's indices, each fetched at most once in a process. */
const indices: Partial<Record<Architecture, Promise<string>>> = {};

async function fetchStock(file: StockFile): Promise<Uint8Array> {
  const mirror = new URL(DEFAULT_MIRROR);
  const { architecture = "amd64" } = file;
  const text = await (indices[architecture] ??= fetchIndex(mirror, quietly, architecture));
  const named = findPackage(text, file.package);
  const found = file.via === undefined ? named : followDependency(text, named, file.via);
  const deb = await fetchPackage(mirror, found, quietly);
  return (await fileFromDeb(found.name, deb, file.path, MAX_FILE_BYTES)).bytes;
}
