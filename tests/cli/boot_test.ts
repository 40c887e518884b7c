import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { probeKvm } from "../../src/engine/kvm/probe.ts";
import { buildGuest, type GuestName, guestPath } from "../../tools/guests.ts";
import { cli, denovisor, said, temporaryFolder } from "../support/cli.ts";
import { startMirror } from "../support/debian_mirror.ts";
import { all, testWith } from "../support/requirement.ts";
import { kvmGuests } from "../support/vm_guest.ts";

const { ring0 } = probeKvm();
const nativeRing0 = all(kvmGuests, {
  missing: ring0 === "native" ? undefined : "no KVM that runs guest kernels on the processor",
});
const interpretedRing0 = all(kvmGuests, {
  missing: ring0 === "interpreted" ? undefined : "no KVM that interprets guest kernels",
});

/** `boot` with one of our guests. */
async function boot(name: GuestName, ...args: string[]): Promise<string[]> {
  return ["boot", "--kernel", await guestPath(name), "--memory", "16M", ...args];
}

/** No mirror answers here, and nothing is cached. */
const NO_NETWORK = { DENOVISOR_MIRROR: "https://127.0.0.1:1/", XDG_CACHE_HOME: "/nonexistent" };

testWith(kvmGuests, "the guest's console is stdout, everything else is on stderr", async () => {
  const result = await cli(await boot("hello", "--debug-exit"));
  assertEquals(result.stdout, "hello from the guest\r\n");
  assert(said(result).every((line) => /^denovisor: [A-Z].*[^.]$/.test(line)), result.stderr);
  assertMatch(result.stderr, /^denovisor: Taking the engine kvm: /m);
  assertMatch(result.stderr, /^denovisor: Booting Multiboot/m);
});

testWith(kvmGuests, "a write to the debug-exit port gives ((value << 1) | 1) & 0xff", async () => {
  assertEquals((await cli(await boot("hello", "--debug-exit"))).status, 33);
});

testWith(kvmGuests, "power-off and every kind of reset give status 0", async () => {
  for (const way of ["acpi-off", "acpi-reset", "cf9", "i8042", "port92"]) {
    const result = await cli(await boot("power", "--debug-exit", "--append", way));
    assertEquals(result.status, 0, `${way}: ${result.stderr}`);
    assertStringIncludes(result.stdout, way);
  }
});

testWith(kvmGuests, "a triple fault gives status 3 and a line with RIP", async () => {
  const result = await cli(await boot("triple_fault"));
  assertEquals(result.status, 3);
  assertMatch(result.stderr, /^denovisor: Triple fault on vCPU 0.*RIP /m);
});

testWith(kvmGuests, "--timeout ends an endless loop with status 124", async () => {
  const result = await cli(await boot("endless_loop", "--timeout", "0.8"));
  assertEquals([result.status, result.stdout], [124, "looping\r\n"], result.stderr);
  assertStringIncludes(result.stderr, "denovisor: Guest ran out of its time\n");
});

