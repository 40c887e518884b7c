import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { cli, denovisor, said, temporaryFolder } from "../support/cli.ts";

/** denovisor's own modules, which its workers are loaded from. */
const SOURCES = new URL("../../", import.meta.url).pathname;

const USAGE = 2;
const FAILED = 1;

/** Command lines that are wrong, and what the one line about each must say. */
const MISTAKES: readonly (readonly [args: readonly string[], line: RegExp])[] = [
  [[], /found no subcommand, expected one of boot, guest pull, guest unpack, mmu report, doctor/],
  [["bot"], /Unknown subcommand "bot": did you mean denovisor boot\?/],
  [["frobnicate"], /Unknown subcommand "frobnicate": expected one of boot,/],
  [["guest"], /found no subcommand, expected one of guest pull, guest unpack/],
  [["guest", "pul"], /Unknown subcommand "guest pul": did you mean denovisor guest pull\?/],
  [["boot", "--memory", "256X"], /--memory: found "256X", expected a size such as 256M or 2G/],
  [["boot", "--memory", "0"], /--memory: found "0", expected .* from 2M to 16G/],
  [["boot", "--memory", "1M"], /--memory: found "1M"/],
  [["boot", "--memory", "1T"], /--memory: found "1T"/],
  [["boot", "--memory=1024G"], /--memory: found "1024G"/],
  [["boot", "--cpus", "0"], /--cpus: found "0", expected an integer from 1 to 64/],
  [["boot", "--cpus=65"], /--cpus: found "65"/],
  [
    ["boot", "--kernel", "a", "--kernel", "b"],
    /--kernel twice: found "a" and "b", expected it once/,
  ],
  [["boot", "--kernel"], /--kernel: found no value, expected the path of a file/],
  [["boot", "--kernal", "x"], /Unknown option "--kernal": did you mean --kernel\?/],
  [["boot", "--gdb", "1234"], /Unknown option "--gdb": expected one of --kernel, --initrd/],
  [
    ["boot", "vmlinuz"],
    /Cannot use "vmlinuz": expected options only \(a kernel is --kernel FILE\)/,
  ],
  [["boot", "--initrd", "x"], /Cannot use --initrd "x": found no --kernel/],
  [["boot", "--timeout", "-1"], /Cannot read --timeout/],
  [["boot", "--timeout", "soon"], /--timeout: found "soon", expected seconds/],
  [["boot", "--engine", "qemu"], /--engine: found "qemu", expected auto, kvm or wasm/],
  [["boot", "--mmu", "ept"], /--mmu: found "ept", expected tdp or shadow/],
  [["boot", "--clock", "fast"], /--clock: found "fast", expected real or virtual/],
  [
    ["boot", "--engine", "kvm", "--clock", "virtual"],
    /option clock: found virtual with the engine kvm, expected the engine wasm with it/,
  ],
  [["boot", "--engine", "wasm", "--cpus", "9"], /option cpus: found 9 with the engine wasm/],
  [
    ["boot", "--engine", "wasm", "--trace", "mmu"],
    /memory\.paging: found mmu with the engine wasm/,
  ],
  [
    ["boot", "--engine", "wasm", "--memory", "5G"],
    /option memory: found 5368709120 bytes with the engine wasm, expected at most 4294967296/,
  ],
  [["boot", "--stats=xml"], /--stats: found "xml", expected json/],
  [["boot", "--debug-exit=3"], /--debug-exit: found the value "3", expected no value/],
  [["guest", "unpack", "one"], /found 1 paths, expected two: BZIMAGE FILE/],
  [["doctor", "please"], /Cannot use "please": expected no words/],
];

for (const [args, line] of MISTAKES) {
  const shown = ["denovisor", ...args].join(" ");
  Deno.test(`${shown} is a mistake told in one line with status 2`, async () => {
    const result = await cli(args);
    assertEquals([result.status, result.stdout], [USAGE, ""], result.stderr);
    assertEquals(said(result).length, 1, result.stderr);
    assertMatch(result.stderr, /^denovisor: [A-Z].*[^.]\n$/);
    assertMatch(result.stderr, line);
  });
}

