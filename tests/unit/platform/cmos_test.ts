/** CMOS and its clock against the MC146818 datasheet (Motorola, 1984) and PC practice. */

import { assert, assertEquals } from "@std/assert";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { Cmos } from "../../../src/platform/cmos.ts";
import { TestClock, TestIrq } from "../devices/doubles.ts";

const MIB = 1024 * 1024;
const A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d, CENTURY = 0x32;
const SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, BINARY = 4, HOURS_24 = 2;
/** Sunday, 5 November 2023, 23:59:58. */
const NOVEMBER = Date.UTC(2023, 10, 5, 23, 59, 58);

class Board {
  readonly clock: TestClock;
  readonly irq = new TestIrq();
  readonly cmos: Cmos;

  constructor(startMs = NOVEMBER, memory = GuestMemory.allocate(2 * MIB), cpus = 1) {
    this.clock = new TestClock(startMs);
    this.cmos = new Cmos({ clock: this.clock, irq: this.irq, memory, cpus });
  }

  read(register: number): number {
    this.cmos.writePort(0x70, 1, register);
    return this.cmos.readPort(0x71, 1);
  }
  write(register: number, value: number): void {
    this.cmos.writePort(0x70, 1, register);
    this.cmos.writePort(0x71, 1, value);
  }
  /** Century, year, month, day, weekday, hours, minutes, seconds. */
  time(): number[] {
    return [CENTURY, 9, 8, 7, 6, 4, 2, 0].map((register) => this.read(register));
  }
}

Deno.test("clock shows the time in decimal digits and 24 hours after reset", () => {
  assertEquals(new Board().time(), [0x20, 0x23, 0x11, 0x05, 0x01, 0x23, 0x59, 0x58]);
});

Deno.test("clock shows binary numbers and 12 hours when register B asks for them", () => {
  const board = new Board();
  board.write(B, HOURS_24 | BINARY);
  assertEquals(board.time(), [20, 23, 11, 5, 1, 23, 59, 58]);
  board.write(B, 0);
  assertEquals(board.read(4), 0x91); // 11 PM
  const hours = [[0, 0x12], [1, 0x01], [11, 0x11], [12, 0x92], [13, 0x81]];
  for (const [hour, shown] of hours) {
    const at = new Board(Date.UTC(2023, 0, 1, hour));
    at.write(B, 0);
    assertEquals(at.read(4), shown, `hour ${hour}`);
  }
});

Deno.test("clock goes on with the machine's clock, over midnight and into the next month", () => {
  const board = new Board(Date.UTC(2024, 1, 29, 23, 59, 59));
  board.clock.advanceMs(1000);
  assertEquals(board.time(), [0x20, 0x24, 0x03, 0x01, 0x06, 0x00, 0x00, 0x00]);
});

Deno.test("clock holds still while SET is on and goes on from what was written", () => {
  const board = new Board();
  board.write(B, SET | HOURS_24);
  board.clock.advanceMs(5000);
  assertEquals(board.read(0), 0x58);
  const registers = [[CENTURY, 0x19], [9, 0x99], [8, 0x12], [7, 0x31], [4, 0x12], [2, 0x34], [
    0,
    0,
  ]];
  for (const [register, value] of registers) board.write(register, value);
  board.clock.advanceMs(5000);
  board.write(B, HOURS_24);
  assertEquals(board.time(), [0x19, 0x99, 0x12, 0x31, 0x06, 0x12, 0x34, 0x00]);
  board.clock.advanceMs(61_000);
  assertEquals(board.time(), [0x19, 0x99, 0x12, 0x31, 0x06, 0x12, 0x35, 0x01]);
});

Deno.test("clock takes a single register while it runs, in 12-hour mode too", () => {
  const board = new Board();
  board.write(2, 0x07);
  assertEquals(board.time().slice(-3), [0x23, 0x07, 0x58]);
  board.write(B, 0);
  for (const hour of [0x12, 0x01, 0x11, 0x92, 0x81, 0x91]) {
    board.write(4, hour);
    assertEquals(board.read(4), hour);
  }
});

Deno.test("clock announces the update at the end of each second, and not while SET is on", () => {
  const board = new Board();
  assertEquals(board.read(A), 0x26);
  board.clock.advanceMs(997.7);
  assertEquals(board.read(A), 0x26);
  board.clock.advanceMs(0.1);
  assertEquals(board.read(A), 0xa6);
  assertEquals(board.read(0), 0x58);
  board.write(B, SET | HOURS_24);
  assertEquals(board.read(A), 0x26);
  board.write(B, HOURS_24);
  board.clock.advanceMs(2.2);
  assertEquals(board.read(A), 0x26);
  assertEquals(board.read(0), 0x59);
});

Deno.test("clock sets its flags whether interrupts are on or not, and reading clears them", () => {
  const board = new Board();
  board.clock.advanceMs(1000);
  assertEquals(board.read(C), 0x50); // periodic, update; no interrupt
  assertEquals(board.read(C), 0x00);
  assertEquals(board.irq.edges, 0);
  assertEquals(board.read(D), 0x80);
  board.write(C, 0xff);
  board.write(D, 0);
  assertEquals([board.read(C), board.read(D)], [0, 0x80]);
});

Deno.test("clock interrupts once a second until register C is read, and says when", () => {
  const board = new Board();
  const { clock, irq, cmos: { rtc } } = board;
  clock.advanceMs(300);
  assertEquals(rtc.nextDeadlineNs(), Infinity);
  board.write(B, HOURS_24 | UIE);
  assertEquals(rtc.nextDeadlineNs(), 1000e6);
  clock.advanceMs(699);
  rtc.poll();
  assertEquals(irq.level, false);
  clock.advanceMs(1);
  rtc.poll();
  assertEquals(irq.level, true);
  assertEquals(rtc.nextDeadlineNs(), Infinity);
  assertEquals(board.read(C) & 0x90, 0x90);
  assertEquals(irq.level, false);
  assertEquals(rtc.nextDeadlineNs(), 2000e6);
});

