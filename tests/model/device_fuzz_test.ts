/**
 * Random guests against the whole PC: whatever is written to whatever port, no device throws,
 * answers with more than was asked for, stores outside RAM or takes long.
 */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { BREAK, NO_BYTE } from "../../src/devices/byte_stream.ts";
import type { AccessSize, Clock, MmioDevice } from "../../src/devices/device.ts";
import { Uart } from "../../src/devices/uart.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { buildPc } from "../../src/platform/pc.ts";
import { Random, seed } from "../support/random.ts";

const ACCESSES = 2_000_000;
const RAM = 2 * 1024 * 1024;
const ROM = 64 * 1024;
const ROM_AT = 0x1_0000_0000 - ROM;
/** Generous: an access takes microseconds. */
const HANG_MS = 1000;

/** First and last port of everything on the bus. */
const RANGES = [
  [0x60, 0x64],
  [0x70, 0x71],
  [0x80, 0x92],
  [0xe9, 0xe9],
  [0xf4, 0xf7],
  [0x3f8, 0x3ff],
  [0x402, 0x402],
  [0x510, 0x51b],
  [0x600, 0x60b],
  [0xcf8, 0xcff],
] as const;

/** A clock that a test moves, and whose wall time may be set back as a host's may. */
class FuzzClock implements Clock {
  ns = 0;
  skewMs = 0;
  nowNs(): number {
    return this.ns;
  }
  wallMs(): number {
    return 1_700_000_000_000 + this.skewMs + this.ns / 1e6;
  }
}

/** Fails when it sees an access that no device may get. */
class StrictDevice implements MmioDevice {
  readonly name = "strict";
  constructor(readonly sizeBytes: number) {}
  readMmio(offset: number, size: AccessSize): number {
    this.#check(offset, size);
    return (offset * 0x0101_0101) % 2 ** (8 * size);
  }
  writeMmio(offset: number, size: AccessSize, value: number): void {
    this.#check(offset, size);
    assert(value >= 0 && value < 2 ** (8 * size), `value ${value} of ${size} bytes`);
  }
  #check(offset: number, size: number): void {
    assert(Number.isInteger(offset) && offset >= 0 && offset + size <= this.sizeBytes);
    assert(size === 1 || size === 2 || size === 4);
  }
}

class Fuzzer {
  readonly random: Random;
  readonly clock = new FuzzClock();
  readonly memory = GuestMemory.allocate(RAM, ROM);
  readonly view = new DataView(new ArrayBuffer(64));
  slowestMs = 0;
  outputBytes = 0;
  readonly pc = buildPc({
    cpus: 4,
    memory: this.memory,
    memoryMap: [{ start: 0, sizeBytes: RAM, type: 1 }],
    clock: this.clock,
    console: {
      input: { take: () => this.#input() },
      output: { put: (byte) => this.#output(byte) },
    },
    irq: () => ({ set: (level) => assert(typeof level === "boolean") }),
    power: (event) => {
      if (event.kind === "debug-exit") assert(event.value >= 0 && event.value < 2 ** 32);
    },
    debugExit: true,
    debugOutput: { put: (byte) => this.#output(byte) },
    firmwareLog: { put: (byte) => this.#output(byte) },
  });

  constructor(seedValue: number) {
    this.random = new Random(seedValue);
    this.memory.fill(gpa(ROM_AT), ROM, 0x5a);
    this.pc.mmio.claim(gpa(0xd000_0000), 0x1000, new StrictDevice(0x1000));
    this.pc.mmio.claim(gpa(2 ** 52 - 0x1000), 0x1000, new StrictDevice(0x1000));
  }

  step(): void {
    const before = performance.now();
    switch (this.random.below(16)) {
      case 0:
        this.#passTime();
        break;
      case 1:
        this.#dma();
        break;
      case 2:
      case 3:
        this.#mmio();
        break;
      case 4:
        this.#string();
        break;
      case 5:
        // Index and data belong together: CMOS, PCI and the keyboard controller.
        this.#pair();
        break;
      default:
        this.#port();
        break;
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - before);
  }

  /** The ROM is as it was: nothing was stored beyond RAM. */
  checkRom(): void {
    assert(
      this.memory.view(gpa(ROM_AT), ROM).every((byte) => byte === 0x5a),
      "the ROM has changed",
    );
  }

  #size(): AccessSize {
    return this.random.pick([1, 1, 2, 4] as const);
  }

  #value(size: AccessSize): number {
    const bits = this.random.pick([0, 0xffff_ffff, this.random.u32(), this.random.u32()]);
    return size === 4 ? bits : bits % 2 ** (8 * size);
  }

  #somePort(): number {
    if (this.random.oneIn(8)) return this.random.below(0x10000);
    const [first, last] = this.random.pick(RANGES);
    return first - 3 + this.random.below(last - first + 7);
  }

  #port(): void {
    const port = this.#somePort();
    const size = this.#size();
    if (this.random.oneIn(2)) this.#write(port, size, this.#value(size));
    else this.#read(port, size);
  }