testWith(
  kvmGuests,
  "a guest that can never wake gives status 1 and a line that says so",
  async () => {
    const result = await cli(await boot("halt", "--timeout", "30"));
    assertEquals(result.status, 1, result.stderr);
    assertStringIncludes(result.stderr, "denovisor: Guest halted with interrupts off\n");
  },
);

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  testWith(kvmGuests, `${signal} ends an endless loop with status ${status}`, async () => {
    const [program, ...args] = denovisor();
    const child = new Deno.Command(program, {
      args: [...args, ...await boot("endless_loop", "--timeout", "60")],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read(); // the guest runs
    child.kill(signal);
    assertEquals((await child.status).code, status);
    await reader.cancel();
  });
}

testWith(kvmGuests, "piped input reaches the guest whole, however fast it comes", async () => {
  const input = "0123456789abcdef\n".repeat(300);
  const result = await cli(await boot("echo", "--debug-exit"), { input: `${input}\x04` });
  assertEquals(result.status, 33, result.stderr);
  assertEquals(result.stdout.replace(/^ready\r\n/, ""), input);
});

testWith(kvmGuests, "Ctrl-A in piped input goes to the guest like any byte", async () => {
  const result = await cli(await boot("echo", "--debug-exit"), { input: "\x01x\x01h\x03\x04" });
  assertEquals([result.status, result.stdout], [33, "ready\r\n\x01x\x01h\x03"]);
});

testWith(kvmGuests, "a reader of stdout that goes away ends the run quietly", async () => {
  const [program, ...args] = denovisor();
  const child = new Deno.Command(program, {
    args: [...args, ...await boot("endless_loop", "--timeout", "60")],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdout.cancel();
  const { code } = await child.status;
  const stderr = await new Response(child.stderr).text();
  assertEquals(code, 141);
  assertEquals(/pipe/i.test(stderr), false, stderr);
});

testWith(kvmGuests, "--timeout holds also when nobody reads a stdout that is full", async () => {
  // The pipe has room for 64 KiB.
  const script =
    `{ head -c 65536 /dev/zero; "$@"; echo "status $?." >&2; } | { sleep 4; echo end >&2; }`;
  const result = await cli(await boot("endless_loop", "--timeout", "1"), {
    program: ["/bin/sh", "-c", script, "sh", ...denovisor()],
  });
  assertMatch(result.stderr, /^status 124\.\nend$/m);
});

testWith(
  kvmGuests,
  "guests that cannot be loaded give one line with why, and status 1",
  async () => {
    await using folder = await temporaryFolder();
    const large = `${folder.path}/initrd`;
    await Deno.writeFile(large, new Uint8Array(20 << 20));
    const cases = [
      [["--append", "x".repeat(5000)], /the command line has 5000 bytes, .* at most 2047$/],
      [["--initrd", large], /initrd: it has 20971520 bytes, the guest's RAM has 16777216$/],
      [["--initrd", `${folder.path}/absent`], /absent: there is no such file$/],
    ] as const;
    for (const [args, line] of cases) {
      const result = await cli(await boot("entry64", ...args));
      assertEquals([result.status, result.stdout, said(result).length], [1, "", 1], result.stderr);
      assertMatch(said(result)[0], line);
    }
  },
);

testWith(kvmGuests, "a full disk under stdout is a failure with one line about it", async () => {
  const [program, ...args] = denovisor();
  const all = [...args, ...await boot("hello", "--debug-exit")].map((arg) => `'${arg}'`).join(" ");
  const result = await cli(["-c", `'${program}' ${all} >/dev/full`], { program: ["/bin/sh"] });
  assertEquals(result.status, 1, result.stderr);
  assertMatch(result.stderr, /Cannot write to stdout: No space left on device/);
});

testWith(kvmGuests, "a stdin that is closed is no hindrance", async () => {
  const [program, ...args] = denovisor();
  const all = [...args, ...await boot("hello", "--debug-exit")].map((arg) => `'${arg}'`).join(" ");
  const result = await cli(["-c", `'${program}' ${all} <&-`], { program: ["/bin/sh"] });
  assertEquals([result.status, result.stdout], [33, "hello from the guest\r\n"]);
});

testWith(kvmGuests, "--stats=json ends stderr with one JSON object", async () => {
  const result = await cli(await boot("hello", "--debug-exit", "--stats=json"));
  const stats = JSON.parse(said(result).at(-1) ?? "");
  assertEquals(stats.outcome, "debug-exit");
  assertEquals(stats.engine, "kvm");
  assert(stats.exits.portOut > "hello from the guest".length, JSON.stringify(stats));
  assert(stats.startup.firstInstructionMs > 0);
});

testWith(kvmGuests, "--stats says the same in lines", async () => {
  const result = await cli(await boot("hello", "--debug-exit", "--stats"));
  assertMatch(result.stderr, /^denovisor: Exits: portIn \d+, portOut \d+/m);
});

testWith(
  kvmGuests,
  "without a guest and a network the built-in one boots, and ends by itself",
  async () => {
    const { status, stdout, stderr } = await cli(["boot"], { env: NO_NETWORK, silentInput: true });
    assertEquals(status, 0, stderr);
    assertMatch(stdout, /^denovisor built-in guest: 64-bit mode/);
    assertMatch(stderr, /^denovisor: Taking the built-in guest: \S/m);
  },
);

testWith(kvmGuests, "the built-in guest echoes piped input when --append says so", async () => {
  const result = await cli(["boot", "--append", ""], { env: NO_NETWORK, input: "hello\n" });
  assertEquals(result.status, 0, result.stderr);
  assertStringIncludes(result.stdout, "You typed: hello");
});

testWith(
  nativeRing0,
  "without a kernel the guest is pulled first, then taken from the cache",
  async () => {
    await using cache = await temporaryFolder();
    await using mirror = await startMirror({ kernel: await buildGuest("hello") });
    const env = { XDG_CACHE_HOME: cache.path, DENOVISOR_MIRROR: mirror.url };
    for (let run = 0; run < 2; run++) {
      const result = await cli(["boot", "--debug-exit"], { env });
      assertEquals([result.status, mirror.asked.length], [33, 4], result.stderr);
      assertStringIncludes(result.stdout, "hello from the guest");
      assertMatch(result.stderr, /^denovisor: Taking the guest Debian bookworm, linux-image-6\.1/m);
    }
  },
);

testWith(
  interpretedRing0,
  "where KVM interprets guest kernels nothing is fetched for it",
  async () => {
    await using cache = await temporaryFolder();
    await using mirror = await startMirror();
    const env = { XDG_CACHE_HOME: cache.path, DENOVISOR_MIRROR: mirror.url };
    const result = await cli(["boot"], { env });
    assertEquals([result.status, mirror.asked], [0, []], result.stderr);
    assertMatch(
      result.stderr,
      /^denovisor: Taking the built-in guest: this host's KVM interprets/m,
    );
  },
);
