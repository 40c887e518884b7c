/** What devices are connected to in tests. */

import type { ByteSink, ByteSource } from "../../../src/devices/byte_stream.ts";
import type { Clock, IrqLine, PowerEvent } from "../../../src/devices/device.ts";

/** An interrupt line that remembers its level and counts its rising edges. */
export class TestIrq implements IrqLine {
  level = false;
  edges = 0;

  set(level: boolean): void {
    if (level && !this.level) this.edges++;
    this.level = level;
  }
}

/** Input that a test has typed. */
export class TestSource implements ByteSource {
  readonly waiting: number[] = [];

  type(text: string): void {
    this.waiting.push(...new TextEncoder().encode(text));
  }

  take(): number {
    return this.waiting.shift() ?? -1;
  }
}

/** Output as text, a character a byte. */
export class TestSink implements ByteSink {
  text = "";

  put(byte: number): void {
    this.text += String.fromCharCode(byte);
  }
}

/** A clock that stands still until the test moves it. */
export class TestClock implements Clock {
  ns = 0;
  #startMs: number;

  constructor(startMs = 0) {
    this.#startMs = startMs;
  }

  nowNs(): number {
    return this.ns;
  }

  wallMs(): number {
    return this.#startMs + this.ns / 1e6;
  }

  advanceMs(ms: number): void {
    this.ns += ms * 1e6;
  }
}

/** A power sink that keeps what it was told. */
export class TestPower {
  readonly events: PowerEvent[] = [];
  readonly sink = (event: PowerEvent): void => void this.events.push(event);
}
