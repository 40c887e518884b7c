import { assert, assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { gpa } from "../../../src/base/u64.ts";
import type { CpuBus } from "../../../src/engine/cpu_bus.ts";
import { raise, Signal } from "../../../src/machine/signals.ts";
import { readCounters } from "../../../src/machine/stats.ts";
import { Port } from "../../../src/platform/layout.ts";
import type { Pc } from "../../../src/platform/pc.ts";
import { FakeBusEngine, fakeBusMachine, type Instruction } from "./fake_engine.ts";

/** The guest lets the RTC interrupt twice a second: rate 15 of register A, PIE of register B. */
const PERIODIC_RTC: readonly Instruction[] = [
  (bus) => bus.writePort(Port.CMOS_INDEX, 1, 0x0a),
  (bus) => bus.writePort(Port.CMOS_DATA, 1, 0x2f),
  (bus) => bus.writePort(Port.CMOS_INDEX, 1, 0x0b),
  (bus) => bus.writePort(Port.CMOS_DATA, 1, 0x42),
];
/** How exact the wall clock is, by which the RTC goes, in nanoseconds: milliseconds of 64-bit floats. */
const WALL_NS = 300;
/** What an access to a device takes by the virtual clock. */
const ACCESS_NS = 1000;
/** Takes the RTC's interrupt back, so that the next one is due. */
const READ_FLAGS: readonly Instruction[] = [
  (bus) => bus.writePort(Port.CMOS_INDEX, 1, 0x0c),
  (bus) => void bus.readPort(Port.CMOS_DATA, 1),
];
const powerOff: Instruction = (bus) => bus.writePort(Port.PM1_CONTROL, 2, 0x2000);

Deno.test("accesses in the middle of instructions reach devices, and are counted", () => {
  const seen: string[] = [];
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(4, 0x1122_3344_5566_7788n, true);
  const { machine, counters, output } = fakeBusMachine([
    (bus) => bus.writePort(0x300, 4, 0xdead_beef),
    (bus) => void seen.push(`got ${bus.readPort(0x302, 2)}`),
    (bus) => bus.writeMmio(0, 2 ** 52 - 8, 8, view, 4),
    (bus) => bus.readMmio(0, 2 ** 52 - 8, 4, view, 12),
    () => void seen.push(view.getUint32(12, true).toString(16)),
    (bus) => bus.writePort(Port.COM1, 1, 0x41),
    (bus) => void bus.readPort(0x9999, 1),
  ], {
    attach: (pc) => {
      pc.ports.claim(0x300, 4, {
        name: "test",
        readPort: (_, size) => 0x10 + size,
        writePort: (_, size, value) => void seen.push(`out ${size} ${value.toString(16)}`),
      });
      pc.mmio.claim(gpa(2 ** 52 - 8), 8, {
        name: "test",
        readMmio: (offset) => 0x77 + offset,
        writeMmio: (offset, size, value) => seen.push(`${offset} ${size} ${value.toString(16)}`),
      });
    },
  });
  assertEquals(machine.run(), { kind: "triple-fault", reason: "end of the program" });
  assertEquals(seen, ["out 4 deadbeef", "got 18", "0 4 55667788", "4 4 11223344", "77"]);
  const { exits, unclaimedPorts, instructions } = readCounters(counters);
  assertEquals([exits.portIn, exits.portOut, exits.mmioRead, exits.mmioWrite], [2, 2, 1, 1]);
  assertEquals([output, unclaimedPorts, instructions], [[0x41], 1, 7]);
});

Deno.test("a device that ends the run lets the guest retire no other instruction", () => {
  const { machine, engine } = fakeBusMachine([10, powerOff, 10]);
  assertEquals([machine.run(), engine.retired], [{ kind: "power-off" }, 11]);
});

Deno.test("by the virtual clock an instruction takes a nanosecond and a device is due to the instruction", () => {
  const { machine, engine, counters } = fakeBusMachine([
    99_990, // the deadline moves in the middle of the first slice
    ...PERIODIC_RTC,
    600_000_000,
  ]);
  machine.run();
  const expected = 500_000_000 - 4 * ACCESS_NS;
  const due = engine.slices.find((at) => at > expected - WALL_NS) ?? 0;
  assert(due < expected + WALL_NS, `the slice ended at ${due}`);
  const { guestSeconds, instructions } = readCounters(counters);
  assertEquals([guestSeconds, instructions], [0.600_103_994, 600_099_994]);
});

Deno.test("a deadline that moves into the current slice ends the slice in time", () => {
  const { machine, engine } = fakeBusMachine([
    960_000, // slices end at 900,000 and at 1,000,000
    (bus) => bus.writePort(Port.CMOS_INDEX, 1, 0x0b),
    (bus) => bus.writePort(Port.CMOS_DATA, 1, 0x42), // 1024 times a second
    50_000,
  ]);
  machine.run();
  const [last] = engine.slices.filter((at) => at > 950_000);
  const expected = 1e9 / 1024 - 2 * ACCESS_NS;
  assert(Math.abs(last - expected) < WALL_NS, `the slice ended at ${last}`);
});

Deno.test("accesses bring a deadline nearer than the slice's instructions say", () => {
  const accesses = 20;
  const { machine, engine } = fakeBusMachine([
    ...PERIODIC_RTC,
    499_960_000, // in the slice before the deadline
    ...Array.from({ length: accesses }, () => (bus: CpuBus) => void bus.readPort(Port.POST, 1)),
    200_000,
  ]);
  machine.run();
  const expected = 500_000_000 - (4 + accesses) * ACCESS_NS;
  const due = engine.slices.find((at) => at > 499_950_000) ?? 0;
  assert(Math.abs(due - expected) < WALL_NS, `the slice ended at ${due}`);
});

Deno.test("by the virtual clock a guest that waits is at its next deadline at once", () => {
  const times: number[] = [];
  const parts = fakeBusMachine([
    ...PERIODIC_RTC,
    "hlt",
    ...READ_FLAGS,
    () => void times.push(parts.clock.nowNs()),
    1_000_000,
    "hlt",
    ...READ_FLAGS,
    () => void times.push(parts.clock.nowNs(), parts.clock.wallMs()),
  ], { attach: wakeOnPoll(() => parts.engine.wake()) });
  const before = performance.now();
  parts.machine.run();
  assert(performance.now() - before < 400, "it waited");
  const reading = 2 * ACCESS_NS;
  assert(Math.abs(times[0] - 500_000_000 - reading) < WALL_NS, String(times));
  assert(Math.abs(times[1] - 1_000_000_000 - reading) < WALL_NS, String(times));
  assertEquals(Math.floor(times[2]), Date.UTC(2026, 0, 1, 0, 0, 1));
  assertEquals(parts.engine.retired, 1_000_012);
  assertEquals(readCounters(parts.counters).exits.halt, 2);
});

Deno.test("a guest that waits for input only sleeps until there is some", () => {
  const parts = fakeBusMachine([
    () => void raise(parts.signals, Signal.INPUT),
    "hlt",
    powerOff,
  ], { attach: wakeOnPoll(() => parts.engine.wake()) });
  assertEquals(parts.machine.run(), { kind: "power-off" });
  assertEquals(parts.clock.nowNs(), 3 + ACCESS_NS, "time went on while the guest slept");
});

Deno.test("a guest that waits with interrupts off is halted for good, whatever its devices do", () => {
  for (const devices of [[], PERIODIC_RTC]) {
    const { machine, engine } = fakeBusMachine([...devices, "hlt"]);
    engine.interruptsOn = false;
    assertEquals(machine.run(), { kind: "halted" });
  }
});

Deno.test("a guest that never waits is stopped within a slice", () => {
  const parts = fakeBusMachine([() => void raise(parts.signals, Signal.STOP), 1_000_000]);
  assertEquals(parts.machine.run(), { kind: "stopped" });
  assertEquals(parts.engine.retired, 100_000);
});

Deno.test("a machine that was stopped before it ran runs no instruction", () => {
  const { machine, engine, signals } = fakeBusMachine([powerOff]);
  raise(signals, Signal.STOP);
  assertEquals([machine.run(), engine.retired], [{ kind: "stopped" }, 0]);
});

Deno.test("two runs by the virtual clock have the same slices and the same time", () => {
  const program = [12_345, ...PERIODIC_RTC, 700_000, powerOff];
  const [one, two] = [1, 2].map(() => {
    const { machine, engine, clock } = fakeBusMachine(program);
    return [machine.run(), engine.slices, clock.nowNs(), clock.wallMs()];
  });
  assertEquals(one, two);
});

Deno.test("a machine that cannot load its guest gives an engine on its bus back", () => {
  const engines: FakeBusEngine[] = [];
  const create = (bus: CpuBus) => {
    engines.push(new FakeBusEngine(bus, []));
    return engines[0];
  };
  const source = { kernel: { name: "nothing", bytes: new Uint8Array(0) } };
  const engine = { irqchip: "machine", create } as const;
  assertThrows(() => fakeBusMachine([], { engine, source }), DenovisorError);
  assertEquals(engines[0].disposed, 1);
});

/** Tells the test when the machine polls its devices. */
function wakeOnPoll(wake: () => void): (pc: Pc) => void {
  return (pc) => {
    const { poll } = pc;
    pc.poll = () => {
      poll();
      wake();
    };
  };
}
