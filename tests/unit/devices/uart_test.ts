/** The 16550A against its datasheet (National Semiconductor PC16550D, June 1995, §8). */

import { assert, assertEquals } from "@std/assert";
import { BREAK } from "../../../src/devices/byte_stream.ts";
import { Uart } from "../../../src/devices/uart.ts";
import { TestClock, TestIrq, TestSink, TestSource } from "./doubles.ts";

const BASE = 0x3f8;
const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const FCR = IIR;
const RDI = 1, THRI = 2, RLSI = 4, MSI = 8;
const DR = 1, OVERRUN = 2, BREAK_SEEN = 0x10, FIFO_ERROR = 0x80;
const LOOPBACK = 0x10;

class Line {
  readonly clock = new TestClock();
  readonly irq = new TestIrq();
  readonly source = new TestSource();
  readonly sink = new TestSink();
  readonly uart = new Uart({
    name: "COM1",
    base: BASE,
    clock: this.clock,
    irq: this.irq,
    input: this.source,
    output: this.sink,
  });

  in(register: number): number {
    return this.uart.readPort(BASE + register, 1);
  }
  out(register: number, value: number): void {
    this.uart.writePort(BASE + register, 1, value);
  }
  /** Source of the interrupt, without the FIFO bits. */
  id(): number {
    return this.in(IIR) & 0xf;
  }
  /** Reads until the line status says that there is no more, at most `limit` bytes. */
  drain(limit = 1000): string {
    let text = "";
    while (text.length < limit && (this.in(LSR) & DR) !== 0) {
      text += String.fromCharCode(this.in(DATA));
    }
    return text;
  }
  /** A line with FIFOs on, its receive interrupt on, and `text` typed. */
  static listening(text: string, fifoControl = 1): Line {
    const line = new Line();
    line.out(FCR, fifoControl);
    line.out(IER, RDI);
    line.source.type(text);
    line.uart.pull();
    return line;
  }
}

Deno.test("uart after reset has an empty transmitter, no interrupt and its modem lines up", () => {
  const line = new Line();
  assertEquals(line.in(LSR), 0x60);
  assertEquals(line.in(IIR), 0x01);
  assertEquals(line.in(IER), 0);
  assertEquals(line.in(MCR), 0);
  assertEquals(line.in(MSR), 0xb0);
  assertEquals(line.irq.level, false);
});

Deno.test("uart sends each byte at once and stays empty", () => {
  const line = new Line();
  for (const byte of new TextEncoder().encode("boot\n")) {
    line.out(DATA, byte);
    assertEquals(line.in(LSR) & 0x60, 0x60);
  }
  assertEquals(line.sink.text, "boot\n");
  assertEquals([line.irq.level, line.id()], [false, 0x1]); // nothing is enabled
});

Deno.test("uart keeps the divisor latch apart from data and interrupt enable", () => {
  const line = new Line();
  line.out(IER, RDI);
  line.out(LCR, 0x83);
  line.out(DATA, 0x34);
  line.out(IER, 0x12);
  assertEquals([line.in(DATA), line.in(IER)], [0x34, 0x12]);
  line.out(DATA, 0xff);
  line.out(IER, 0xff);
  assertEquals([line.in(DATA), line.in(IER)], [0xff, 0xff]);
  line.out(LCR, 0x03);
  assertEquals(line.in(IER), RDI);
  assertEquals(line.sink.text, "");
});

Deno.test("uart has a scratch register and only four interrupt enable bits", () => {
  const line = new Line();
  line.out(SCR, 0xa5);
  assertEquals(line.in(SCR), 0xa5);
  line.out(IER, 0xf0);
  assertEquals(line.in(IER), 0);
  line.out(MCR, 0xe0);
  assertEquals(line.in(MCR), 0);
});

Deno.test("uart takes an access of two or four bytes as one of each port", () => {
  const line = new Line();
  line.uart.writePort(BASE + LCR, 2, 0x0b1f);
  assertEquals([line.in(LCR), line.in(MCR)], [0x1f, 0x0b]);
  assertEquals(line.uart.readPort(BASE + LCR, 4), 0xb060_0b1f);
});

Deno.test("uart raises its interrupt when a byte arrives and RDI is on", () => {
  const line = Line.listening("");
  assertEquals(line.irq.level, false);
  line.source.type("x");
  line.uart.pull();
  assertEquals(line.irq.level, true);
  assertEquals(line.id(), 0x4);
  assertEquals(line.in(DATA), 0x78);
  assertEquals(line.irq.level, false);
  assertEquals(line.id(), 0x1);
});

