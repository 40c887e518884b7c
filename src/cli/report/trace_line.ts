/** One line of a trace: its fields, checked when they are asked for. */

import { DenovisorError } from "../../base/errors.ts";
import { PAGE_SIZE, TWO_52 } from "../../base/u64.ts";
import { quote } from "../options.ts";

/** The architectural end of frame numbers (SDM 3A §4.1.4). */
const FRAMES = TWO_52 / PAGE_SIZE;
const HEX = /^0x[0-9a-f]{1,16}$/;

/** A line as it was read; errors name the file and the line. */
export class TraceLine {
  /** Nanoseconds since the trace began. */
  readonly timeNs: number;
  readonly event: string;
  readonly #path: string;
  readonly #number: number;
  readonly #fields: Readonly<Record<string, unknown>>;

  /**
   * @param number Of the line, from 1 on.
   * @throws DenovisorError `file` when it is no JSON object with a time and an event.
   */
  constructor(text: string, path: string, number: number) {
    this.#path = path;
    this.#number = number;
    this.#fields = this.#parse(text);
    this.timeNs = this.int("time_ns");
    const { event } = this.#fields;
    if (typeof event !== "string") throw this.#wrong("event", "a name");
    this.event = event;
  }

  /** A count or a level: an integer from 0 to 2^53 - 1. */
  int(name: string): number {
    const value = this.#field(name);
    if (!Number.isSafeInteger(value) || value as number < 0) {
      throw this.#wrong(name, "an integer, not below 0");
    }
    return value as number;
  }

  /** A level of a page table, from 1 to `highest`. */
  level(name: string, highest: number): number {
    const value = this.int(name);
    if (value < 1 || value > highest) throw this.#wrong(name, `a level from 1 to ${highest}`);
    return value;
  }

  /** An integer from 0 to `highest`. */
  atMost(name: string, highest: number): void {
    if (this.int(name) > highest) throw this.#wrong(name, `at most ${highest}`);
  }

  /** A frame, an address or a word of bits; above 2^53 only about. */
  hex(name: string): number {
    const value = this.#field(name);
    if (typeof value !== "string" || !HEX.test(value)) {
      throw this.#wrong(name, 'hexadecimal text such as "0x1f"');
    }
    return Number(value);
  }

  /** The number of a guest frame. */
  frame(name: string): number {
    const value = this.hex(name);
    if (value >= FRAMES) throw this.#wrong(name, "a frame below 2^40");
    return value;
  }

  flag(name: string): boolean {
    const value = this.#field(name);
    if (typeof value !== "boolean") throw this.#wrong(name, "true or false");
    return value;
  }

  /** All fields that are numbers, but for the time. */
  numbers(): Map<string, number> {
    const numbers = new Map<string, number>();
    for (const [name, value] of Object.entries(this.#fields)) {
      if (typeof value === "number" && name !== "time_ns") numbers.set(name, value);
    }
    return numbers;
  }

  #parse(text: string): Readonly<Record<string, unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.#error(`found ${quote(shortened(text))}, expected a JSON object`);
    }
    return value as Record<string, unknown>;
  }

  #field(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  #wrong(name: string, expected: string): DenovisorError {
    const value = this.#field(name);
    const found = value === undefined ? "none" : shortened(JSON.stringify(value));
    return this.#error(`field ${name}: found ${found}, expected ${expected}`);
  }

  #error(what: string): DenovisorError {
    return new DenovisorError(
      "file",
      `Cannot read the trace ${this.#path}: line ${this.#number}: ${what}`,
      { path: this.#path, line: this.#number },
    );
  }
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
