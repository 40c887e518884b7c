/** The two 8259As of a PC: the second one's output is input 2 of the first. */

import { ByteDevice } from "../../devices/byte_device.ts";
import { Port } from "../layout.ts";
import { Pic } from "./pic.ts";

/** The first chip's input that the second one is on. */
const CASCADE = 2;
/** ELCR: the timer, the keyboard, the cascade, the clock and the coprocessor are always edges. */
const LEVEL_CAPABLE = { MASTER: 0xf8, SLAVE: 0xde } as const;

/** Sixteen interrupt requests. */
export class PicPair extends ByteDevice {
  readonly name = "8259A pair";
  readonly #master: Pic;
  readonly #slave: Pic;

  /** `onOutput` is told when `output` changes. */
  constructor(onOutput: () => void) {
    super();
    this.#master = new Pic({
      levelCapable: LEVEL_CAPABLE.MASTER,
      cascaded: 1 << CASCADE,
      onOutput,
    });
    this.#slave = new Pic({
      levelCapable: LEVEL_CAPABLE.SLAVE,
      cascaded: 0,
      onOutput: () => this.#master.setLine(CASCADE, this.#slave.output),
    });
  }

  /** Whether the CPU is asked to take an interrupt. */
  get output(): boolean {
    return this.#master.output;
  }

  /** Drives a request, 0 to 15; 2 is the cascade, where no device can be. */
  setLine(irq: number, high: boolean): void {
    if (irq >= 8) this.#slave.setLine(irq - 8, high);
    else if (irq !== CASCADE) this.#master.setLine(irq, high);
  }

  /** The CPU takes the interrupt: its vector. */
  acknowledge(): number {
    const level = this.#master.acknowledge();
    if (level !== CASCADE) return this.#master.base + level;
    const slaveLevel = this.#slave.acknowledge();
    return this.#slave.base + slaveLevel;
  }

  protected override readByte(port: number): number {
    switch (port) {
      case Port.PIC_MASTER_ELCR:
        return this.#master.edgeLevel;
      case Port.PIC_SLAVE_ELCR:
        return this.#slave.edgeLevel;
      default:
        return this.#chip(port).read(port & 1);
    }
  }

  protected override writeByte(port: number, value: number): void {
    switch (port) {
      case Port.PIC_MASTER_ELCR:
        this.#master.edgeLevel = value;
        break;
      case Port.PIC_SLAVE_ELCR:
        this.#slave.edgeLevel = value;
        break;
      default:
        this.#chip(port).write(port & 1, value);
        break;
    }
  }

  #chip(port: number): Pic {
    return port >= Port.PIC_SLAVE ? this.#slave : this.#master;
  }
}
