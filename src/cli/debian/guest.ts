/**
 * The Debian guest in the cache: a kernel, busybox, and the initramfs made of it. The manifest is
 * written last and names files that are there whole; their names have the packages' versions, so
 * that pulls side by side write the same bytes to the same names.
 */

import { DenovisorError } from "../../base/errors.ts";
import { reason, writeAtomically } from "../atomic_write.ts";
import { cacheFolder } from "./cache.ts";
import type { Progress } from "./download.ts";
import { fileFromDeb } from "./deb.ts";
import { initramfs, initramfsName } from "./initramfs.ts";
import type { TarFile } from "./tar.ts";
import { fetchIndex, fetchPackage, SUITE } from "./mirror.ts";
import { findPackage, followDependency, type Package } from "./packages.ts";

/** Paths of a guest that is ready to boot. */
export interface DebianGuest {
  /** "Debian bookworm, linux-image-6.1.0-50-cloud-amd64 6.1.176-1". */
  readonly description: string;
  readonly kernel: string;
  readonly initramfs: string;
}

/** The kernel's command line: console and panics on the serial port, a panic ends the run. */
export const COMMAND_LINE = "console=ttyS0 panic=-1";

const META_PACKAGE = "linux-image-cloud-amd64";
const IMAGE_PACKAGE = /^linux-image-[0-9].*-cloud-amd64$/;
const BUSYBOX_PACKAGE = "busybox-static";
const MAX_KERNEL_BYTES = 128 * 1024 ** 2;
const MAX_BUSYBOX_BYTES = 16 * 1024 ** 2;

/** What the cache holds: file names in its folder. */
interface Manifest {
  readonly description: string;
  readonly kernel: string;
  readonly busybox: string;
}

/** The guest of an earlier pull; undefined when there is none that is whole. */
export async function cachedGuest(): Promise<DebianGuest | undefined> {
  const folder = guestFolder();
  try {
    const manifest = parseManifest(await Deno.readTextFile(`${folder}/guest.json`));
    if (manifest === undefined) return undefined;
    await Deno.stat(`${folder}/${manifest.kernel}`);
    return {
      description: manifest.description,
      kernel: `${folder}/${manifest.kernel}`,
      initramfs: await initramfsOf(folder, manifest.busybox),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof DenovisorError) throw error;
    throw cannotRead(folder, error);
  }
}

/**
 * Fetches the guest from `mirror` into the cache, whatever is there.
 * @throws DenovisorError `fetch`, `image` or `file`
 */
export async function pullGuest(mirror: URL, progress: Progress): Promise<DebianGuest> {
  const folder = guestFolder();
  try {
    await Deno.mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new DenovisorError("file", `Cannot make ${folder}: ${reason(cause)}`, {}, cause);
  }
  const index = await fetchIndex(mirror, progress);
  const image = followDependency(index, findPackage(index, META_PACKAGE), IMAGE_PACKAGE);
  const tools = findPackage(index, BUSYBOX_PACKAGE);
  const kernel = await fetchFile(mirror, image, /^boot\/vmlinuz-/, MAX_KERNEL_BYTES, progress);
  const busybox = await fetchFile(
    mirror,
    tools,
    /^(?:usr\/)?bin\/busybox$/,
    MAX_BUSYBOX_BYTES,
    progress,
  );
  const manifest: Manifest = {
    description: `Debian ${SUITE}, ${image.name} ${image.version}`,
    kernel: cacheName(kernel, image),
    busybox: cacheName(busybox, tools),
  };
  await writeAtomically(`${folder}/${manifest.kernel}`, kernel.bytes);
  await writeAtomically(`${folder}/${manifest.busybox}`, busybox.bytes);
  const guest = {
    description: manifest.description,
    kernel: `${folder}/${manifest.kernel}`,
    initramfs: await initramfsOf(folder, manifest.busybox),
  };
  const json = new TextEncoder().encode(JSON.stringify(manifest, undefined, 2) + "\n");
  await writeAtomically(`${folder}/guest.json`, json);
  return guest;
}

function guestFolder(): string {
  return `${cacheFolder()}/debian-${SUITE}`;
}

async function fetchFile(
  mirror: URL,
  wanted: Package,
  pattern: RegExp,
  maxBytes: number,
  progress: Progress,
): Promise<TarFile> {
  const deb = await fetchPackage(mirror, wanted, progress);
  return await fileFromDeb(`${wanted.name} ${wanted.version}`, deb, pattern, maxBytes);
}

/** The name in the cache of a file from a package: its own, and the package's version. */
function cacheName(file: TarFile, from: Package): string {
  return `${file.path.split("/").at(-1)}_${from.version}`.replace(/[^\w.+~-]/g, "_");
}

/** The initramfs of this denovisor's /init and that busybox: made when it is not there yet. */
async function initramfsOf(folder: string, busybox: string): Promise<string> {
  const path = `${folder}/${await initramfsName(busybox)}`;
  try {
    await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await writeAtomically(path, initramfs(await Deno.readFile(`${folder}/${busybox}`)));
  }
  return path;
}

function parseManifest(text: string): Manifest | undefined {
  let found: Partial<Record<keyof Manifest, unknown>> | null;
  try {
    found = JSON.parse(text);
  } catch {
    return undefined; // damaged: as good as absent
  }
  const { description, kernel, busybox } = found ?? {};
  if (typeof description !== "string" || !isName(kernel) || !isName(busybox)) return undefined;
  return { description, kernel, busybox };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !value.includes("/") && value !== "..";
}

function cannotRead(folder: string, cause: unknown): DenovisorError {
  return new DenovisorError("file", `Cannot read ${folder}: ${reason(cause)}`, { folder }, cause);
}
