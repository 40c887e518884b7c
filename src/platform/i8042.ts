/**
 * The 8042 keyboard controller with its mouse port (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller"), with nothing plugged in. Every answer is there at once.
 */

import { ByteDevice } from "../devices/byte_device.ts";
import type { IrqLine, PowerSink } from "../devices/device.ts";
import { Port } from "./layout.ts";

/** Status register. */
const Status = {
  OUTPUT_FULL: 0x01,
  SYSTEM: 0x04,
  /** The last write was to the command port. */
  COMMAND: 0x08,
  /** The keyboard is not locked. */
  UNLOCKED: 0x10,
  AUX_DATA: 0x20,
  TIMEOUT: 0x40,
} as const;

/** Controller configuration ("command byte"). */
const Config = {
  KEYBOARD_IRQ: 0x01,
  AUX_IRQ: 0x02,
  SYSTEM: 0x04,
  KEYBOARD_OFF: 0x10,
  AUX_OFF: 0x20,
  TRANSLATE: 0x40,
} as const;

/** Commands to the controller. */
const Command = {
  READ_CONFIG: 0x20,
  WRITE_CONFIG: 0x60,
  AUX_DISABLE: 0xa7,
  AUX_ENABLE: 0xa8,
  AUX_TEST: 0xa9,
  SELF_TEST: 0xaa,
  KEYBOARD_TEST: 0xab,
  KEYBOARD_DISABLE: 0xad,
  KEYBOARD_ENABLE: 0xae,
  READ_INPUT_PORT: 0xc0,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  WRITE_KEYBOARD_BUFFER: 0xd2,
  WRITE_AUX_BUFFER: 0xd3,
  WRITE_AUX_DEVICE: 0xd4,
  /** From here on, zeros in the low four bits pulse pins of the output port. */
  PULSE_OUTPUT: 0xf0,
} as const;

/** Output port: pin 0 low resets the processor, pin 1 gates address line 20, 4 and 5 are the IRQs. */
const OutputPort = { NOT_RESET: 0x01, A20: 0x02, IRQ1: 0x10, IRQ12: 0x20, IDLE: 0xc0 } as const;
/** Input port: the keyboard is not locked. */
const INPUT_PORT_UNLOCKED = 0x80;

const SELF_TEST_PASSED = 0x55;
const PORT_TEST_PASSED = 0x00;
/** What the controller gives when a device did not take a byte ("resend"), with Status.TIMEOUT. */
const NO_ANSWER = 0xfe;
/** Answers that may wait to be read; more are lost, as the controller's one buffer loses them. */
const QUEUE_LENGTH = 16;
/** No command waits for its data byte. */
const NO_COMMAND = -1;

/** What the controller drives. */
export interface I8042Options {
  readonly keyboardIrq: IrqLine;
  readonly auxIrq: IrqLine;
  readonly power: PowerSink;
}

/** The controller's two ports. Address line 20 is always on: only its bit is kept. */
export class I8042 extends ByteDevice {
  readonly name = "i8042";
  readonly #options: I8042Options;
  /** Answers with `Status.AUX_DATA` and `Status.TIMEOUT` in their second byte. */
  readonly #queue = new Uint16Array(QUEUE_LENGTH);
  #head = 0;
  #count = 0;
  /** As firmware leaves it: self-tested, keyboard on and translated, mouse off. */
  #config: number = Config.KEYBOARD_IRQ | Config.SYSTEM | Config.AUX_OFF | Config.TRANSLATE;
  #a20: number = OutputPort.A20;
  #pending = NO_COMMAND;
  #lastWrite = 0;
  #lastRead = 0;

  constructor(options: I8042Options) {
    super();
    this.#options = options;
  }

  protected override readByte(port: number): number {
    return port === Port.I8042_COMMAND ? this.#status() : this.#readData();
  }

  protected override writeByte(port: number, value: number): void {
    if (port === Port.I8042_COMMAND) {
      this.#lastWrite = Status.COMMAND;
      this.#pending = NO_COMMAND;
      this.#command(value);
    } else {
      this.#lastWrite = 0;
      const command = this.#pending;
      this.#pending = NO_COMMAND;
      this.#data(command, value);
    }
  }

