/**
 * The PC: every device and platform register on its bus. The machine routes accesses to `ports` and
 * `mmio`, calls `poll` whenever time has passed or input may have come, and nothing else.
 */

import { MmioBus, PortBus } from "../devices/bus.ts";
import type { ByteSink, ByteSource } from "../devices/byte_stream.ts";
import { DEBUG_EXIT_PORTS, DebugExit } from "../devices/debug_exit.ts";
import { Debugcon } from "../devices/debugcon.ts";
import type { Clock, IrqLine, PowerSink } from "../devices/device.ts";
import { Uart, UART_PORTS } from "../devices/uart.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { Gsi, Port } from "./layout.ts";
import { PostPort } from "./post_port.ts";

/** One line of the guest's memory map: `length` bytes from gpa `base` on, with its e820 type. */
export interface MemoryRange {
  readonly base: number;
  readonly length: number;
  /** 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 ACPI NVS (ACPI 6.4 §15, table 15.5). */
  readonly type: number;
}

/** What the machine gives its PC. */
export interface PcOptions {
  /** vCPUs, 1 to 255. */
  readonly cpus: number;
  readonly memory: GuestMemory;
  readonly memoryMap: readonly MemoryRange[];
  readonly clock: Clock;
  /** Both ends of COM1. */
  readonly console: { readonly input: ByteSource; readonly output: ByteSink };
  /** The interrupt line of a global system interrupt. */
  readonly irq: (gsi: number) => IrqLine;
  readonly power: PowerSink;
  /** Whether port 0xf4 ends the run. */
  readonly debugExit: boolean;
  /** Takes what the guest writes to port 0xe9; without it there is no such device. */
  readonly debugOutput?: ByteSink;
  /** Takes SeaBIOS' log on port 0x402; without it there is no such device. */
  readonly firmwareLog?: ByteSink;
}

/** The assembled PC. */
export interface Pc {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly uart: Uart;
  /** Takes waiting input and raises what timers have come due. */
  poll(): void;
  /** When `poll` is due next, on `Clock.nowNs`; Infinity when only input can bring anything. */
  nextDeadlineNs(): number;
}

/** Builds the PC. */
export function buildPc(options: PcOptions): Pc {
  const ports = new PortBus();
  const mmio = new MmioBus();
  const uart = new Uart({
    name: "COM1",
    base: Port.COM1,
    irq: options.irq(Gsi.COM1),
    input: options.console.input,
    output: options.console.output,
  });
  ports.claim(Port.COM1, UART_PORTS, uart);
  ports.claim(Port.POST, 1, new PostPort());
  if (options.debugExit) {
    ports.claim(Port.DEBUG_EXIT, DEBUG_EXIT_PORTS, new DebugExit(options.power));
  }
  if (options.debugOutput !== undefined) {
    ports.claim(Port.DEBUGCON, 1, new Debugcon("debug console", options.debugOutput));
  }
  if (options.firmwareLog !== undefined) {
    ports.claim(Port.SEABIOS_DEBUGCON, 1, new Debugcon("firmware log", options.firmwareLog));
  }
  return {
    ports,
    mmio,
    uart,
    poll: () => uart.pull(),
    nextDeadlineNs: () => Infinity,
  };
}
