import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { buildGuest, type GuestName, guestPath } from "../../tools/guests.ts";
import { cli, denovisor, said, temporaryFolder } from "../support/cli.ts";
import { startMirror } from "../support/debian_mirror.ts";
import { type EngineName, testOnEngines } from "../support/engines.ts";
import { interpretedKvm } from "../support/kvm_host.ts";
import { all, testWith, toolchain } from "../support/requirement.ts";
import { Terminal, terminals } from "../support/terminal.ts";

/** `boot` with one of our guests. */
async function boot(engine: EngineName, name: GuestName, ...args: string[]): Promise<string[]> {
  const kernel = await guestPath(name);
  return ["boot", "--engine", engine, "--kernel", kernel, "--memory", "16M", ...args];
}

/** No mirror answers here, and nothing is cached. */
const NO_NETWORK = { DENOVISOR_MIRROR: "https://127.0.0.1:1/", XDG_CACHE_HOME: "/nonexistent" };

testOnEngines(
  toolchain,
  "the guest's console is stdout, everything else is on stderr",
  async (engine) => {
    const result = await cli(await boot(engine, "hello", "--debug-exit"));
    assertEquals(result.stdout, "hello from the guest\r\n");
    assert(said(result).every((line) => /^denovisor: [A-Z].*[^.]$/.test(line)), result.stderr);
    assertMatch(
      result.stderr,
      new RegExp(`^denovisor: Taking the engine ${engine}: it was asked for$`, "m"),
    );
    assertMatch(result.stderr, /^denovisor: Booting Multiboot/m);
  },
);

testOnEngines(
  toolchain,
  "a write to the debug-exit port gives ((value << 1) | 1) & 0xff",
  async (engine) => {
    assertEquals((await cli(await boot(engine, "hello", "--debug-exit"))).status, 33);
  },
);

testOnEngines(toolchain, "power-off and every kind of reset give status 0", async (engine) => {
  for (const way of ["acpi-off", "acpi-reset", "cf9", "i8042", "port92"]) {
    const result = await cli(await boot(engine, "power", "--debug-exit", "--append", way));
    assertEquals(result.status, 0, `${way}: ${result.stderr}`);
    assertStringIncludes(result.stdout, way);
  }
});

testOnEngines(toolchain, "a triple fault gives status 3 and a line with RIP", async (engine) => {
  const result = await cli(await boot(engine, "triple_fault"));
  assertEquals(result.status, 3);
  assertMatch(result.stderr, /^denovisor: Triple fault on vCPU 0.*RIP /m);
});

testOnEngines(toolchain, "--timeout ends an endless loop with status 124", async (engine) => {
  const result = await cli(await boot(engine, "endless_loop", "--timeout", "0.8"));
  assertEquals([result.status, result.stdout], [124, "looping\r\n"], result.stderr);
  assertStringIncludes(result.stderr, "denovisor: Guest ran out of its time\n");
});