Deno.test("--help tells every subcommand, and each subcommand its options, on stdout", async () => {
  const overview = await cli(["--help"]);
  assertEquals([overview.status, overview.stderr], [0, ""]);
  for (const name of ["boot", "guest pull", "guest unpack", "doctor"]) {
    assertStringIncludes(overview.stdout, `  ${name}`);
    const help = await cli([...name.split(" "), "--help"]);
    assertEquals([help.status, help.stderr], [0, ""]);
    assertMatch(help.stdout, new RegExp(`^Usage: denovisor ${name} \\[OPTION\\]…`));
    assert(help.stdout.split("\n").every((line) => line.length <= 100), help.stdout);
  }
});

Deno.test("boot --help has a row for each option, with its default", async () => {
  const { stdout } = await cli(["boot", "-h"]);
  const options = ["kernel FILE", "initrd FILE", "append STRING", "bios FILE", "memory SIZE"];
  for (
    const option of [
      ...options,
      "cpus N",
      "engine ENGINE",
      "mmu MODE",
      "clock CLOCK",
      "timeout SECONDS",
    ]
  ) {
    assertStringIncludes(stdout, `  --${option}`);
  }
  assertStringIncludes(stdout, "--stats[=json]");
  assertStringIncludes(stdout, "(default: 256M)");
});

Deno.test("guest --help tells the subcommands of guest only", async () => {
  const { status, stdout } = await cli(["guest", "--help"]);
  assertEquals(status, 0);
  assertStringIncludes(stdout, "guest unpack BZIMAGE FILE");
  assertEquals(stdout.includes("doctor"), false);
});

Deno.test("--version tells the version", async () => {
  const { status, stdout } = await cli(["--version"]);
  assertEquals([status, stdout], [0, `denovisor ${config.version}\n`]);
});

Deno.test(
  "kernels that cannot be read give one line with the path, and status 1",
  async () => {
    await using folder = await temporaryFolder();
    const absent = `${folder.path}/absent`;
    const cases = [[absent, absent], [folder.path, "it is a directory"]];
    for (const [path, text] of cases) {
      for (const option of ["--kernel", "--bios"]) {
        const result = await cli(["boot", option, path]);
        assertEquals([result.status, result.stdout, said(result).length], [FAILED, "", 1]);
        assertStringIncludes(result.stderr, text);
      }
    }
  },
);

Deno.test(
  "files that are no kernel give one line with the path, and status 1",
  async () => {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/not a kernel`;
    for (const contents of ["", "\x7fELF", "\x7fELF\x02\x01\x01".padEnd(600, "\xff")]) {
      await Deno.writeFile(path, Uint8Array.from(contents, (char) => char.charCodeAt(0)));
      const result = await cli(["boot", "--kernel", path, "--timeout", "10"]);
      assertEquals([result.status, result.stdout, said(result).length], [FAILED, "", 1]);
      assertStringIncludes(result.stderr, path);
    }
  },
);

Deno.test(
  "a file name with control characters cannot write to the terminal",
  async () => {
    const result = await cli(["boot", "--kernel", "/\x1b[31m\r\nfake: line"]);
    assertEquals(said(result).length, 1);
    assertEquals(result.stderr.includes("\x1b"), false);
  },
);

Deno.test("without permission to read there is one line and no question", async () => {
  const result = await cli(["boot", "--kernel", "/etc/hostname"], {
    program: denovisor("--no-prompt", "--allow-env", "--allow-ffi", `--allow-read=${SOURCES}`),
  });
  assertEquals([result.status, said(result).length], [FAILED, 1], result.stderr);
  assertStringIncludes(result.stderr, "--allow-read");
});

Deno.test("DENOVISOR_DEBUG=1 tells where an error came from, line by line", async () => {
  const result = await cli(["boot", "--kernel", "/absent"], { env: { DENOVISOR_DEBUG: "1" } });
  assertEquals(result.status, FAILED);
  assert(said(result).length > 1);
  assert(said(result).every((line) => line.startsWith("denovisor: ")), result.stderr);
  assertStringIncludes(result.stderr, ".ts:");
});
