import { assertEquals } from "@std/assert";
import type { AccessSize } from "../../../src/devices/device.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { buildPc, type PcOptions } from "../../../src/platform/pc.ts";
import { TestClock, TestIrq, TestPower, TestSink, TestSource } from "../devices/doubles.ts";

function board(changes: Partial<PcOptions> = {}) {
  const clock = new TestClock(Date.UTC(2024, 0, 1));
  const power = new TestPower();
  const source = new TestSource();
  const sink = new TestSink();
  const irqs = new Map<number, TestIrq>();
  const irq = (gsi: number): TestIrq => {
    const line = irqs.get(gsi) ?? new TestIrq();
    irqs.set(gsi, line);
    return line;
  };
  const pc = buildPc({
    cpus: 2,
    memory: GuestMemory.allocate(2 * 1024 * 1024),
    memoryMap: [],
    clock,
    console: { input: source, output: sink },
    irq,
    power: power.sink,
    debugExit: false,
    ...changes,
  });
  return { pc, clock, power, source, sink, irq };
}

Deno.test("PC has a device at each port of the layout, and none elsewhere", () => {
  const { pc } = board();
  const unclaimed = (): number => pc.ports.unclaimedReads + pc.ports.unclaimedWrites;
  const claimed: number[] = [];
  for (let port = 0; port < 0x10000; port++) {
    const before = unclaimed();
    pc.ports.read(port, 1);
    if (unclaimed() === before) claimed.push(port);
  }
  const run = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
  assertEquals(claimed, [
    ...[0x60, 0x64, 0x70, 0x71, 0x80, 0x92],
    ...run(0x3f8, 8),
    ...run(0x510, 2),
    ...run(0x514, 8),
    ...run(0x600, 12),
    ...run(0xcf8, 8),
  ]);
});

Deno.test("PC sends the interrupts of its devices to their GSIs", () => {
  const { pc, clock, source, irq } = board();
  const out = (port: number, value: number, size: AccessSize = 1) =>
    pc.ports.write(port, size, value);
  out(0x3f9, 1);
  source.type("x");
  pc.poll();
  assertEquals(irq(4).level, true);
  out(0x60, 0xf2);
  assertEquals(irq(1).level, true);
  out(0x70, 0x0b);
  out(0x71, 0x12);
  assertEquals(pc.nextDeadlineNs(), 1e9);
  clock.ns = pc.nextDeadlineNs();
  pc.poll();
  assertEquals(irq(8).level, true);
  pc.pm.pressPowerButton();
  out(0x602, 0x0100, 2);
  assertEquals(irq(9).level, true);
});

Deno.test("PC ends the run by every way that a guest may take", () => {
  const { pc, power } = board({ debugExit: true });
  const ways: [number, AccessSize, number][] = [
    [0x604, 2, 0x2000],
    [0xcf9, 1, 0x06],
    [0x64, 1, 0xfe],
    [0x92, 1, 0x03],
    [0xf4, 4, 0x31],
  ];
  for (const [port, size, value] of ways) pc.ports.write(port, size, value);
  assertEquals(power.events.map((event) => event.kind), [
    ...["power-off", "reset", "reset", "reset", "debug-exit"],
  ]);
});

Deno.test("PC has debug ports only where they are asked for", () => {
  const without = board();
  for (const port of [0xe9, 0x402, 0xf4]) assertEquals(without.pc.ports.read(port, 1), 0xff);
  without.pc.ports.write(0xf4, 1, 0);
  assertEquals(without.power.events, []);
  const debugOutput = new TestSink();
  const firmwareLog = new TestSink();
  const { pc } = board({ debugOutput, firmwareLog });
  assertEquals([pc.ports.read(0xe9, 1), pc.ports.read(0x402, 1)], [0xe9, 0xe9]);
  assertEquals([pc.ports.read(0xea, 1), pc.ports.read(0x403, 1)], [0xff, 0xff]);
  pc.ports.write(0xe9, 1, 0x41);
  pc.ports.write(0x402, 1, 0x42);
  assertEquals([debugOutput.text, firmwareLog.text], ["A", "B"]);
});

Deno.test("PC has the files that firmware is given", () => {
  const files = [{ name: "opt/greeting", bytes: new TextEncoder().encode("hello") }];
  const { pc } = board({ firmware: { files } });
  const bytes = new DataView(new ArrayBuffer(4096));
  pc.ports.write(0x510, 2, 0x19);
  pc.ports.readString(0x511, 1, 4 + 64 * 32, bytes, 0);
  const count = bytes.getUint32(0);
  pc.ports.write(0x510, 2, bytes.getUint16(4 + 64 * (count - 1) + 4));
  pc.ports.readString(0x511, 1, 5, bytes, 0);
  assertEquals(new TextDecoder().decode(new Uint8Array(bytes.buffer, 0, 5)), "hello");
});

Deno.test("PC tells the number of processors and the console through fw_cfg", () => {
  const { pc, sink } = board();
  pc.ports.write(0x510, 2, 0x05);
  assertEquals(pc.ports.read(0x511, 1), 2);
  pc.ports.write(0x3f8, 1, 0x2e);
  assertEquals(sink.text, ".");
  assertEquals(new TextDecoder().decode(pc.acpiTables.subarray(0, 8)), "RSD PTR ");
});
