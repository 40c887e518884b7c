import { assertEquals } from "@std/assert";
import { type EscapeCommand, EscapeKeys } from "../../../src/cli/escape_keys.ts";

function type(...chunks: string[]): { guest: string; commands: EscapeCommand[] } {
  const keys = new EscapeKeys();
  const commands: EscapeCommand[] = [];
  let guest = "";
  for (const chunk of chunks) {
    const typed = new TextEncoder().encode(chunk);
    guest += new TextDecoder().decode(keys.take(typed, (command) => commands.push(command)));
  }
  return { guest, commands };
}

Deno.test("keys other than Ctrl-A go to the guest, Ctrl-C too", () => {
  assertEquals(type("ls\r\x03\x04é"), { guest: "ls\r\x03\x04é", commands: [] });
});

Deno.test("Ctrl-A x quits and Ctrl-A h helps, wherever the chunks are cut", () => {
  assertEquals(type("a\x01xb"), { guest: "ab", commands: ["quit"] });
  assertEquals(type("a\x01", "xb"), { guest: "ab", commands: ["quit"] });
  assertEquals(type("\x01h\x01?"), { guest: "", commands: ["help", "help"] });
});

Deno.test("Ctrl-A Ctrl-A sends one Ctrl-A, after which x is an x", () => {
  assertEquals(type("\x01\x01x"), { guest: "\x01x", commands: [] });
  assertEquals(type("\x01", "\x01", "x"), { guest: "\x01x", commands: [] });
});

Deno.test("Ctrl-A and an unknown key do nothing", () => {
  assertEquals(type("\x01qx"), { guest: "x", commands: [] });
});
