import { assertEquals, assertStringIncludes } from "@std/assert";
import { guestPath } from "../../tools/guests.ts";
import { denovisor } from "../support/cli.ts";
import { all, testWith } from "../support/requirement.ts";
import { Terminal, terminals } from "../support/terminal.ts";
import { kvmGuests } from "../support/vm_guest.ts";

const needs = all(kvmGuests, terminals);

/** The echo guest on a terminal whose modes are shown before and after, with the exit status. */
async function echoGuest(): Promise<Terminal> {
  const run = [...denovisor(), "boot", "--debug-exit", "--kernel", await guestPath("echo")];
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

testWith(needs, "Ctrl-A x quits with status 0 and the terminal as it was", async () => {
  await using terminal = await echoGuest();
  await terminal.until(/ready/);
  await terminal.type("\x01x");
  await endsRestored(terminal, 0);
});

testWith(needs, "the guest's own end leaves the terminal as it was", async () => {
  await using terminal = await echoGuest();
  await terminal.until(/ready/);
  await terminal.type("\x04");
  await endsRestored(terminal, 33);
});

testWith(needs, "keys reach the guest one by one, Ctrl-C and Ctrl-A Ctrl-A too", async () => {
  await using terminal = await echoGuest();
  await terminal.until(/ready/);
  await terminal.type("a\x03b\x01\x01c\x1a");
  // deno-lint-ignore no-control-regex -- they are what was typed
  await terminal.until(/a\x03b\x01c\x1a/);
  await terminal.type("\x01x");
  await endsRestored(terminal, 0);
});

testWith(needs, "Ctrl-A h tells the keys, on a line of its own", async () => {
  await using terminal = await echoGuest();
  await terminal.until(/ready/);
  await terminal.type("some text");
  await terminal.until(/some text/);
  await terminal.type("\x01h");
  await terminal.until(/some text\r\ndenovisor: Ctrl-A x quits/);
  await terminal.type("\x01x");
  await endsRestored(terminal, 0);
});

for (const [signal, status] of [["SIGTERM", 143], ["SIGHUP", 129], ["SIGINT", 130]] as const) {
  testWith(needs, `${signal} leaves the terminal as it was`, async () => {
    await using terminal = await echoGuest();
    const [, pid] = await terminal.until(/pid (\d+)\./);
    await terminal.until(/ready/);
    Deno.kill(Number(pid), signal);
    await endsRestored(terminal, status);
  });
}

testWith(needs, "a guest that does not read its console still lets Ctrl-A x through", async () => {
  const run = [...denovisor(), "boot", "--kernel", await guestPath("endless_loop")];
  await using terminal = new Terminal(run.map((word) => `'${word}'`).join(" "));
  await terminal.until(/looping/);
  for (let i = 0; i < 40; i++) await terminal.type("x".repeat(3000));
  await terminal.type("\x01x");
  await terminal.end();
});