  #read(port: number, size: AccessSize): void {
    const value = this.pc.ports.read(port, size);
    assert(
      Number.isInteger(value) && value >= 0 && value < 2 ** (8 * size),
      `port ${port.toString(16)} gives ${value} for ${size} bytes`,
    );
  }

  #write(port: number, size: AccessSize, value: number): void {
    this.pc.ports.write(port, size, value);
  }

  #pair(): void {
    const size = this.#size();
    switch (this.random.below(4)) {
      case 0:
        this.#write(0x70, 1, this.random.below(0x40));
        if (this.random.oneIn(2)) this.#read(0x71, 1);
        else this.#write(0x71, 1, this.#value(1));
        break;
      case 1: {
        const offset = this.random.below(256);
        const slot = this.random.oneIn(2) ? 0 : this.random.below(0x10000);
        this.#write(0xcf8, 4, (0x8000_0000 | (slot << 8) | offset) >>> 0);
        if (this.random.oneIn(2)) this.#read(0xcfc + (offset & 3), size);
        else this.#write(0xcfc + (offset & 3), size, this.#value(size));
        break;
      }
      case 2:
        this.#write(0x64, 1, this.random.below(256));
        this.#write(0x60, 1, this.random.below(256));
        this.#read(0x60, 1);
        break;
      default:
        this.#write(
          0x510,
          2,
          this.random.pick([0x19, 0x20, 0x21, 0x8003, this.random.below(0x10000)]),
        );
        this.#read(0x511, 1);
        break;
    }
  }

  #string(): void {
    const size = this.#size();
    const count = this.random.below(64 / size + 1);
    if (this.random.oneIn(2)) this.pc.ports.readString(this.#somePort(), size, count, this.view, 0);
    else this.pc.ports.writeString(this.#somePort(), size, count, this.view, 0);
  }

  #mmio(): void {
    const size = 1 + this.random.below(8);
    const base = this.random.pick([0xd000_0000, 0xd000_1000, 2 ** 52 - 0x1000, 2 ** 52 - 16, 0]);
    const address = Math.max(0, base - 8 + this.random.below(32));
    if (this.random.oneIn(2)) this.pc.mmio.write(address, size, this.view, 8);
    else this.pc.mmio.read(address, size, this.view, 8);
  }

  /** A descriptor with fields from plausible to absurd, at an address of either kind. */
  #dma(): void {
    const { random, view } = this;
    const key = random.pick([0x19, 0x20, 0x22, 0x8003, random.below(0x10000)]);
    view.setUint32(0, ((key << 16) | random.below(32)) >>> 0);
    view.setUint32(4, random.pick([0, 1, 64, 4096, RAM, 0xffff_ffff, random.u32()]));
    view.setBigUint64(8, this.#address());
    const at = Number(this.#address() % 2n ** 32n);
    if (at + 16 <= RAM) {
      for (let i = 0; i < 16; i++) this.memory.writeU8(gpa(at + i), view.getUint8(i));
    }
    view.setUint32(0, at, true);
    if (random.oneIn(8)) this.#write(0x514, 4, this.#value(4));
    this.#write(0x518, 4, view.getUint32(0));
  }

  #address(): bigint {
    const base = this.random.pick([
      0n,
      BigInt(RAM),
      BigInt(ROM_AT),
      2n ** 32n,
      2n ** 52n,
      2n ** 53n,
    ]);
    const near = BigInt.asUintN(64, base + BigInt(this.random.below(128) - 64));
    return this.random.pick([near, BigInt(this.random.below(RAM)), this.random.u64()]);
  }

  #passTime(): void {
    const { random, clock, pc } = this;
    clock.ns += random.pick([1, 1000, 1e6, 1e9, 1e11, random.below(1e9)]);
    // The clock is exact for 104 days; start over well before.
    if (clock.ns > 5e15) clock.ns = 0;
    if (random.oneIn(16)) clock.skewMs += random.below(200_000_000) - 100_000_000;
    pc.poll();
    assert(!Number.isNaN(pc.nextDeadlineNs()));
  }

  #input(): number {
    if (this.random.oneIn(4)) return NO_BYTE;
    return this.random.oneIn(64) ? BREAK : this.random.below(256);
  }

  #output(byte: number): void {
    assert(Number.isInteger(byte) && byte >= 0 && byte <= 255, `output ${byte}`);
    this.outputBytes++;
  }
}

