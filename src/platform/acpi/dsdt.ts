/** What the DSDT says about the machine (ACPI 6.4 §5.2.11.1): devices that cannot be probed. */

import { LOW_RAM_END } from "../../memory/guest_memory.ts";
import { Address, Gsi, Port } from "../layout.ts";
import { SLEEP_TYPE_S5 } from "../pm.ts";
import { type Aml, device, eisaId, integer, name, packageOf, scope, string } from "./aml.ts";
import { busWindow, isaIrq, memoryWindow, ports, portWindow, resources } from "./resources.ts";

/** The body of the DSDT for a machine of `cpus` processors. */
export function dsdtBody(cpus: number): Uint8Array {
  const aml = [
    // Sleep types for PM1a and PM1b (§7.4.2.6); PM1b is not there.
    ...name(
      "\\_S5",
      packageOf(integer(SLEEP_TYPE_S5), integer(SLEEP_TYPE_S5), integer(0), integer(0)),
    ),
    ...scope("\\_SB", processors(cpus), pciRoot(), com1(), rtc(), keyboard(), mouse(), fwCfg()),
  ];
  return new Uint8Array(aml);
}

/** Processor devices in their container; _UID is the MADT's processor UID (§8.4). */
function processors(cpus: number): Aml {
  const devices: Aml[] = [];
  for (let cpu = 0; cpu < cpus; cpu++) {
    devices.push(device(
      `C${cpu.toString(16).toUpperCase().padStart(3, "0")}`,
      name("_HID", string("ACPI0007")),
      name("_UID", integer(cpu)),
    ));
  }
  return device("CPUS", name("_HID", string("ACPI0010")), ...devices);
}

/** The PCI root bridge: its configuration ports, and what it passes on to bus 0. */
function pciRoot(): Aml {
  return device(
    "PCI0",
    name("_HID", eisaId("PNP0A03")),
    name("_UID", integer(0)),
    name(
      "_CRS",
      resources(
        busWindow(0, 0xff),
        ports(Port.PCI_ADDRESS, 8),
        portWindow(0, Port.PCI_ADDRESS - 1),
        portWindow(0xd00, 0xffff),
        memoryWindow(Address.VGA, 0xb_ffff),
        memoryWindow(LOW_RAM_END, Address.IOAPIC - 1),
      ),
    ),
  );
}

function com1(): Aml {
  return device(
    "COM1",
    name("_HID", eisaId("PNP0501")),
    name("_UID", integer(1)),
    name("_CRS", resources(ports(Port.COM1, 8), isaIrq(Gsi.COM1))),
  );
}

function rtc(): Aml {
  return device(
    "RTC",
    name("_HID", eisaId("PNP0B00")),
    name("_CRS", resources(ports(Port.CMOS_INDEX, 2), isaIrq(Gsi.RTC))),
  );
}

/** The keyboard port of the 8042, which has its interrupt whether a keyboard is plugged in or not. */
function keyboard(): Aml {
  return device(
    "KBD",
    name("_HID", eisaId("PNP0303")),
    name(
      "_CRS",
      resources(ports(Port.I8042_DATA, 1), ports(Port.I8042_COMMAND, 1), isaIrq(Gsi.KEYBOARD)),
    ),
  );
}

function mouse(): Aml {
  return device(
    "MOU",
    name("_HID", eisaId("PNP0F13")),
    name("_CRS", resources(isaIrq(Gsi.MOUSE))),
  );
}

/** fw_cfg, by the identifier under which Linux looks for it. */
function fwCfg(): Aml {
  return device(
    "FWCF",
    name("_HID", string("QEMU0002")),
    name("_CRS", resources(ports(Port.FW_CFG_SELECTOR, 12))),
  );
}
