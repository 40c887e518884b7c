/** Port and MMIO accesses of every kind from a real guest, against devices that know what they saw. */

import { assertEquals, assertMatch } from "@std/assert";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { FifoPort, RegisterMmio, TopMmio } from "../support/guest_devices.ts";
import { runOnKvm } from "../support/kvm_machine.ts";
import { testWith } from "../support/requirement.ts";
import { kvmGuests } from "../support/vm_guest.ts";

const PASSED: MachineOutcome = { kind: "debug-exit", value: 0x10 };

testWith(kvmGuests, "ports give and take every size and string form", async () => {
  const device = new FifoPort();
  const { outcome, output } = await runOnKvm("ports", (pc) => device.attach(pc));
  assertEquals([outcome, output], [
    PASSED,
    "ports: the PC answers\r\nports: the test device answers\r\n",
  ]);
});

testWith(kvmGuests, "device memory gives and takes every size, once for each access", async () => {
  const device = new RegisterMmio();
  const { outcome, output } = await runOnKvm("mmio", (pc) => device.attach(pc));
  assertEquals([outcome, output], [PASSED, "mmio: ok; accesses were counted\r\n"]);
});

testWith(
  kvmGuests,
  "device memory at the top of the address space has exact addresses",
  async () => {
    const device = new TopMmio();
    const { outcome, output } = await runOnKvm("mmio_top", (pc) => device.attach(pc));
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
