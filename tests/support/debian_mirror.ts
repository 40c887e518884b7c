/** A Debian mirror on this machine with a kernel and a busybox of a few bytes. */

import { sha256Hex } from "../../src/base/sha256.ts";
import { deb, encode, gzip } from "./debian_package.ts";

/** What a test may spoil. */
export interface MirrorFaults {
  /** Served in place of the right bytes, by path below the mirror's top. */
  readonly replace?: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
  /** Paths that answer with status 404. */
  readonly absent?: readonly string[];
  /** Whether the Release file offers files by their hash. Default true. */
  readonly byHash?: boolean;
  /** Contents of boot/vmlinuz-… in the kernel's package. */
  readonly kernel?: string | Uint8Array;
}

/** A running mirror. */
export interface Mirror extends AsyncDisposable {
  readonly url: string;
  /** Paths asked for so far. */
  readonly asked: readonly string[];
}

const IMAGE = "linux-image-6.1.0-99-cloud-amd64";
/** Paths of the mirror's packages. */
export const IMAGE_PATH = `pool/main/l/linux/${IMAGE}_6.1.999-1_amd64.deb`;
export const BUSYBOX_PATH = "pool/main/b/busybox/busybox-static_1.35.0-4_amd64.deb";
export const RELEASE_PATH = "dists/bookworm/Release";
const INDEX_FOLDER = "dists/bookworm/main/binary-amd64/";

/** Starts a mirror with `faults`. */
export async function startMirror(faults: MirrorFaults = {}): Promise<Mirror> {
  const files = await mirrorFiles(faults);
  for (const [path, bytes] of Object.entries(faults.replace ?? {})) files.set(path, bytes);
  for (const path of faults.absent ?? []) files.delete(path);
  const asked: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const path = decodeURIComponent(new URL(request.url).pathname).replace("/debian/", "");
    asked.push(path);
    const bytes = files.get(path);
    return bytes === undefined ? new Response("absent", { status: 404 }) : new Response(bytes);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/debian`,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function mirrorFiles(faults: MirrorFaults): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const image = await deb([
    { path: "./boot/", text: "" },
    { path: "./boot/System.map-6.1.0-99", text: "symbols" },
    { path: "./boot/vmlinuz-6.1.0-99", text: faults.kernel ?? "a kernel" },
    { path: "./lib/late", text: "never reached" },
  ]);
  const busybox = await deb([{ path: "./bin/busybox", text: "a busybox" }]);
  const index = await gzip(encode([
    "Package: linux-image-cloud-amd64\nVersion: 6.1.999-1\n" +
    `Depends: ${IMAGE} (= 6.1.999-1)\n` +
    await stanzaFile("pool/main/l/linux/meta.deb", new Uint8Array(1)),
    `Package: ${IMAGE}\nVersion: 6.1.999-1\n${await stanzaFile(IMAGE_PATH, image)}`,
    `Package: busybox-static\nVersion: 1:1.35.0-4\n${await stanzaFile(BUSYBOX_PATH, busybox)}`,
  ].join("\n")));
  const { byHash = true } = faults;
  const indexHash = await sha256Hex(index);
  const release = encode(
    `Suite: oldstable\n${byHash ? "Acquire-By-Hash: yes\n" : ""}SHA256:\n` +
      ` ${indexHash} ${index.length} main/binary-amd64/Packages.gz\n`,
  );
  return new Map([
    [RELEASE_PATH, release],
    [byHash ? `${INDEX_FOLDER}by-hash/SHA256/${indexHash}` : `${INDEX_FOLDER}Packages.gz`, index],
    [IMAGE_PATH, image],
    [BUSYBOX_PATH, busybox],
  ]);
}

async function stanzaFile(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return `Filename: ${path}\nSize: ${bytes.length}\nSHA256: ${await sha256Hex(bytes)}\n`;
}
