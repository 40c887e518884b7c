import { assertEquals, assertStringIncludes } from "@std/assert";
import { chooseGuest, type GuestChoice } from "../../src/cli/choose_guest.ts";
import { Voice } from "../../src/cli/voice.ts";
import type { KvmProbe } from "../../src/engine/kvm/probe.ts";
import type { EngineReport } from "../../src/vm/choose_engine.ts";
import { type Mirror, startMirror } from "../support/debian_mirror.ts";

const NATIVE: KvmProbe = { status: "ready", reason: "it is there", ring0: "native" };
const INTERPRETED: KvmProbe = { ...NATIVE, ring0: "interpreted" };
const KVM: EngineReport = { name: "kvm", reason: "it is there" };
const WASM: EngineReport = { name: "wasm", reason: "KVM is not there" };

/** Keeps what is said. */
class Listener extends Voice {
  readonly lines: string[] = [];
  override say(text: string): void {
    this.lines.push(text);
  }
}

/** Chooses with an empty cache and a mirror on this machine. */
async function choose(
  kvm: KvmProbe,
  append?: string,
  mirror?: Mirror,
  engine = KVM,
): Promise<{ choice: GuestChoice; lines: readonly string[] }> {
  const cache = await Deno.makeTempDir({ prefix: "denovisor-test-" });
  const before = ["XDG_CACHE_HOME", "DENOVISOR_MIRROR"].map((name) =>
    [name, Deno.env.get(name)] as const
  );
  Deno.env.set("XDG_CACHE_HOME", cache);
  Deno.env.set("DENOVISOR_MIRROR", mirror?.url ?? "https://127.0.0.1:1/");
  const voice = new Listener();
  try {
    const choice = await chooseGuest(engine, append, voice, () => kvm);
    return { choice, lines: voice.lines };
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("with a native KVM the Debian guest is fetched, and said to be taken", async () => {
  await using mirror = await startMirror();
  const { choice, lines } = await choose(NATIVE, undefined, mirror);
  assertStringIncludes(choice.kernel ?? "", "debian-bookworm/vmlinuz-6.1.0-99_6.1.999-1");
  assertEquals(choice.initrd.length, 1);
  assertEquals(choice.append, "console=ttyS0 panic=-1");
  assertStringIncludes(
    lines.at(-1) ?? "",
    "Taking the guest Debian bookworm, linux-image-6.1.0-99",
  );
});

Deno.test("--append without --kernel adds to the Debian guest's command line", async () => {
  await using mirror = await startMirror();
  const { choice } = await choose(NATIVE, "quiet", mirror);
  assertEquals(choice.append, "console=ttyS0 panic=-1 quiet");
});

Deno.test("where the Debian guest cannot be fetched the built-in one is taken, with why", async () => {
  const { choice, lines } = await choose(NATIVE);
  assertEquals([choice.kernel, choice.initrd], [undefined, []]);
  assertStringIncludes(lines[0], "Taking the built-in guest: the Debian guest is not to be had (");
});

Deno.test("where KVM interprets guest kernels the mirror is not asked", async () => {
  await using mirror = await startMirror();
  const { choice, lines } = await choose(INTERPRETED, "", mirror);
  assertEquals([choice.kernel, choice.append, mirror.asked.length], [undefined, "", 0]);
  assertStringIncludes(lines[0], "Taking the built-in guest: this host's KVM interprets");
});

Deno.test("the wasm engine takes the Debian guest also where KVM interprets guest kernels", async () => {
  await using mirror = await startMirror();
  const { choice } = await choose(INTERPRETED, undefined, mirror, WASM);
  assertStringIncludes(choice.kernel ?? "", "debian-bookworm/vmlinuz-6.1.0-99_6.1.999-1");
});
