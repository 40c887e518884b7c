/**
 * The PC: every device and platform register on its bus. The machine routes accesses to `ports` and
 * `mmio`, and calls `poll` when input may have come or a deadline has passed.
 */

import { MmioBus, PortBus } from "../devices/bus.ts";
import type { ByteSink, ByteSource } from "../devices/byte_stream.ts";
import { DEBUG_EXIT_PORTS, DebugExit } from "../devices/debug_exit.ts";
import { Debugcon } from "../devices/debugcon.ts";
import type { Clock, IrqLine, PowerSink } from "../devices/device.ts";
import { Uart, UART_PORTS } from "../devices/uart.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { placeAcpi } from "./acpi/place.ts";
import { buildAcpi } from "./acpi/tables.ts";
import { Cmos } from "./cmos.ts";
import type { MapEntry } from "./e820.ts";
import { FW_CFG_DMA_PORTS, FW_CFG_PORTS, FwCfg } from "./fw_cfg.ts";
import { type FirmwareItems, platformItems } from "./fw_cfg_platform.ts";
import { I8042 } from "./i8042.ts";
import { Address, Gsi, Port } from "./layout.ts";
import { createHostBridge } from "./pci/host_bridge.ts";
import { PCI_PORTS, PciBus } from "./pci/pci_bus.ts";
import { PM_PORTS, PowerManagement } from "./pm.ts";
import { PostPort } from "./post_port.ts";
import { SystemControlA } from "./system_control.ts";

/** What the machine gives its PC. */
export interface PcOptions {
  /** vCPUs, 1 to 255. */
  readonly cpus: number;
  readonly memory: GuestMemory;
  /**
   * RAM and reserved ranges for firmware, which carves its own out of them (fw_cfg's etc/e820):
   * KVM's own pages are among the reserved ones, the BIOS area is not.
   */
  readonly memoryMap: readonly MapEntry[];
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
  /** What firmware finds besides the description of the machine. */
  readonly firmware?: FirmwareItems;
}

/** The assembled PC. */
export interface Pc {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly pci: PciBus;
  readonly uart: Uart;
  readonly pm: PowerManagement;
  readonly post: PostPort;
  /** ACPI tables for `Address.ACPI_TABLES`, the RSDP first: for guests that start without firmware. */
  readonly acpiTables: Uint8Array;
  /** Takes waiting input and raises the interrupts that have come due. */
  poll(): void;
  /**
   * When `poll` is due next, on `Clock.nowNs`; Infinity when only new input can bring anything.
   * Cheap, and the same until something changes: it may be asked after every exit.
   */
  nextDeadlineNs(): number;
}

/**
 * Builds the PC. Ports that an engine with interrupt controllers and timer of its own answers (the
 * 8259s, the 8254 and port 0x61) are not on the bus.
 */
export function buildPc(options: PcOptions): Pc {
  const { cpus, memory, clock, irq, power } = options;
  const acpi = buildAcpi({ cpus });
  const items = platformItems({
    cpus,
    ramBytes: memory.ramBytes,
    memoryMap: options.memoryMap,
    acpi,
    firmware: options.firmware,
  });
  const { input, output } = options.console;
  const uart = new Uart({
    name: "COM1",
    base: Port.COM1,
    clock,
    irq: irq(Gsi.COM1),
    input,
    output,
  });
  const cmos = new Cmos({ clock, irq: irq(Gsi.RTC), memory, cpus });
  const pm = new PowerManagement({ clock, sci: irq(Gsi.SCI), power });
  const pci = new PciBus(power);
  const post = new PostPort();
  const fwCfg = new FwCfg(items, memory);
  const i8042 = new I8042({ keyboardIrq: irq(Gsi.KEYBOARD), auxIrq: irq(Gsi.MOUSE), power });
  pci.attach(0, 0, createHostBridge());

  const ports = new PortBus();
  ports.claim(Port.COM1, UART_PORTS, uart);
  ports.claim(Port.I8042_DATA, 1, i8042);
  ports.claim(Port.I8042_COMMAND, 1, i8042);
  ports.claim(Port.CMOS_INDEX, 2, cmos);
  ports.claim(Port.POST, 1, post);
  ports.claim(Port.SYSTEM_CONTROL_A, 1, new SystemControlA(power));
  ports.claim(Port.FW_CFG_SELECTOR, FW_CFG_PORTS, fwCfg);
  ports.claim(Port.FW_CFG_DMA, FW_CFG_DMA_PORTS, fwCfg);
  ports.claim(Port.PM1_EVENT, PM_PORTS, pm);
  ports.claim(Port.PCI_ADDRESS, PCI_PORTS, pci);
  if (options.debugExit) ports.claim(Port.DEBUG_EXIT, DEBUG_EXIT_PORTS, new DebugExit(power));
  if (options.debugOutput !== undefined) {
    ports.claim(Port.DEBUGCON, 1, new Debugcon("debug console", options.debugOutput));
  }
  if (options.firmwareLog !== undefined) {
    ports.claim(Port.SEABIOS_DEBUGCON, 1, new Debugcon("firmware log", options.firmwareLog));
  }

  return {
    ports,
    mmio: new MmioBus(),
    pci,
    uart,
    pm,
    post,
    acpiTables: placeAcpi(acpi, Address.ACPI_TABLES),
    poll: () => {
      uart.pull();
      cmos.rtc.poll();
      pm.poll();
    },
    nextDeadlineNs: () =>
      Math.min(uart.nextDeadlineNs(), cmos.rtc.nextDeadlineNs(), pm.nextDeadlineNs()),
  };
}
