/**
 * PCI configuration mechanism 1 (PCI Local Bus 3.0 §3.2.2.3.2): an address port and a data port in
 * front of one bus of functions. The reset control register of the PIIX lies inside the address port.
 */

import { allOnes } from "../../devices/bus.ts";
import type { AccessSize, PortDevice, PowerSink } from "../../devices/device.ts";
import { Port } from "../layout.ts";
import type { PciFunction } from "./config_space.ts";

/** Ports of the mechanism: two dwords. */
export const PCI_PORTS = 8;
const DEVICES = 32;
const FUNCTIONS = 8;

/** The address port: enable bit, bus, device, function and dword; the rest reads as zero. */
const ENABLE = 0x8000_0000;
const ADDRESS_MASK = 0x80ff_fffc;

/** Reset control (82371SB datasheet §3.2.13): how to reset, and its trigger. */
const ResetControl = { FULL: 0x08, HARD: 0x02, TRIGGER: 0x04 } as const;

/** The ports 0xcf8 to 0xcff and bus 0 behind them. */
export class PciBus implements PortDevice {
  readonly name = "PCI configuration";
  readonly #power: PowerSink;
  readonly #functions: (PciFunction | undefined)[] = new Array(DEVICES * FUNCTIONS).fill(undefined);
  #address = 0;
  #resetControl = 0;

  constructor(power: PowerSink) {
    this.#power = power;
  }

  /**
   * Puts `entry` on the bus. A device of several functions says so in the header type of function 0.
   * @throws RangeError when the place is not on the bus or taken.
   */
  attach(device: number, fn: number, entry: PciFunction): void {
    const index = device * FUNCTIONS + fn;
    const taken = this.#functions[index];
    if (device < 0 || device >= DEVICES || fn < 0 || fn >= FUNCTIONS || taken !== undefined) {
      const found = taken === undefined ? "no such place on the bus" : `it holds ${taken.name}`;
      throw new RangeError(`Cannot attach ${entry.name} at PCI 00:${device}.${fn}: ${found}`);
    }
    this.#functions[index] = entry;
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= Port.PCI_DATA) {
      const target = this.#target();
      const offset = (this.#address & 0xfc) + (port - Port.PCI_DATA);
      return target === undefined ? allOnes(size) : target.readConfig(offset, size);
    }
    if (port === Port.PCI_ADDRESS && size === 4) return this.#address;
    if (port === Port.RESET_CONTROL && size === 1) return this.#resetControl;
    return allOnes(size);
  }

  /** Narrower accesses to the address port are no configuration cycles and have no effect. */
  writePort(port: number, size: AccessSize, value: number): void {
    if (port >= Port.PCI_DATA) {
      const offset = (this.#address & 0xfc) + (port - Port.PCI_DATA);
      this.#target()?.writeConfig(offset, size, value);
    } else if (port === Port.PCI_ADDRESS && size === 4) {
      this.#address = (value & ADDRESS_MASK) >>> 0;
    } else if (port === Port.RESET_CONTROL && size === 1) {
      this.#writeResetControl(value);
    }
  }

  /** The function that the address names, if it is there. */
  #target(): PciFunction | undefined {
    if (this.#address < ENABLE || ((this.#address >>> 16) & 0xff) !== 0) return undefined;
    return this.#functions[(this.#address >>> 8) & 0xff];
  }

  /** The reset happens when its trigger goes from 0 to 1, whatever kind was chosen. */
  #writeResetControl(value: number): void {
    const resets = (value & ~this.#resetControl & ResetControl.TRIGGER) !== 0;
    this.#resetControl = value & (ResetControl.FULL | ResetControl.HARD | ResetControl.TRIGGER);
    if (resets) this.#power({ kind: "reset" });
  }
}
