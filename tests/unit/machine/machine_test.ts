import { assert, assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { gpa } from "../../../src/base/u64.ts";
import { Event, MpState, State } from "../../../src/cpu/state.ts";
import { ExitCode } from "../../../src/engine/engine.ts";
import { raise, Signal } from "../../../src/machine/signals.ts";
import { Counter, readCounters } from "../../../src/machine/stats.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { Gsi, Port } from "../../../src/platform/layout.ts";
import { FakeEngine, fakeMachine, inp, out, shutdown, type Step } from "./fake_engine.ts";

/** RFLAGS.IF. */
const INTERRUPTS_ON = 1n << 9n;

Deno.test("a machine starts vCPU 0 at the entry that the loader gives", () => {
  const { machine, engine } = fakeMachine([shutdown]);
  assertEquals(engine.vcpus[0].state.get(State.RIP), 0x7c00n);
  assertEquals(machine.entry.description, "flat image at 0x7c00, 16-bit entry");
});

Deno.test("all vCPUs start with the memory types of vCPU 0, and else as they were", () => {
  const memory = GuestMemory.allocate(2 * 1024 ** 2);
  const { engine } = fakeMachine([], { memory, cpus: 3 });
  const types = engine.vcpus.map(({ state }) => state.msr(0x2ff));
  assertEquals(types, Array(3).fill(engine.vcpus[0].state.msr(0x2ff)));
  assertEquals(types[0], 0x806n);
  assertEquals(engine.vcpus[2].state.get(State.RIP), 0n);
});

Deno.test("a machine puts the ACPI tables where it tells the guest that they are", () => {
  const memory = GuestMemory.allocate(2 * 1024 ** 2);
  fakeMachine([], { memory });
  const signature = new Uint8Array(8);
  memory.read(gpa(0xe0000), signature);
  assertEquals(new TextDecoder().decode(signature), "RSD PTR ");
});

Deno.test("port exits of every size and count reach the devices", () => {
  const seen: string[] = [];
  let step = 0;
  const { machine } = fakeMachine([
    out(0x300, 0x1234_5678, 4),
    ...inp(0x304, (value) => seen.push(`got ${value.toString(16)}`), 4),
    (exit) => { // rep outsw of three values, in the middle of a buffer
      const data = new DataView(new ArrayBuffer(64));
      for (let i = 0; i < 3; i++) data.setUint16(10 + 2 * i, 0x1100 + i, true);
      Object.assign(exit, { port: 0x308, size: 2, count: 3, offset: 10, data });
      return ExitCode.PORT_OUT;
    },
    (exit) => { // rep insb of four values
      Object.assign(exit, { port: 0x30c, size: 1, count: 4, offset: 10 });
      return ExitCode.PORT_IN;
    },
    (exit) => {
      seen.push(`string ${[0, 1, 2, 3].map((i) => exit.data.getUint8(10 + i))}`);
      return shutdown(exit);
    },
  ], {
    attach: (pc) =>
      pc.ports.claim(0x300, 16, {
        name: "test",
        readPort: (port, size) => {
          seen.push(`in ${port.toString(16)} ${size}`);
          return size === 4 ? 0x8765_4321 : ++step;
        },
        writePort: (port, size, value) => {
          seen.push(`out ${port.toString(16)} ${size} ${value.toString(16)}`);
        },
      }),
  });
  machine.run();
  assertEquals(seen, [
    "out 300 4 12345678",
    "in 304 4",
    "got 87654321",
    "out 308 2 1100",
    "out 308 2 1101",
    "out 308 2 1102",
    ...Array(4).fill("in 30c 1"),
    "string 1,2,3,4",
  ]);
});

Deno.test("MMIO exits of 8 bytes reach devices at the top of the address space", () => {
  const top = 2 ** 52 - 8;
  const seen: string[] = [];
  const { machine } = fakeMachine([
    (exit) => {
      const data = new DataView(new ArrayBuffer(16));
      data.setBigUint64(8, 0x1122_3344_5566_7788n, true);
      Object.assign(exit, { gpa: top, size: 8, count: 1, offset: 8, data });
      return ExitCode.MMIO_WRITE;
    },
    () => ExitCode.MMIO_READ,
    (exit) => {
      seen.push(exit.data.getBigUint64(8, true).toString(16));
      return shutdown(exit);
    },
  ], {
    attach: (pc) =>
      pc.mmio.claim(gpa(top), 8, {
        name: "test",
        readMmio: (offset, size) => 0x10 * size + offset,
        writeMmio: (offset, size, value) => seen.push(`${offset} ${size} ${value.toString(16)}`),
      }),
  });
  machine.run();
  assertEquals(seen, ["0 4 55667788", "4 4 11223344", "4400000040"]);
});

Deno.test("what the guest writes to COM1 and to the debug console goes out on its own stream", () => {
  const { machine, output, debug } = fakeMachine([
    out(Port.COM1, 0x41),
    out(Port.DEBUGCON, 0x42),
    out(Port.SEABIOS_DEBUGCON, 0x43),
    shutdown,
  ]);
  machine.run();
  assertEquals([output, debug], [[0x41], [0x42, 0x43]]);
});

Deno.test("console input raises the UART's interrupt when the machine is told of it", () => {
  const { machine, engine, input, signals } = fakeMachine([
    out(Port.COM1 + 1, 1),
    () => {
      input.push(0x61);
      raise(signals, Signal.INPUT);
      return ExitCode.KICKED;
    },
    () => {
      assertEquals(engine.lines.get(Gsi.COM1), true);
      return ExitCode.BUDGET;
    },
    ...inp(Port.COM1, (value) => assertEquals(value, 0x61)),
    shutdown,
  ]);
  machine.run();
  assertEquals(engine.lines.get(Gsi.COM1), false);
});

Deno.test("each way to end gives its outcome", () => {
  const system = (eventReset: boolean): Step => (exit) => {
    exit.eventReset = eventReset;
    return ExitCode.SYSTEM_EVENT;
  };
  const failed: Step = (exit) => {
    exit.reason = "no such instruction";
    return ExitCode.FAILED;
  };
  const cases: [Step, unknown][] = [
    [out(Port.PM1_CONTROL, 0x2000, 2), { kind: "power-off" }],
    [out(Port.I8042_COMMAND, 0xfe), { kind: "reset" }],
    [out(Port.DEBUG_EXIT, 0xdead_beef, 4), { kind: "debug-exit", value: 0xdead_beef }],
    [shutdown, { kind: "triple-fault", reason: "end of the script" }],
    [system(true), { kind: "reset" }],
    [system(false), { kind: "power-off" }],
    [failed, { kind: "failed", reason: "no such instruction" }],
  ];
  for (const [step, outcome] of cases) {
    const { machine, engine } = fakeMachine([step, shutdown]);
    assertEquals(machine.run(), outcome as never);
    assertEquals(engine.left, 1, "the machine stops before the guest's next instruction");
  }
});

Deno.test("the first reason to end is the outcome", () => {
  const { machine } = fakeMachine([
    (exit) => { // rep outsb of two values
      const data = new DataView(new ArrayBuffer(2));
      data.setUint16(0, 0x0201, true);
      Object.assign(exit, { port: Port.DEBUG_EXIT, size: 1, count: 2, offset: 0, data });
      return ExitCode.PORT_OUT;
    },
  ]);
  assertEquals(machine.run(), { kind: "debug-exit", value: 1 });
});

Deno.test("a machine that was stopped before it ran does not run", () => {
  const { machine, engine, signals } = fakeMachine([shutdown]);
  raise(signals, Signal.STOP);
  assertEquals(machine.run(), { kind: "stopped" });
  assertEquals(engine.left, 1);
});

Deno.test("a kick without a signal goes on, with the stop signal it ends the run", () => {
  const { machine, signals } = fakeMachine([
    () => ExitCode.KICKED,
    () => {
      raise(signals, Signal.STOP);
      return ExitCode.KICKED;
    },
  ]);
  assertEquals(machine.run(), { kind: "stopped" });
});

Deno.test("without the debug-exit device port 0xf4 is nothing", () => {
  const { machine, counters } = fakeMachine([out(Port.DEBUG_EXIT, 1), shutdown], {
    debugExit: false,
  });
  assertEquals(machine.run().kind, "triple-fault");
  assertEquals(readCounters(counters).unclaimedPorts, 1);
});

Deno.test("a guest is halted for good when no vCPU can ever be woken", () => {
  const on = INTERRUPTS_ON;
  const { HALTED, RUNNABLE, UNINITIALIZED } = MpState;
  const cases: [mp: number, rflags: bigint, nmi: number, halted: boolean][] = [
    [HALTED, 2n, 0, true],
    [HALTED, 2n | on, 0, false],
    [HALTED, 2n, 1, false],
    [RUNNABLE, 2n, 0, false],
  ];
  for (const [mp, rflags, nmi, halted] of cases) {
    for (const last of [UNINITIALIZED, HALTED, RUNNABLE]) {
      const { machine, engine, signals } = fakeMachine([
        () => {
          const [boot, , third] = engine.vcpus;
          boot.state.setEvent(Event.MP_STATE, mp);
          boot.state.setEvent(Event.NMI, nmi);
          boot.state.set(State.RFLAGS, rflags);
          engine.vcpus[1].state.setEvent(Event.MP_STATE, UNINITIALIZED);
          third.state.setEvent(Event.MP_STATE, last);
          raise(signals, Signal.CHECK_HALT);
          return ExitCode.KICKED;
        },
        shutdown,
      ], { cpus: 3 });
      const expected = halted && last !== RUNNABLE ? "halted" : "triple-fault";
      assertEquals(machine.run().kind, expected, `${mp} ${rflags} ${nmi}, the last vCPU ${last}`);
    }
  }
});

Deno.test("a guest that waits for an interrupt sleeps until its device is due", () => {
  const { machine, engine, clock } = fakeMachine([
    ...periodicRtc(),
    () => {
      engine.vcpus[0].state.setEvent(Event.MP_STATE, MpState.HALTED);
      engine.vcpus[0].state.set(State.RFLAGS, INTERRUPTS_ON);
      clock.ns = 2e9; // longer than the machine will sleep
      return ExitCode.HALT;
    },
    () => {
      assertEquals(engine.lines.get(Gsi.RTC), true);
      return ExitCode.FAILED;
    },
  ]);
  assertEquals(machine.run().kind, "failed");
});

Deno.test("a device's deadline becomes an alarm, and the alarm its interrupt", () => {
  const { machine, engine, clock, signals, alarms } = fakeMachine([
    ...periodicRtc(),
    () => {
      assertEquals(alarms.length, 1);
      const waitMs = alarms[0] - (performance.timeOrigin + performance.now());
      assert(waitMs > 400 && waitMs <= 500, `the RTC is due in ${waitMs} ms`);
      clock.ns = 5e8;
      raise(signals, Signal.DEADLINE);
      return ExitCode.KICKED;
    },
    () => {
      assertEquals(engine.lines.get(Gsi.RTC), true);
      return ExitCode.BUDGET;
    },
    out(Port.CMOS_INDEX, 0x0c),
    ...inp(Port.CMOS_DATA, () => {}), // takes the interrupt back
    () => {
      assertEquals(alarms.length, 2, "the next period");
      return ExitCode.FAILED;
    },
  ]);
  machine.run();
});

Deno.test("exits and unclaimed accesses are counted", () => {
  const { machine, counters } = fakeMachine([
    out(0x9999, 1),
    ...inp(0x9999, () => {}),
    (exit) => {
      exit.gpa = 0x1_0000_0000;
      exit.size = 4;
      return ExitCode.MMIO_READ;
    },
    () => ExitCode.KICKED,
    shutdown,
  ]);
  assertEquals(readCounters(counters).wallSeconds, 0);
  machine.run();
  const stats = readCounters(counters);
  assertEquals(stats.exits, {
    portIn: 1,
    portOut: 1,
    mmioRead: 1,
    mmioWrite: 0,
    halt: 0,
    kicked: 1,
    budget: 1,
    ending: 1,
  });
  assertEquals([stats.unclaimedPorts, stats.unclaimedMmio], [2, 1]);
  assert(counters[Counter.READY_EPOCH_MS] <= counters[Counter.STARTED_EPOCH_MS]);
  assertEquals(
    stats.wallSeconds,
    readCounters(counters).wallSeconds,
    "the time stops with the run",
  );
});

Deno.test("a machine that cannot load its guest gives its engine back", () => {
  const engine = new FakeEngine([]);
  const source = { kernel: { name: "nothing", bytes: new Uint8Array(0) } };
  assertThrows(
    () => fakeMachine([], { engine: { irqchip: "engine", create: () => engine }, source }),
    DenovisorError,
  );
  assertEquals(engine.disposed, 1);
});

Deno.test("disposing a machine disposes its engine", () => {
  const { machine, engine } = fakeMachine([]);
  machine[Symbol.dispose]();
  assertEquals(engine.disposed, 1);
});

/** The guest lets the RTC interrupt twice a second: rate 15 of register A, PIE of register B. */
function periodicRtc(): Step[] {
  return [
    out(Port.CMOS_INDEX, 0x0a),
    out(Port.CMOS_DATA, 0x2f),
    out(Port.CMOS_INDEX, 0x0b),
    out(Port.CMOS_DATA, 0x42),
  ];
}