Deno.test("clock interrupts at once for a source that is up when it is enabled", () => {
  const board = new Board();
  board.clock.advanceMs(1000);
  board.write(B, HOURS_24 | UIE);
  assertEquals(board.irq.level, true);
  board.write(B, HOURS_24);
  assertEquals(board.irq.level, false);
});

Deno.test("clock takes a century of zero for this one", () => {
  const board = new Board();
  board.write(CENTURY, 0);
  assertEquals(board.time().slice(0, 2), [0x20, 0x23]);
});

Deno.test("clock interrupts at the rate of register A", () => {
  const rates = [[1, 256], [2, 128], [3, 8192], [6, 1024], [15, 2]];
  for (const [rate, hertz] of rates) {
    const board = new Board();
    board.write(A, 0x20 | rate);
    board.read(C);
    board.write(B, HOURS_24 | PIE);
    board.clock.ns = Math.ceil(1e9 / hertz) - 1000;
    board.cmos.rtc.poll();
    assertEquals(board.irq.level, false, `rate ${rate}`);
    board.clock.ns += 2000;
    board.cmos.rtc.poll();
    assertEquals(board.irq.level, true, `rate ${rate}`);
  }
  const sleeper = new Board();
  sleeper.write(B, HOURS_24 | PIE);
  sleeper.read(C);
  assertEquals(sleeper.cmos.rtc.nextDeadlineNs(), Math.ceil(1e9 / 1024));
  sleeper.write(A, 0x2f);
  assertEquals(sleeper.cmos.rtc.nextDeadlineNs(), 500e6);
  const none = new Board();
  none.write(A, 0x20);
  none.write(B, HOURS_24 | PIE);
  none.read(C);
  assertEquals(none.cmos.rtc.nextDeadlineNs(), Infinity);
});

Deno.test("clock raises its alarm at the time set, each byte of which may match anything", () => {
  const alarm = (hours: number, minutes: number, seconds: number, afterMs: number): boolean => {
    const board = new Board();
    board.write(5, hours);
    board.write(3, minutes);
    board.write(1, seconds);
    board.write(B, HOURS_24 | AIE);
    board.read(C);
    board.clock.advanceMs(afterMs);
    board.cmos.rtc.poll();
    return board.irq.level;
  };
  // The clock starts at 23:59:58.
  assertEquals(alarm(0x00, 0x00, 0x01, 2000), false);
  assertEquals(alarm(0x00, 0x00, 0x01, 3000), true);
  assertEquals(alarm(0xff, 0xff, 0x59, 1000), true);
  assertEquals(alarm(0x23, 0x59, 0x59, 1000), true);
  assertEquals(alarm(0xff, 0x01, 0xc0, 120_000), true);
  assertEquals(alarm(0x12, 0x00, 0x00, 11 * 3600_000), false);
  assertEquals(alarm(0x12, 0x00, 0x00, 400 * 86_400_000), true);
  assertEquals(alarm(0x24, 0x00, 0x00, 400 * 86_400_000), false);
});

Deno.test("CMOS tells the sizes of memory and the number of processors", () => {
  const bytes = (board: Board, at: number, count: number) =>
    Array.from({ length: count }, (_, i) => board.read(at + i) * 256 ** i)
      .reduce((sum, part) => sum + part, 0);
  const small = new Board(0, GuestMemory.allocate(8 * MIB), 4);
  assertEquals(bytes(small, 0x15, 2), 640);
  assertEquals(bytes(small, 0x17, 2), 7 * 1024);
  assertEquals(bytes(small, 0x30, 2), 7 * 1024);
  assertEquals(bytes(small, 0x34, 2), 0);
  assertEquals([small.read(0x5f), small.read(0x14)], [3, 0x02]);
  // 3.5 GiB: half a GiB lies above 4 GiB.
  const large = new Board(0, GuestMemory.allocate(3584 * MIB, 256 * 1024));
  assertEquals(bytes(large, 0x17, 2), 0xffff);
  assertEquals(bytes(large, 0x34, 2), (3072 - 16) * 16);
  assertEquals(bytes(large, 0x5b, 3), 512 * 16);
});

Deno.test("CMOS is memory with a valid checksum, behind an index of seven bits", () => {
  const board = new Board();
  let sum = 0;
  for (let at = 0x10; at < 0x2e; at++) sum += board.read(at);
  assertEquals(board.read(0x2e) * 256 + board.read(0x2f), sum);
  board.write(0x0f, 0x05); // shutdown byte
  board.write(0x7f, 0xaa);
  assertEquals([board.read(0x8f), board.read(0xff)], [0x05, 0xaa]);
  assertEquals(board.cmos.readPort(0x70, 1), 0xff);
  board.cmos.writePort(0x70, 2, 0x5510); // index and data in one access
  assertEquals(board.read(0x10), 0x55);
});

Deno.test("clock survives any bytes that a guest writes to it", () => {
  const board = new Board();
  for (let value = 0; value < 256; value++) {
    for (let register = 0; register < 0x0e; register++) board.write(register, value);
    board.write(CENTURY, value);
    for (const shown of board.time()) assert(shown >= 0 && shown <= 255);
    board.write(B, 0);
    for (const shown of board.time()) assert(Number.isInteger(shown) && shown >= 0 && shown <= 255);
  }
});
