import { assertEquals } from "@std/assert";
import { exitStatus } from "../../../src/cli/exit_status.ts";

Deno.test("a guest that ends itself gives 0, one that fails 1, a triple fault 3", () => {
  assertEquals(exitStatus({ kind: "power-off" }, undefined), 0);
  assertEquals(exitStatus({ kind: "reset" }, undefined), 0);
  assertEquals(exitStatus({ kind: "halted" }, undefined), 1);
  assertEquals(exitStatus({ kind: "failed", reason: "" }, undefined), 1);
  assertEquals(exitStatus({ kind: "triple-fault", reason: "" }, undefined), 3);
});

Deno.test("debug exit gives ((value << 1) | 1) & 0xff for values of any width", () => {
  const cases = [[0, 1], [0x10, 33], [0x7f, 0xff], [0x80, 1], [0xffff_ffff, 0xff], [0x100, 1]];
  for (const [value, status] of cases) {
    assertEquals(exitStatus({ kind: "debug-exit", value }, undefined), status, String(value));
  }
});

Deno.test("a run that was ended gives 124 at its time limit, 128 + N for signal N, 0 for quit", () => {
  assertEquals(exitStatus({ kind: "timeout" }, undefined), 124);
  assertEquals(exitStatus({ kind: "stopped" }, "quit"), 0);
  assertEquals(exitStatus({ kind: "stopped" }, "SIGINT"), 130);
  assertEquals(exitStatus({ kind: "stopped" }, "SIGTERM"), 143);
  assertEquals(exitStatus({ kind: "stopped" }, "SIGHUP"), 129);
  assertEquals(exitStatus({ kind: "stopped" }, "SIGPIPE"), 141);
  assertEquals(exitStatus({ kind: "stopped" }, undefined), 1);
});

Deno.test("a guest that ends itself while it is being stopped keeps its own status", () => {
  assertEquals(exitStatus({ kind: "power-off" }, "SIGINT"), 0);
  assertEquals(exitStatus({ kind: "debug-exit", value: 1 }, "quit"), 3);
});
