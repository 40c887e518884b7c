import { assertEquals } from "@std/assert";
import { DebugExit } from "../../../src/devices/debug_exit.ts";
import { Debugcon } from "../../../src/devices/debugcon.ts";
import { TestPower, TestSink } from "./doubles.ts";

Deno.test("debug console reads as 0xe9 and puts out what is written to it", () => {
  const sink = new TestSink();
  const console = new Debugcon("debug console", sink);
  assertEquals(console.readPort(0x402, 1), 0xe9);
  console.writePort(0x402, 1, 0x41);
  assertEquals(sink.text, "A");
});

Deno.test("debug exit reports the value of a write of any width", () => {
  const power = new TestPower();
  const device = new DebugExit(power.sink);
  device.writePort(0xf4, 1, 0x10);
  device.writePort(0xf4, 2, 0x1234);
  device.writePort(0xf4, 4, 0xffff_ffff);
  assertEquals(power.events.map((event) => event.kind === "debug-exit" && event.value), [
    0x10,
    0x1234,
    0xffff_ffff,
  ]);
  assertEquals(device.readPort(), 0);
});