Deno.test("devices take two million random accesses", () => {
  const fuzzer = new Fuzzer(seed(20240601));
  let step = 0;
  try {
    for (; step < ACCESSES; step++) fuzzer.step();
    fuzzer.checkRom();
  } catch (error) {
    throw new Error(`DENOVISOR_SEED=${fuzzer.random.seed}, access ${step}`, { cause: error });
  }
  assert(fuzzer.outputBytes > 1000, `${fuzzer.outputBytes} bytes came out`);
  assert(fuzzer.slowestMs < HANG_MS, `an access took ${fuzzer.slowestMs} ms`);
});

/** Registers of the UART. */
const [DATA, IER, FCR, LCR, MCR, LSR, MSR] = [0, 1, 2, 3, 4, 5, 6];

/** One random thing that a driver does to a UART; appends what it received. */
function drive(uart: Uart, random: Random, received: number[]): void {
  const port = 0x3f8;
  switch (random.below(8)) {
    case 0:
      return uart.writePort(port + IER, 1, random.below(16));
    case 1:
      return uart.writePort(port + FCR, 1, random.below(256));
    case 2:
      return uart.writePort(port + MCR, 1, random.below(16)); // no loopback
    case 3:
      return uart.writePort(port + LCR, 1, random.below(64)); // no divisor latch, no break
    case 4:
      return uart.writePort(port + DATA, 1, random.below(256));
    case 5:
      return void uart.readPort(port + random.pick([IER, FCR, MCR, MSR]), 1);
    case 6:
      return uart.pull();
    default:
      for (let i = random.below(40); i > 0; i--) {
        if ((uart.readPort(port + LSR, 1) & 1) !== 0) received.push(uart.readPort(port + DATA, 1));
      }
      return;
  }
}

Deno.test("uart loses and invents no byte whatever a driver does to it", () => {
  const random = new Random(seed(16550));
  for (let round = 0; round < 200; round++) {
    const typed = Array.from(random.bytes(random.below(200)));
    const waiting = [...typed];
    const received: number[] = [];
    const clock = new FuzzClock();
    const uart = new Uart({
      name: "COM1",
      base: 0x3f8,
      clock,
      irq: { set: () => {} },
      input: { take: () => waiting.shift() ?? NO_BYTE },
      output: { put: () => {} },
    });
    for (let i = 0; i < 300; i++) {
      drive(uart, random, received);
      clock.ns += random.below(200_000);
    }
    for (let idle = 0; idle < 100; idle++) {
      clock.ns += 1e6;
      while ((uart.readPort(0x3f8 + LSR, 1) & 1) !== 0) {
        received.push(uart.readPort(0x3f8 + DATA, 1));
      }
    }
    assertEquals(received, typed, `DENOVISOR_SEED=${random.seed}, round ${round}`);
  }
});

Deno.test("uart interrupt line is up exactly while its identification shows a source", () => {
  const random = new Random(seed(16551));
  let level = false;
  const clock = new FuzzClock();
  const uart = new Uart({
    name: "COM1",
    base: 0x3f8,
    clock,
    irq: { set: (to) => void (level = to) },
    input: { take: () => random.oneIn(2) ? NO_BYTE : random.oneIn(8) ? BREAK : random.below(256) },
    output: { put: () => {} },
  });
  for (let i = 0; i < 100_000; i++) {
    const port = 0x3f8 + random.below(8);
    clock.ns += random.below(100_000);
    if (random.oneIn(2)) uart.writePort(port, 1, random.below(256));
    else uart.readPort(port, 1);
    const before = level;
    const pending = (uart.readPort(0x3f8 + FCR, 1) & 1) === 0;
    assertEquals(pending, before, `DENOVISOR_SEED=${random.seed}, access ${i}`);
  }
});