testOnEngines(
  toolchain,
  "a guest that can never wake gives status 1 and a line that says so",
  async (engine) => {
    const result = await cli(await boot(engine, "halt", "--timeout", "30"));
    assertEquals(result.status, 1, result.stderr);
    assertStringIncludes(result.stderr, "denovisor: Guest halted with interrupts off\n");
  },
);

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  testOnEngines(
    toolchain,
    `${signal} ends an endless loop with status ${status}`,
    async (engine) => {
      const [program, ...args] = denovisor();
      const child = new Deno.Command(program, {
        args: [...args, ...await boot(engine, "endless_loop", "--timeout", "60")],
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const reader = child.stdout.getReader();
      await reader.read(); // the guest runs
      child.kill(signal);
      assertEquals((await child.status).code, status);
      await reader.cancel();
    },
  );
}

testOnEngines(
  toolchain,
  "piped input reaches the guest whole, however fast it comes",
  async (engine) => {
    const input = "0123456789abcdef\n".repeat(300);
    const result = await cli(await boot(engine, "echo", "--debug-exit"), { input: `${input}\x04` });
    assertEquals(result.status, 33, result.stderr);
    assertEquals(result.stdout.replace(/^ready\r\n/, ""), input);
  },
);

testOnEngines(
  toolchain,
  "Ctrl-A in piped input goes to the guest like any byte",
  async (engine) => {
    const result = await cli(await boot(engine, "echo", "--debug-exit"), {
      input: "\x01x\x01h\x03\x04",
    });
    assertEquals([result.status, result.stdout], [33, "ready\r\n\x01x\x01h\x03"]);
  },
);

testOnEngines(
  toolchain,
  "a reader of stdout that goes away ends the run quietly",
  async (engine) => {
    const [program, ...args] = denovisor();
    const child = new Deno.Command(program, {
      args: [...args, ...await boot(engine, "endless_loop", "--timeout", "60")],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await child.stdout.cancel();
    const { code } = await child.status;
    const stderr = await new Response(child.stderr).text();
    assertEquals(code, 141);
    assertEquals(/pipe/i.test(stderr), false, stderr);
  },
);

testOnEngines(
  toolchain,
  "--timeout holds also when nobody reads a stdout that is full",
  async (engine) => {
    // The pipe has room for 64 KiB.
    const script =
      `{ head -c 65536 /dev/zero; "$@"; echo "status $?." >&2; } | { sleep 4; echo end >&2; }`;
    const result = await cli(await boot(engine, "endless_loop", "--timeout", "1"), {
      program: ["/bin/sh", "-c", script, "sh", ...denovisor()],
    });
    assertMatch(result.stderr, /^status 124\.\nend$/m);
  },
);

testOnEngines(
  toolchain,
  "guests that cannot be loaded give one line with why, and status 1",
  async (engine) => {
    await using folder = await temporaryFolder();
    const large = `${folder.path}/initrd`;
    await Deno.writeFile(large, new Uint8Array(20 << 20));
    const half = `${folder.path}/half`;
    await Deno.writeTextFile(half, "");
    await Deno.truncate(half, 10 << 20);
    const cases = [
      [["--append", "x".repeat(5000)], /the command line has 5000 bytes, .* at most 2047$/],
      [["--initrd", large], /initrd: it has 20971520 bytes, the guest's RAM has 16777216$/],
      [
        ["--initrd", half, "--initrd", half],
        /half: it has 10485760 bytes, what those before it leave of RAM has 6291456$/,
      ],
      [["--initrd", `${folder.path}/absent`], /absent: there is no such file$/],
    ] as const;
    for (const [args, line] of cases) {
      const result = await cli(await boot(engine, "entry64", ...args));
      assertEquals([result.status, result.stdout, said(result).length], [1, "", 1], result.stderr);
      assertMatch(said(result)[0], line);
    }
  },
);

testOnEngines(
  toolchain,
  "a full disk under stdout is a failure with one line about it",
  async (engine) => {
    const [program, ...args] = denovisor();
    const all = [...args, ...await boot(engine, "hello", "--debug-exit")].map((arg) => `'${arg}'`)
      .join(" ");
    const result = await cli(["-c", `'${program}' ${all} >/dev/full`], { program: ["/bin/sh"] });
    assertEquals(result.status, 1, result.stderr);
    assertMatch(result.stderr, /Cannot write to stdout: No space left on device/);
  },
);

testOnEngines(toolchain, "a stdin that is closed is no hindrance", async (engine) => {
  const [program, ...args] = denovisor();
  const all = [...args, ...await boot(engine, "hello", "--debug-exit")].map((arg) => `'${arg}'`)
    .join(" ");
  const result = await cli(["-c", `'${program}' ${all} <&-`], { program: ["/bin/sh"] });
  assertEquals([result.status, result.stdout], [33, "hello from the guest\r\n"]);
});

testOnEngines(toolchain, "--stats=json ends stderr with one JSON object", async (engine) => {
  const result = await cli(await boot(engine, "hello", "--debug-exit", "--stats=json"));
  const stats = JSON.parse(said(result).at(-1) ?? "");
  assertEquals(stats.outcome, "debug-exit");
  assertEquals(stats.engine, engine);
  assert(stats.exits.portOut > "hello from the guest".length, JSON.stringify(stats));
  assert(stats.startup.firstInstructionMs > 0);
});

testOnEngines(toolchain, "--stats says the same in lines", async (engine) => {
  const result = await cli(await boot(engine, "hello", "--debug-exit", "--stats"));
  assertMatch(result.stderr, /^denovisor: Exits: portIn \d+, portOut \d+/m);
});

testOnEngines(
  toolchain,
  "without a guest and a network the built-in one boots, and ends by itself",
  async (engine) => {
    const { status, stdout, stderr } = await cli(["boot", "--engine", engine], {
      env: NO_NETWORK,
      silentInput: true,
    });
    assertEquals(status, 0, stderr);
    assertMatch(stdout, /^denovisor built-in guest: 64-bit mode/);
    assertMatch(stderr, /^denovisor: Taking the built-in guest: \S/m);
  },
);

testOnEngines(
  toolchain,
  "the built-in guest echoes piped input when --append says so",
  async (engine) => {
    const result = await cli(["boot", "--engine", engine, "--append", ""], {
      env: NO_NETWORK,
      input: "hello\n",
    });
    assertEquals(result.status, 0, result.stderr);
    assertStringIncludes(result.stdout, "You typed: hello");
  },
);

testWith(
  toolchain,
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
  all(interpretedKvm, toolchain),
  "where KVM interprets guest kernels the wasm engine is taken, and said why",
  async () => {
    const args = ["boot", "--debug-exit", "--kernel", await guestPath("hello")];
    const { status, stderr } = await cli(args);
    assertEquals(status, 33, stderr);
    assertMatch(stderr, /^denovisor: Taking the engine wasm: .*interprets guest kernels/m);
  },
);

testWith(
  interpretedKvm,
  "where KVM interprets guest kernels nothing is fetched for it",
  async () => {
    await using cache = await temporaryFolder();
    await using mirror = await startMirror();
    const env = { XDG_CACHE_HOME: cache.path, DENOVISOR_MIRROR: mirror.url };
    const result = await cli(["boot", "--engine", "kvm"], { env });
    assertEquals([result.status, mirror.asked], [0, []], result.stderr);
    assertMatch(
      result.stderr,
      /^denovisor: Taking the built-in guest: this host's KVM interprets/m,
    );
  },
);

testWith(toolchain, "the wasm engine needs no permission but to read its files", async () => {
  const result = await cli(await boot("wasm", "hello", "--debug-exit", "--stats=json"), {
    program: denovisor("--no-prompt", "--allow-read"),
  });
  assertEquals([result.status, result.stdout], [33, "hello from the guest\r\n"], result.stderr);
  assertEquals(said(result).length, 4, result.stderr);
});

testWith(
  all(toolchain, terminals),
  "with --allow-read alone, on a terminal, nothing is asked for",
  async () => {
    const program = denovisor("--allow-read");
    for (const engine of [[], ["--engine", "wasm"]]) {
      for (const kernel of [[], ["--kernel", await guestPath("hello")]]) {
        const words = [
          ...program,
          "boot",
          "--debug-exit",
          "--append",
          "auto",
          ...engine,
          ...kernel,
        ];
        const command = words.map((word) => `'${word}'`).join(" ");
        await using terminal = new Terminal(`${command}; echo "status $?."`);
        await terminal.until(/status (33|0)\./);
        assertEquals(/requests|Allow\?/.test(await terminal.end()), false, terminal.screen);
      }
    }
  },
);

testWith(
  all(toolchain, terminals),
  "on a terminal the wasm engine's guest has a line until its first output",
  async () => {
    await using folder = await temporaryFolder();
    const kernel = `${folder.path}/silent`;
    // 1: loop 1b, for a while; mov dx, 0x3f8; mov al, 'x'; out dx, al; jmp to itself
    await Deno.writeFile(
      kernel,
      Uint8Array.of(
        0x66,
        0xb9,
        0,
        0,
        0x80,
        0,
        0x67,
        0xe2,
        0xfd,
        0xba,
        0xf8,
        3,
        0xb0,
        0x78,
        0xee,
        0xeb,
        0xfe,
      ),
    );
    const words = [...denovisor(), "boot", "--engine", "wasm", "--kernel", kernel];
    await using terminal = new Terminal(words.map((word) => `'${word}'`).join(" "));
    await terminal.until(
      /No output yet: [\d.]+ million instructions a second, guest time [\d.]+ s/,
    );
    // deno-lint-ignore no-control-regex -- the line is erased
    await terminal.until(/guest time [\d.]+ s\r\x1b\[Kx$/);
    await terminal.type("\x01x");
    await terminal.end();
  },
);