Deno.test("uart reports received data from the trigger level on, and a timeout below it", () => {
  for (const [bits, trigger] of [[0x00, 1], [0x40, 4], [0x80, 8], [0xc0, 14]]) {
    const below = Line.listening("x".repeat(trigger - 1), bits | 1);
    assertEquals(below.id(), trigger === 1 ? 0x1 : 0xc, `below ${trigger}`);
    const at = Line.listening("x".repeat(trigger), bits | 1);
    assertEquals(at.id(), 0x4, `at ${trigger}`);
    at.in(DATA);
    assertEquals(at.id(), trigger === 1 ? 0x1 : 0xc, `one read from ${trigger}`);
  }
});

Deno.test("uart shows its FIFOs in the interrupt identification only when they are on", () => {
  const line = new Line();
  assertEquals(line.in(IIR) & 0xc0, 0);
  line.out(FCR, 1);
  assertEquals(line.in(IIR) & 0xc0, 0xc0);
  line.out(FCR, 0xc8); // without the enable bit the others do not count
  assertEquals(line.in(IIR) & 0xc0, 0);
});

Deno.test("uart raises nothing for bytes that arrive while RDI is off", () => {
  const line = Line.listening("ab");
  line.out(IER, 0);
  assertEquals([line.irq.level, line.id()], [false, 0x1]);
  assertEquals(line.in(LSR) & DR, DR);
  line.out(FCR, 0xc1); // a new trigger level leaves the FIFO as it is
  assertEquals(line.in(LSR) & DR, DR);
  line.out(IER, RDI);
  assertEquals([line.irq.level, line.id()], [true, 0xc]);
});

Deno.test("uart without FIFOs reports every byte as received data", () => {
  const line = Line.listening("ab", 0);
  assertEquals(line.id(), 0x4);
  assertEquals(line.in(DATA), 0x61);
  assertEquals([line.irq.level, line.irq.edges], [true, 2]); // an edge for each byte
  assertEquals(line.in(DATA), 0x62);
  assertEquals([line.irq.level, line.id()], [false, 0x1]);
});

Deno.test("uart takes from its source what its FIFO holds and no more", () => {
  const line = Line.listening("0123456789abcdefghij");
  assertEquals(line.source.waiting.length, 4);
  line.uart.pull();
  assertEquals(line.source.waiting.length, 4);
  assertEquals(line.drain(15), "0123456789abcde");
  assertEquals(line.source.waiting.length, 4);
  assertEquals(line.drain(), "fghij");
  const single = Line.listening("ab", 0);
  assertEquals(single.source.waiting.length, 1);
});

Deno.test("uart gives every byte once and in order, with an edge for each filling", () => {
  const text = Array.from({ length: 5000 }, (_, i) => String.fromCharCode(32 + i % 90)).join("");
  const line = Line.listening(text);
  let got = "";
  let bursts = 0;
  let handled = 0;
  while (got.length < text.length && bursts < 1000) {
    // An edge-triggered controller: the handler runs once for each rising edge.
    while (handled < line.irq.edges) {
      handled++;
      got += line.drain(16);
    }
    bursts++;
    line.clock.ns = Math.min(line.uart.nextDeadlineNs(), line.clock.ns + 1e9);
    line.uart.pull();
  }
  assertEquals(got, text);
  assertEquals([handled, bursts], [Math.ceil(5000 / 16), Math.ceil(5000 / 64)]);
});

Deno.test("uart pauses for a millisecond after 64 bytes, and says when it goes on", () => {
  const line = Line.listening("x".repeat(100));
  assertEquals(line.uart.nextDeadlineNs(), Infinity);
  assertEquals(line.drain(40).length, 40);
  line.clock.ns = 5e6;
  assertEquals(line.drain().length, 24);
  assertEquals(line.uart.nextDeadlineNs(), 6e6);
  line.clock.ns = 6e6 - 1;
  line.uart.pull();
  assertEquals([line.drain().length, line.irq.level], [0, false]);
  line.clock.ns = 6e6;
  line.uart.pull();
  assertEquals(line.irq.level, true);
  assertEquals(line.uart.nextDeadlineNs(), Infinity);
  assertEquals(line.drain().length, 36);
});

Deno.test("uart ends its pause for a guest that polls, and for one that does not listen", () => {
  const line = Line.listening("x".repeat(65));
  assertEquals(line.drain().length, 64);
  line.clock.ns = 1e6;
  assertEquals(line.in(LSR) & DR, 0);
  assertEquals(line.in(LSR) & DR, DR);
  const deaf = Line.listening("x".repeat(65));
  deaf.drain();
  deaf.out(IER, 0);
  deaf.out(FCR, 3);
  deaf.clock.ns = 1e6;
  deaf.uart.pull();
  assertEquals(deaf.uart.nextDeadlineNs(), Infinity);
});

