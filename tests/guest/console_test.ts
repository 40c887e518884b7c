/** The console of real guests. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa } from "../../src/base/u64.ts";
import { Vm } from "../../src/vm/vm.ts";
import { checkFlood, checkPaste } from "../support/console_guests.ts";
import { testOnEngines } from "../support/engines.ts";
import { toolchain } from "../support/requirement.ts";
import { bootCode, bootGuest, GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

testOnEngines(
  toolchain,
  "pasted input comes back from an echoing guest complete",
  async (engine) => {
    await checkPaste(engine, 16 * 1024, GUEST_TIMEOUT_MS);
  },
);

testOnEngines(toolchain, "a flood of output arrives complete", async (engine) => {
  await checkFlood(engine, 32, GUEST_TIMEOUT_MS);
});

testOnEngines(
  toolchain,
  "the built-in guest is booted when nothing else is given",
  async (engine) => {
    await using vm = await Vm.boot({ engine, memory: "32M", timeoutMs: GUEST_TIMEOUT_MS });
    assertEquals(vm.description, "Multiboot, address fields");
    await vm.console.expect("powers off\r\n> ");
    await vm.console.sendLine("good morning");
    assertEquals((await vm.console.expect(/You typed: (.*)\r\n/)).groups, ["good morning"]);
    await vm.console.sendLine("quit");
    assertEquals(await vm.wait(), { kind: "power-off" });
  },
);

testOnEngines(toolchain, "a guest gets its command line", async (engine) => {
  const options = { engine, memory: "32M", append: "auto one=1", timeoutMs: GUEST_TIMEOUT_MS };
  await using vm = await Vm.boot(options);
  assertStringIncludes((await vm.console.expect(/Command line: .*\r/)).text, "auto one=1");
  assertEquals(await vm.wait(), { kind: "power-off" });
});

testOnEngines(
  toolchain,
  "expect fails at once when the guest ends without the text",
  async (engine) => {
    await using vm = await bootGuest("hello", { engine, debugExit: true });
    const error = await assertRejects(() => vm.console.expect("login: "), DenovisorError);
    assertEquals(error.code, "guest-ended");
    assertStringIncludes(error.message, "hello from the guest");
  },
);

testOnEngines(toolchain, "a guest that waits for a reader can be stopped", async (engine) => {
  // mov dx, 0x3f8; 1: out dx, al; jmp 1b
  await using vm = await bootCode([0xba, 0xf8, 0x03, 0xee, 0xeb, 0xfd], { engine });
  const reader = vm.console.readable.getReader();
  await reader.read(); // and no more
  const before = performance.now();
  assertEquals(await vm.stop(), { kind: "stopped" });
  assert(performance.now() - before < 1000);
});

testOnEngines(toolchain, "the debug consoles have a stream of their own", async (engine) => {
  // mov al, 'x'; out 0xe9, al; mov dx, 0x402; out dx, al; mov al, 0xfe; out 0x64, al; hlt
  const code = [0xb0, 0x78, 0xe6, 0xe9, 0xba, 0x02, 0x04, 0xee, 0xb0, 0xfe, 0xe6, 0x64, 0xf4];
  await using vm = await bootCode(code, { engine });
  assertEquals(await vm.wait(), { kind: "reset" });
  assertEquals([vm.debug.transcript, vm.console.transcript], ["xx", ""]);
});

testOnEngines(
  toolchain,
  "guest memory can be read, searched and written while the guest runs",
  async (engine) => {
    // 1: cmp byte [0x9000], 0; je 1b; mov al, 0xfe; out 0x64, al; hlt
    const code = [0x80, 0x3e, 0x00, 0x90, 0x00, 0x74, 0xf9, 0xb0, 0xfe, 0xe6, 0x64, 0xf4];
    await using vm = await bootCode(code, { engine });
    assertEquals(vm.memory.find(Uint8Array.from(code)), gpa(0x7c00));
    assertEquals(vm.memory.readU8(gpa(0x7c00)), 0x80);
    vm.memory.writeU8(gpa(0x9000), 1);
    assertEquals(await vm.wait(), { kind: "reset" });
    assertEquals(vm.memory.readU8(gpa(0x9000)), 1);
  },
);

testOnEngines(toolchain, "what a guest did is counted, while it runs and after", async (engine) => {
  await using vm = await bootGuest("hello", { engine, debugExit: true });
  await vm.console.expect("guest");
  assert(vm.stats().exits.portOut > 0);
  await vm.wait();
  const stats = vm.stats();
  assertEquals(stats.engine, engine);
  if (engine === "kvm") {
    assert(stats.engineCounters.io_exits === stats.exits.portIn + stats.exits.portOut);
  } else {
    assert(stats.instructions > stats.exits.portOut, JSON.stringify(stats));
    // By the virtual clock an instruction takes a nanosecond and an access to a port a microsecond.
    const ns = stats.instructions + 1000 * (stats.exits.portIn + stats.exits.portOut);
    assert(Math.abs(stats.guestSeconds * 1e9 - ns) < 1, JSON.stringify(stats));
  }
  assert(stats.startup.readyMs > 0 && stats.startup.firstInstructionMs >= stats.startup.readyMs);
  assert(stats.wallSeconds > 0 && stats.wallSeconds === vm.stats().wallSeconds);
});
