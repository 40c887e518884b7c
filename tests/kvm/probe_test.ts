import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Errno } from "../../src/engine/kvm/errno.ts";
import { deviceFault } from "../../src/engine/kvm/kvm_device.ts";
import { type KvmProbe, probeKvm } from "../../src/engine/kvm/probe.ts";
import { kvmEngine, shimLibrary } from "../support/kvm_guest.ts";
import { all, programs, testWith } from "../support/requirement.ts";

testWith(kvmEngine, "the probe finds out how this host runs ring-0 code", () => {
  const probe = probeKvm();
  assertEquals(probe.status, "ready", probe.reason);
  assert(probe.ring0 === "native" || probe.ring0 === "interpreted");
  assert(probe.nsPerInstruction !== undefined && probe.nsPerInstruction > 0);
});

Deno.test("a missing device and a missing permission have a command that helps", () => {
  assertEquals(deviceFault(Errno.ENOENT).kind, "missing");
  assertStringIncludes(deviceFault(Errno.ENOENT).fix ?? "", "modprobe");
  const denied = deviceFault(Errno.EACCES);
  assertEquals(denied.kind, "no-permission");
  assertStringIncludes(denied.fix ?? "", 'KERNEL=="kvm"');
  assertEquals(deviceFault(Errno.EMFILE), {
    kind: "other",
    reason: "cannot open /dev/kvm: EMFILE",
  });
});

/** Probes in a process of its own, started as `command` with Deno's options `flags`. */
async function probeIn(
  command: readonly string[],
  flags: readonly string[],
  env: Record<string, string> = {},
): Promise<KvmProbe> {
  const probe = new URL("../../src/engine/kvm/probe.ts", import.meta.url).href;
  const code = `import { probeKvm } from ${JSON.stringify(probe)};
    await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(probeKvm())));`;
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(script, code);
    await Deno.chmod(script, 0o644);
    const [program, ...rest] = [...command, Deno.execPath(), "run", ...flags, "--no-check", script];
    const { stdout, stderr } = await new Deno.Command(program, { args: rest, env }).output();
    const text = new TextDecoder().decode(stdout);
    assert(text !== "", new TextDecoder().decode(stderr));
    return JSON.parse(text);
  } finally {
    await Deno.remove(script);
  }
}

testWith(all(kvmEngine, shimLibrary), "without --allow-ffi the probe asks for it", async () => {
  const probe = await probeIn([], ["--no-prompt", "--allow-read"]);
  assertEquals(probe.status, "no-ffi", probe.reason);
  assertEquals(probe.fix, "--allow-ffi");
});

const deviceIsPrivate = {
  missing: Deno.uid() === 0 && ((await mode("/dev/kvm")) & 0o006) === 0
    ? undefined
    : "only root can become another user, and /dev/kvm must not be open to everyone",
};

async function mode(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).mode ?? 0;
  } catch {
    return 0o777; // absent: nothing to be denied
  }
}

testWith(
  all(kvmEngine, deviceIsPrivate, programs("setpriv")),
  "a user without access to /dev/kvm gets the udev rule",
  async () => {
    const home = await Deno.makeTempDir();
    await Deno.chmod(home, 0o777);
    try {
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
      const probe = await probeIn(nobody, ["-A"], { HOME: home, DENO_DIR: home });
      assertEquals(probe.status, "no-permission", probe.reason);
      assertStringIncludes(probe.fix ?? "", "99-kvm.rules");
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
);