Deno.test("uart keeps input at the source until the guest listens", () => {
  const line = new Line();
  line.source.type("early");
  line.uart.pull();
  assertEquals(line.source.waiting.length, 5);
  // What Linux does when it starts a port: reset the FIFOs and read everything once, blindly.
  for (const value of [1, 7, 0, 1]) line.out(FCR, value);
  for (const register of [LSR, DATA, IIR, MSR]) line.in(register);
  assertEquals(line.source.waiting.length, 5);
  line.out(IER, RDI);
  assertEquals(line.irq.level, true);
  assertEquals(line.drain(), "early");
});

Deno.test("uart takes a guest that keeps polling the line status for a listener", () => {
  const line = new Line();
  line.source.type("y");
  let polls = 0;
  while ((line.in(LSR) & DR) === 0 && polls < 100) polls++;
  assertEquals(polls, 16);
  assertEquals(line.in(DATA), 0x79);
  line.source.type("z");
  line.in(LSR);
  assertEquals(line.drain(), "z");
});

Deno.test("uart does not take waiting for the transmitter for listening", () => {
  const line = new Line();
  line.source.type("y");
  for (let i = 0; i < 100; i++) {
    line.in(LSR);
    line.in(LSR);
    line.out(DATA, 0x2e);
  }
  assertEquals(line.source.waiting.length, 1);
});

Deno.test("uart loses no unread input when the guest resets its FIFO or turns it off", () => {
  const line = Line.listening("0123456789abcdefXYZ");
  assertEquals(line.in(DATA), 0x30);
  line.out(IER, 0);
  line.out(FCR, 3);
  assertEquals(line.in(LSR) & DR, 0);
  line.out(FCR, 0);
  line.out(FCR, 1);
  line.out(IER, RDI);
  assertEquals(line.drain(), "123456789abcdefXYZ");
});

Deno.test("uart keeps unread input in order over repeated resets with partial reads", () => {
  const text = "The quick brown fox jumps over the lazy dog, twice.";
  const line = Line.listening(text);
  let got = "";
  for (let round = 0; got.length < text.length && round < 1000; round++) {
    got += line.drain(round % 5);
    line.out(FCR, [3, 0, 1, 7][round % 4]);
  }
  assertEquals(got, text);
});

Deno.test("uart raises the transmitter interrupt when it is turned on and after each byte", () => {
  const line = new Line();
  line.out(IER, THRI);
  assertEquals(line.irq.level, true);
  assertEquals(line.id(), 0x2);
  assertEquals(line.irq.level, false); // reading the identification clears it (Table IV)
  assertEquals(line.id(), 0x1);
  line.out(DATA, 0x41);
  assertEquals(line.irq.level, true);
  const edges = line.irq.edges;
  line.out(DATA, 0x42);
  assertEquals(line.irq.edges, edges + 1);
  assertEquals(line.id(), 0x2);
  line.out(IER, THRI); // it was on
  assertEquals(line.irq.level, false);
  line.out(IER, 0);
  line.out(IER, THRI);
  assertEquals(line.id(), 0x2);
});

Deno.test("uart reports interrupts by priority: line status, data, transmitter, modem", () => {
  const line = new Line();
  line.out(FCR, 1);
  line.out(MCR, LOOPBACK);
  for (let i = 0; i < 17; i++) line.out(DATA, i); // one more than the FIFO holds
  line.out(MCR, LOOPBACK | 1);
  line.out(IER, RDI | THRI | RLSI | MSI);
  assertEquals(line.id(), 0x6);
  assertEquals(line.in(LSR) & (OVERRUN | DR), OVERRUN | DR);
  assertEquals(line.id(), 0x4);
  for (let i = 0; i < 16; i++) assertEquals(line.in(DATA), i);
  assertEquals(line.id(), 0x2);
  assertEquals(line.id(), 0x0);
  line.in(MSR);
  assertEquals(line.id(), 0x1);
  assertEquals(line.irq.level, false);
});

Deno.test("uart without FIFOs overwrites the unread byte on overrun", () => {
  const line = new Line();
  line.out(MCR, LOOPBACK);
  line.out(DATA, 1);
  line.out(DATA, 2);
  assertEquals(line.in(LSR), 0x60 | DR | OVERRUN);
  assertEquals(line.in(DATA), 2);
  assertEquals(line.in(LSR), 0x60);
});

