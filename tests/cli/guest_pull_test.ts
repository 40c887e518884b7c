import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cli, said, temporaryFolder } from "../support/cli.ts";
import {
  BUSYBOX_PATH,
  IMAGE_PATH,
  type MirrorFaults,
  RELEASE_PATH,
  startMirror,
} from "../support/debian_mirror.ts";
import { encode } from "../support/debian_package.ts";

interface Pull {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly asked: readonly string[];
  /** Names in the guest's folder. */
  readonly cached: readonly string[];
}

/** Pulls from a mirror with `faults` into a cache that is empty or has been filled by `before`. */
async function pull(faults: MirrorFaults, cache: string, ...args: string[]): Promise<Pull> {
  await using mirror = await startMirror(faults);
  const result = await cli(["guest", "pull", "debian", ...args], {
    env: { XDG_CACHE_HOME: cache, DENOVISOR_MIRROR: mirror.url },
  });
  return { ...result, asked: mirror.asked, cached: names(`${cache}/denovisor/debian-bookworm`) };
}

function names(folder: string): string[] {
  try {
    return Array.from(Deno.readDirSync(folder), (entry) => entry.name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}

Deno.test("guest pull debian prints the paths of a kernel and an initramfs", async () => {
  await using cache = await temporaryFolder();
  const { status, stdout, asked } = await pull({}, cache.path);
  assertEquals(status, 0);
  const [kernel, initramfs, ...rest] = stdout.split("\n");
  assertEquals(rest, [""]);
  assertEquals(
    kernel,
    `${cache.path}/denovisor/debian-bookworm/vmlinuz-6.1.0-99_6.1.999-1`,
  );
  assertEquals(await Deno.readTextFile(kernel), "a kernel");
  const archive = await Deno.readTextFile(initramfs);
  assertStringIncludes(archive, "a busybox");
  assertStringIncludes(archive, "#!/bin/busybox sh");
  assertEquals(asked.length, 4);
});

Deno.test("a second pull asks the mirror nothing, with --refresh it fetches again", async () => {
  await using cache = await temporaryFolder();
  const first = await pull({}, cache.path);
  const second = await pull({}, cache.path);
  assertEquals([second.status, second.stdout, second.asked], [0, first.stdout, []]);
  assertEquals(second.stderr, "");
  const third = await pull({ kernel: "a rebuilt kernel" }, cache.path, "--refresh");
  assertEquals([third.status, third.stdout, third.asked.length], [0, first.stdout, 4]);
  assertEquals(await Deno.readTextFile(third.stdout.split("\n")[0]), "a rebuilt kernel");
});

Deno.test("--mirror is preferred to the environment, with or without a slash at its end", async () => {
  await using cache = await temporaryFolder();
  await using mirror = await startMirror({ byHash: false });
  const result = await cli(["guest", "pull", "debian", "--mirror", `${mirror.url}/`], {
    env: { XDG_CACHE_HOME: cache.path, DENOVISOR_MIRROR: "http://127.0.0.1:1/debian" },
  });
  assertEquals(result.status, 0, result.stderr);
  assert(mirror.asked.includes("dists/bookworm/main/binary-amd64/Packages.gz"));
});

Deno.test("pulls side by side all succeed and leave no part of a file", async () => {
  await using cache = await temporaryFolder();
  const pulls = await Promise.all([1, 2, 3].map(() => pull({}, cache.path)));
  for (const { status, stdout, stderr } of pulls) {
    assertEquals([status, stdout], [0, pulls[0].stdout], stderr);
  }
  assertEquals(names(`${cache.path}/denovisor/debian-bookworm`).length, 4);
});

Deno.test("an initramfs of another denovisor is made anew without the mirror", async () => {
  await using cache = await temporaryFolder();
  const first = await pull({}, cache.path);
  const initramfs = first.stdout.split("\n")[1];
  await Deno.remove(initramfs);
  const second = await pull({}, cache.path);
  assertEquals([second.stdout, second.asked], [first.stdout, []]);
  await Deno.stat(initramfs);
});

Deno.test("a cache that is damaged is fetched again", async () => {
  await using cache = await temporaryFolder();
  const first = await pull({}, cache.path);
  const folder = `${cache.path}/denovisor/debian-bookworm`;
  for (const json of ["", "{", "null", '{"kernel":"../x"}']) {
    await Deno.writeTextFile(`${folder}/guest.json`, json);
    assertEquals((await pull({}, cache.path)).stdout, first.stdout, json);
  }
  await Deno.remove(first.stdout.split("\n")[0]);
  assertEquals((await pull({}, cache.path)).asked.length, 4);
});

const FAULTS: readonly (readonly [name: string, faults: MirrorFaults, line: RegExp])[] = [
  ["a mirror without a Release file", { absent: [RELEASE_PATH] }, /Release: HTTP status 404$/],
  [
    "a Release file that is none",
    { replace: { [RELEASE_PATH]: encode("<html>") } },
    /found no SHA256 section/,
  ],
  ["a mirror without the kernel", { absent: [IMAGE_PATH] }, /linux-image.*\.deb: HTTP status 404$/],
  [
    "a package that is too short",
    { replace: { [BUSYBOX_PATH]: encode("short") } },
    /busybox.*found 5 bytes, expected \d+$/,
  ],
  [
    "a package that is too long",
    { replace: { [BUSYBOX_PATH]: new Uint8Array(100_000) } },
    /busybox.*more than the \d+ bytes expected$/,
  ],
];

for (const [name, faults, line] of FAULTS) {
  Deno.test(`${name} gives one line, status 1 and an empty cache`, async () => {
    await using cache = await temporaryFolder();
    const { status, stdout, stderr, cached } = await pull(faults, cache.path);
    assertEquals([status, stdout, cached], [1, "", []]);
    assertMatch(stderr.trim().split("\n").at(-1) ?? "", line);
  });
}

Deno.test("a package with another content of the same size is refused by its hash", async () => {
  await using cache = await temporaryFolder();
  await using good = await startMirror();
  const bytes = new Uint8Array(await (await fetch(`${good.url}/${BUSYBOX_PATH}`)).arrayBuffer());
  bytes[bytes.length - 1] ^= 1;
  const { status, stderr } = await pull({ replace: { [BUSYBOX_PATH]: bytes } }, cache.path);
  assertEquals(status, 1);
  assertMatch(stderr, /found SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/);
});

Deno.test("without a network there is one line and status 1", async () => {
  await using cache = await temporaryFolder();
  const result = await cli(["guest", "pull", "debian"], {
    env: { XDG_CACHE_HOME: cache.path, DENOVISOR_MIRROR: "https://127.0.0.1:1/debian" },
  });
  assertEquals([result.status, result.stdout], [1, ""]);
  assertEquals(said(result).length, 1);
  assertMatch(result.stderr, /^denovisor: Cannot fetch https:\/\/127\.0\.0\.1:1\/debian\/dists/);
});

Deno.test("a cache with a file in its way gives one line that names it, and status 1", async () => {
  await using cache = await temporaryFolder();
  await Deno.writeTextFile(`${cache.path}/denovisor`, "a file in the way");
  const { status, stderr } = await pull({}, cache.path);
  assertEquals(status, 1);
  assertStringIncludes(stderr, `Cannot read ${cache.path}/denovisor/debian-bookworm: Not a dir`);
});

Deno.test("guest pull refuses words that it does not know", async () => {
  for (const args of [[], ["ubuntu"], ["debian", "sid"], ["debian", "--mirror", "ftp://x"]]) {
    const result = await cli(["guest", "pull", ...args]);
    assertEquals([result.status, said(result).length], [2, 1], args.join(" "));
  }
  const wrong = await cli(["guest", "pull", "debian"], { env: { DENOVISOR_MIRROR: "nonsense" } });
  assertEquals(wrong.status, 2);
  assertStringIncludes(wrong.stderr, 'Cannot read DENOVISOR_MIRROR: found "nonsense"');
});
