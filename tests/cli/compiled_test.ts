import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { guestPath } from "../../tools/guests.ts";
import { cli, said, temporaryFolder } from "../support/cli.ts";
import { EXECUTABLE, executableMade } from "../support/compiled.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { mountNamespaces, withMounts } from "../support/namespaces.ts";
import { all, testWith, toolchain } from "../support/requirement.ts";

const program = [EXECUTABLE];
const runs = all(executableMade, kvmEngine);
/** No mirror answers here, and nothing is cached. */
const NO_NETWORK = { DENOVISOR_MIRROR: "https://127.0.0.1:1/", XDG_CACHE_HOME: "/nonexistent" };

testWith(executableMade, "the executable tells its version and its help", async () => {
  assertMatch((await cli(["--version"], { program })).stdout, /^denovisor \d+\.\d+\.\d+\n$/);
  assertStringIncludes((await cli(["boot", "--help"], { program })).stdout, "--kernel FILE");
});

testWith(runs, "the executable boots its built-in guest from any directory", async () => {
  await using folder = await temporaryFolder();
  for (const cwd of ["/", folder.path]) {
    const result = await cli(["boot"], { program, cwd, env: NO_NETWORK });
    assertEquals(result.status, 0, result.stderr);
    assertMatch(result.stdout, /^denovisor built-in guest: 64-bit mode[^]*Powering off/);
  }
});

testWith(all(runs, toolchain), "the executable runs a guest of several vCPUs", async () => {
  const kernel = await guestPath("hello");
  const args = ["boot", "--kernel", kernel, "--debug-exit", "--cpus", "2", "--memory", "16M"];
  const result = await cli(args, { program });
  assertEquals([result.status, result.stdout], [33, "hello from the guest\r\n"], result.stderr);
});

testWith(executableMade, "the executable tells mistakes in one line, without a stack", async () => {
  for (const [args, status] of [[["bot"], 2], [["boot", "--kernel", "/absent"], 1]] as const) {
    const result = await cli(args, { program });
    assertEquals([result.status, said(result).length], [status, 1], result.stderr);
  }
});

testWith(
  all(runs, mountNamespaces),
  "where /tmp is mounted noexec the executable says so in one line",
  async () => {
    const script = "mount -t tmpfs -o noexec tmpfs /tmp && exec " +
      '"$0" boot --kernel /proc/self/exe --engine kvm';
    await using folder = await temporaryFolder("/var/tmp");
    await Deno.copyFile(EXECUTABLE, `${folder.path}/denovisor`);
    const result = await cli([], {
      program: [...withMounts(script), `${folder.path}/denovisor`],
    });
    assertEquals([result.status, said(result).length], [1, 1], result.stderr);
    assertMatch(result.stderr, /mounted noexec.*set TMPDIR/);
  },
);