Deno.test("uart in loopback sends to itself and takes no input", () => {
  const line = new Line();
  line.out(FCR, 1);
  line.out(IER, RDI);
  line.out(MCR, LOOPBACK);
  line.source.type("outside");
  line.out(DATA, 0x5a);
  line.uart.pull();
  assertEquals(line.drain(), "Z");
  assertEquals(line.sink.text, "");
  line.out(MCR, 0x0b);
  assertEquals(line.drain(), "outside");
});

Deno.test("uart drops its own bytes, and only those, when the FIFO is reset in loopback", () => {
  const line = new Line();
  line.source.type("typed");
  line.out(FCR, 1);
  line.out(MCR, LOOPBACK);
  for (let i = 0; i < 16; i++) line.out(DATA, i);
  line.out(FCR, 3);
  assertEquals(line.in(LSR) & DR, 0);
  line.out(MCR, 0);
  line.out(IER, RDI);
  assertEquals(line.drain(), "typed");
});

Deno.test("uart gives input back to the line again once its own bytes have been read", () => {
  const line = new Line();
  line.out(FCR, 1);
  line.out(MCR, LOOPBACK);
  line.out(DATA, 0x2e);
  assertEquals(line.drain(), ".");
  line.out(MCR, 0);
  line.source.type("typed");
  line.out(IER, RDI);
  line.out(FCR, 3);
  assertEquals(line.drain(), "typed");
});

Deno.test("uart connects its modem outputs to its inputs in loopback", () => {
  const line = new Line();
  const wiring = [[0x1, 0x20], [0x2, 0x10], [0x4, 0x40], [0x8, 0x80]];
  for (const [output, input] of wiring) {
    line.out(MCR, LOOPBACK | output);
    assertEquals(line.in(MSR) & 0xf0, input);
  }
});

Deno.test("uart reports modem lines that changed, and ring only when it ends", () => {
  const line = new Line();
  line.out(IER, MSI);
  line.out(MCR, LOOPBACK); // CTS, DSR and DCD fall
  assertEquals(line.irq.level, true);
  assertEquals(line.id(), 0x0);
  assertEquals(line.in(MSR), 0x0b);
  assertEquals(line.in(MSR), 0x00);
  assertEquals(line.irq.level, false);
  line.out(MCR, LOOPBACK | 4);
  assertEquals(line.in(MSR), 0x40);
  line.out(MCR, LOOPBACK);
  assertEquals(line.in(MSR), 0x04);
});

Deno.test("uart reports a break with its character, and once", () => {
  const line = Line.listening("a");
  line.source.waiting.push(BREAK);
  line.source.type("b");
  line.uart.pull();
  line.out(IER, RDI | RLSI);
  assertEquals(line.in(LSR), 0x60 | DR | FIFO_ERROR); // not the oldest yet
  assertEquals(line.in(DATA), 0x61);
  assertEquals(line.id(), 0x6);
  assertEquals(line.in(LSR), 0x60 | DR | BREAK_SEEN | FIFO_ERROR);
  assertEquals(line.in(LSR), 0x60 | DR);
  assertEquals(line.in(DATA), 0);
  assertEquals(line.in(DATA), 0x62);
});

Deno.test("uart receives its own break in loopback", () => {
  const line = new Line();
  line.out(MCR, LOOPBACK);
  line.out(LCR, 0x43);
  assertEquals(line.in(LSR), 0x60 | DR | BREAK_SEEN);
  line.out(LCR, 0x03);
  assertEquals(line.in(DATA), 0);
  assertEquals(line.in(LSR), 0x60);
});

Deno.test("uart sends a break without hearing it itself, outside loopback", () => {
  const line = new Line();
  line.out(LCR, 0x43);
  assertEquals(line.in(LSR), 0x60);
});

Deno.test("uart passes the probes by which Linux tells a 16550A", () => {
  const line = new Line();
  // drivers/tty/serial/8250: interrupt enable test, loopback test, FIFO test, no 16650 or 16750.
  line.out(IER, 0x0f);
  assertEquals(line.in(IER), 0x0f);
  line.out(IER, 0);
  line.out(MCR, LOOPBACK | 0x0a);
  assertEquals(line.in(MSR) & 0xf0, 0x90);
  line.out(MCR, 0);
  line.out(FCR, 1);
  assertEquals(line.in(IIR) >> 6, 3);
  line.out(FCR, 0x21);
  assertEquals(line.in(IIR) & 0x20, 0);
  assert(line.irq.level === false);
});