  #status(): number {
    let status = Status.UNLOCKED | this.#lastWrite | (this.#config & Config.SYSTEM);
    if (this.#count > 0) status |= Status.OUTPUT_FULL | (this.#queue[this.#head] >>> 8);
    return status;
  }

  /** An empty buffer gives the byte that was in it last. */
  #readData(): number {
    if (this.#count > 0) {
      this.#lastRead = this.#queue[this.#head] & 0xff;
      this.#lower();
      this.#head = (this.#head + 1) % QUEUE_LENGTH;
      this.#count--;
      this.#raise();
    }
    return this.#lastRead;
  }

  #command(command: number): void {
    switch (command) {
      case Command.READ_CONFIG:
        this.#answer(this.#config);
        break;
      case Command.AUX_DISABLE:
        this.#config |= Config.AUX_OFF;
        break;
      case Command.AUX_ENABLE:
        this.#config &= ~Config.AUX_OFF;
        break;
      case Command.AUX_TEST:
      case Command.KEYBOARD_TEST:
        this.#answer(PORT_TEST_PASSED);
        break;
      case Command.SELF_TEST:
        this.#config |= Config.SYSTEM;
        this.#answer(SELF_TEST_PASSED);
        break;
      case Command.KEYBOARD_DISABLE:
        this.#config |= Config.KEYBOARD_OFF;
        break;
      case Command.KEYBOARD_ENABLE:
        this.#config &= ~Config.KEYBOARD_OFF;
        break;
      case Command.READ_INPUT_PORT:
        this.#answer(INPUT_PORT_UNLOCKED);
        break;
      case Command.READ_OUTPUT_PORT:
        this.#answer(this.#outputPort());
        break;
      case Command.WRITE_CONFIG:
      case Command.WRITE_OUTPUT_PORT:
      case Command.WRITE_KEYBOARD_BUFFER:
      case Command.WRITE_AUX_BUFFER:
      case Command.WRITE_AUX_DEVICE:
        this.#pending = command;
        break;
      default:
        if (command >= Command.PULSE_OUTPUT && (command & OutputPort.NOT_RESET) === 0) {
          this.#options.power({ kind: "reset" });
        }
        break;
    }
  }

  #data(command: number, value: number): void {
    switch (command) {
      case Command.WRITE_CONFIG:
        this.#lower();
        this.#config = value;
        this.#raise();
        break;
      case Command.WRITE_OUTPUT_PORT:
        this.#a20 = value & OutputPort.A20;
        if ((value & OutputPort.NOT_RESET) === 0) this.#options.power({ kind: "reset" });
        break;
      case Command.WRITE_KEYBOARD_BUFFER:
        this.#answer(value);
        break;
      case Command.WRITE_AUX_BUFFER:
        this.#answer(value, Status.AUX_DATA);
        break;
      case Command.WRITE_AUX_DEVICE:
        this.#answer(NO_ANSWER, Status.AUX_DATA | Status.TIMEOUT);
        break;
      default: // For the keyboard, which is not there.
        this.#answer(NO_ANSWER, Status.TIMEOUT);
        break;
    }
  }

  #outputPort(): number {
    const full = this.#count > 0;
    const aux = full && ((this.#queue[this.#head] >>> 8) & Status.AUX_DATA) !== 0;
    return OutputPort.IDLE | OutputPort.NOT_RESET | this.#a20 |
      (full && !aux ? OutputPort.IRQ1 : 0) | (aux ? OutputPort.IRQ12 : 0);
  }

  #answer(value: number, status = 0): void {
    if (this.#count === QUEUE_LENGTH) return;
    this.#queue[(this.#head + this.#count) % QUEUE_LENGTH] = value | (status << 8);
    this.#count++;
    if (this.#count === 1) this.#raise();
  }

  /** Both lines down: the byte that held one up has been read, or its interrupt turned off. */
  #lower(): void {
    this.#options.keyboardIrq.set(false);
    this.#options.auxIrq.set(false);
  }

  /** Raises the line of the byte that can be read. */
  #raise(): void {
    if (this.#count === 0) return;
    if (((this.#queue[this.#head] >>> 8) & Status.AUX_DATA) !== 0) {
      if ((this.#config & Config.AUX_IRQ) !== 0) this.#options.auxIrq.set(true);
    } else if ((this.#config & Config.KEYBOARD_IRQ) !== 0) {
      this.#options.keyboardIrq.set(true);
    }
  }
}
