import { assertEquals, assertStringIncludes } from "@std/assert";
import { guestPath } from "../../tools/guests.ts";
import { denovisor } from "../support/cli.ts";
import { type EngineName, testOnEngines } from "../support/engines.ts";
import { all, toolchain } from "../support/requirement.ts";
import { Terminal, terminals } from "../support/terminal.ts";

const needs = all(toolchain, terminals);

/** The echo guest on a terminal whose modes are shown before and after, with the exit status. */
async function echoGuest(engine: EngineName): Promise<Terminal> {
  const run = [
    ...denovisor(),
    "boot",
    "--engine",
    engine,
    "--debug-exit",
    "--kernel",
    await guestPath("echo"),
  ];
  const quoted = run.map((word) => `'${word}'`).join(" ");
  const inner = `echo "pid $$."; exec ${quoted}`.replaceAll(`'`, `'\\''`);
  return new Terminal(
    `echo "before $(stty -g)."; sh -c '${inner}'; echo "status $?."; echo "after $(stty -g)."`,
  );
}

/** Waits for the end and checks the status and that the terminal is as it was. */
async function endsRestored(terminal: Terminal, status: number): Promise<void> {
  const screen = await terminal.end();
  assertStringIncludes(screen, `status ${status}.`);
  const modes = (when: string) => new RegExp(`${when} ([0-9a-f:]+)\\.`).exec(screen)?.[1];
  assertEquals(modes("after"), modes("before"), screen);
}

testOnEngines(needs, "Ctrl-A x quits with status 0 and the terminal as it was", async (engine) => {
  await using terminal = await echoGuest(engine);
  await terminal.until(/ready/);
  await terminal.type("\x01x");
  await endsRestored(terminal, 0);
});

testOnEngines(needs, "the guest's own end leaves the terminal as it was", async (engine) => {
  await using terminal = await echoGuest(engine);
  await terminal.until(/ready/);
  await terminal.type("\x04");
  await endsRestored(terminal, 33);
});

testOnEngines(
  needs,
  "keys reach the guest one by one, Ctrl-C and Ctrl-A Ctrl-A too",
  async (engine) => {
    await using terminal = await echoGuest(engine);
    await terminal.until(/ready/);
    await terminal.type("a\x03b\x01\x01c\x1a");
    // deno-lint-ignore no-control-regex -- they are what was typed
    await terminal.until(/a\x03b\x01c\x1a/);
    await terminal.type("\x01x");
    await endsRestored(terminal, 0);
  },
);

testOnEngines(needs, "Ctrl-A h tells the keys, on a line of its own", async (engine) => {
  await using terminal = await echoGuest(engine);
  await terminal.until(/ready/);
  await terminal.type("some text");
  await terminal.until(/some text/);
  await terminal.type("\x01h");
  await terminal.until(/some text\r\ndenovisor: Ctrl-A x quits/);
  await terminal.type("\x01x");
  await endsRestored(terminal, 0);
});

for (const [signal, status] of [["SIGTERM", 143], ["SIGHUP", 129], ["SIGINT", 130]] as const) {
  testOnEngines(needs, `${signal} leaves the terminal as it was`, async (engine) => {
    await using terminal = await echoGuest(engine);
    const [, pid] = await terminal.until(/pid (\d+)\./);
    await terminal.until(/ready/);
    Deno.kill(Number(pid), signal);
    await endsRestored(terminal, status);
  });
}

testOnEngines(
  needs,
  "a guest that does not read its console still lets Ctrl-A x through",
  async (engine) => {
    const run = [
      ...denovisor(),
      "boot",
      "--engine",
      engine,
      "--kernel",
      await guestPath("endless_loop"),
    ];
    await using terminal = new Terminal(run.map((word) => `'${word}'`).join(" "));
    await terminal.until(/looping/);
    for (let i = 0; i < 40; i++) await terminal.type("x".repeat(3000));
    await terminal.type("\x01x");
    await terminal.end();
  },
);
