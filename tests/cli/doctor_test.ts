import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cli, denovisor, temporaryFolder } from "../support/cli.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { mountNamespaces, withMounts } from "../support/namespaces.ts";
import { all, programs, type Requirement, testWith } from "../support/requirement.ts";

/** The start of a command line that makes the rest run as a user without rights. */
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

Deno.test("doctor has a line for each finding, and says whether guests can run", async () => {
  const { status, stdout, stderr } = await cli(["doctor"]);
  const lines = stdout.trimEnd().split("\n");
  const last = lines.pop() ?? "";
  assertEquals(stderr, "");
  for (const line of lines) assertMatch(line, /^(ok {5}|missing) {2}[A-Za-z]/);
  for (const name of ["Deno", "libkvm-shim", "KVM", "wasm", "userfaultfd", "Memory", "Guest"]) {
    assertMatch(stdout, new RegExp(`^(ok {5}|missing) {2}${name}`, "m"));
  }
  assertMatch(last, /^Guests can run here: --engine auto takes (kvm|wasm)$/);
  assertEquals(status, 0);
});

testWith(kvmEngine, "doctor tells how KVM runs guest kernels, with a measured time", async () => {
  const { status, stdout } = await cli(["doctor"]);
  assertEquals(status, 0);
  assertMatch(
    stdout,
    /^(ok {7}KVM, guest kernels: native|missing {2}KVM, guest kernels: interpreted), [0-9.]+ ns/m,
  );
});

Deno.test("without --allow-ffi doctor says so, and that the wasm engine runs guests", async () => {
  const { status, stdout } = await cli(["doctor"], {
    program: denovisor("--no-prompt", "--allow-read", "--allow-env"),
  });
  assertEquals(status, 0);
  assertMatch(stdout, /^missing {2}libkvm-shim: .*--allow-ffi/m);
  assertMatch(stdout, /^Guests can run here: --engine auto takes wasm$/m);
});

Deno.test("without any permission doctor still gives its lines and no stack", async () => {
  const { status, stdout, stderr } = await cli(["doctor"], { program: denovisor("--no-prompt") });
  assertEquals([status, stderr], [0, ""]);
  assert(stdout.split("\n").length > 5, stdout);
});

testWith(
  all(programs("setpriv"), kvmClosed(), nobodyCanRun()),
  "without permission for /dev/kvm doctor gives the udev rule that would fix it",
  async () => {
    const { status, stdout } = await cli(["doctor"], { program: [...NOBODY, ...denovisor()] });
    assertEquals(status, 0);
    assertMatch(stdout, /^missing {2}KVM: no permission to open \/dev\/kvm/m);
    assertStringIncludes(stdout, `KERNEL=="kvm", GROUP="kvm", MODE="0666"`);
  },
);

testWith(mountNamespaces, "without /dev/kvm doctor says that it is missing", async () => {
  await using folder = await temporaryFolder();
  const script = `mount -t tmpfs tmpfs "$0" && cd "$0" &&
    for name in null zero random urandom; do touch $name && mount --bind /dev/$name $name; done &&
    mount --rbind "$0" /dev && exec "$@"`;
  const { status, stdout, stderr } = await cli(["doctor"], {
    program: [...withMounts(script), folder.path, ...denovisor()],
  });
  assertEquals(status, 0, stderr);
  assertMatch(stdout, /^missing {2}KVM: there is no \/dev\/kvm.*; to fix it: .*modprobe/m);
});

/** /dev/kvm is there and not open to everyone. */
function kvmClosed(): Requirement {
  try {
    const { mode } = Deno.statSync("/dev/kvm");
    return { missing: (mode ?? 0) % 8 >= 6 ? "/dev/kvm is open to everyone" : undefined };
  } catch {
    return { missing: "no /dev/kvm" };
  }
}

/** It takes root to become nobody, and a repository that is open to everyone. */
function nobodyCanRun(): Requirement {
  const [setpriv, ...args] = [...NOBODY, "test", "-r", denovisor().at(-1) ?? ""];
  try {
    const { success } = new Deno.Command(setpriv, { args, stderr: "null" }).outputSync();
    return { missing: success ? undefined : "not root, or a repository that is root's alone" };
  } catch {
    return { missing: "no setpriv on the PATH" };
  }
}
