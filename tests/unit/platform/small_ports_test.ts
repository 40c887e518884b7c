import { assertEquals } from "@std/assert";
import { PostPort } from "../../../src/platform/post_port.ts";
import { SystemControlA } from "../../../src/platform/system_control.ts";
import { TestPower } from "../devices/doubles.ts";

Deno.test("POST port keeps the last code", () => {
  const port = new PostPort();
  port.writePort(0x80, 1, 0x3f);
  assertEquals([port.readPort(0x80, 1), port.code], [0x3f, 0x3f]);
});

Deno.test("system control port A resets on the rise of bit 0 and keeps the A20 bit", () => {
  const power = new TestPower();
  const port = new SystemControlA(power.sink);
  assertEquals(port.readPort(0x92, 1), 0x02);
  port.writePort(0x92, 1, 0x00);
  assertEquals(port.readPort(0x92, 1), 0x00);
  port.writePort(0x92, 1, 0x02);
  assertEquals(power.events, []);
  port.writePort(0x92, 1, 0x03);
  port.writePort(0x92, 1, 0x03);
  assertEquals(power.events, [{ kind: "reset" }]);
});
