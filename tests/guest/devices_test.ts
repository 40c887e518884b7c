/** Port and MMIO accesses of every kind from a real guest, against devices that know what they saw. */

import { assertEquals, assertMatch } from "@std/assert";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { FifoPort, RegisterMmio, TopMmio } from "../support/guest_devices.ts";
import { testOnEngines } from "../support/engines.ts";
import { runOn } from "../support/guest_machine.ts";
import { toolchain } from "../support/requirement.ts";

const PASSED: MachineOutcome = { kind: "debug-exit", value: 0x10 };

testOnEngines(toolchain, "ports give and take every size and string form", async (engine) => {
  const device = new FifoPort();
  const { outcome, output } = await runOn(engine, "ports", (pc) => device.attach(pc));
  assertEquals([outcome, output], [
    PASSED,
    "ports: the PC answers\r\nports: the test device answers\r\n",
  ]);
});

testOnEngines(
  toolchain,
  "device memory gives and takes every size, once for each access",
  async (engine) => {
    const device = new RegisterMmio();
    const { outcome, output } = await runOn(engine, "mmio", (pc) => device.attach(pc));
    assertEquals([outcome, output], [PASSED, "mmio: ok; accesses were counted\r\n"]);
  },
);

testOnEngines(
  toolchain,
  "device memory at the top of the address space has exact addresses",
  async (engine) => {
    const device = new TopMmio();
    const { outcome, output } = await runOn(engine, "mmio_top", (pc) => device.attach(pc));
    assertEquals(outcome, PASSED, output);
    const pages = output.trimEnd().split("\r\n").map((line) => {
      assertMatch(line, /^mmio_top: 0x[0-9a-f]{16} device$/);
      return Number(line.split(" ")[1]);
    });
    const top = (pages[2] + 0x20_0000) / 2;
    assertEquals(Number.isInteger(Math.log2(top)), true, `page C at ${pages[2]}`);
    assertEquals(pages.slice(0, 2), [top + 0x40_0000, top + 0xd000_0000]);
    assertEquals(
      device.stores,
      pages.flatMap((page) => [
        `0x${(page + 0x001).toString(16)} 1 0x11`,
        `0x${(page + 0x012).toString(16)} 2 0x2222`,
        `0x${(page + 0x024).toString(16)} 4 0x44444444`,
        `0x${(page + 0x048).toString(16)} 4 0x88888888`,
        `0x${(page + 0x04c).toString(16)} 4 0x88888888`,
      ]),
    );
  },
);
