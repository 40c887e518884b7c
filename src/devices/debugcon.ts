/**
 * The debug console of Bochs and QEMU: bytes written to its port are output, and reading the port
 * gives 0xe9, by which a guest finds out that it is there.
 */

import { ByteDevice } from "./byte_device.ts";
import type { ByteSink } from "./byte_stream.ts";

/** What every read gives, whatever the port number is. */
const PRESENT = 0xe9;

/** One debug console port. */
export class Debugcon extends ByteDevice {
  readonly name: string;
  readonly #output: ByteSink;

  constructor(name: string, output: ByteSink) {
    super();
    this.name = name;
    this.#output = output;
  }

  protected override readByte(): number {
    return PRESENT;
  }

  protected override writeByte(_port: number, value: number): void {
    this.#output.put(value);
  }
}
