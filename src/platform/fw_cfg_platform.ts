/** What fw_cfg tells about this machine: the items that SeaBIOS, iPXE and test kernels look for. */

import type { AcpiBlob } from "./acpi/blob.ts";
import { addAcpiFiles } from "./acpi/loader.ts";
import { encodeMap, type MapEntry, MapType } from "./e820.ts";
import { FwCfgItems, FwCfgKey } from "./fw_cfg_items.ts";
import { Port } from "./layout.ts";
import { SLEEP_TYPE_S5 } from "./pm.ts";

/** Bytes and the guest physical address, below 4 GiB, at which they are wanted. */
export interface PlacedBytes {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** A Linux kernel in the parts that a loader in firmware puts into memory. */
export interface FirmwareKernel {
  /** The real-mode part with the boot sector, its header filled in. */
  readonly setup: PlacedBytes;
  /** The protected-mode part; it is entered at its address. */
  readonly kernel: PlacedBytes;
  readonly initrd?: PlacedBytes;
  /** With its NUL. */
  readonly commandLine?: PlacedBytes;
}

/** What firmware gets besides the description of the machine. */
export interface FirmwareItems {
  readonly kernel?: FirmwareKernel;
  /** Files by name: "genroms/…" (option ROMs), "bootorder", "opt/…"; they replace ours. */
  readonly files?: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** What the items describe. */
export interface PlatformItemsOptions {
  readonly cpus: number;
  readonly ramBytes: number;
  readonly memoryMap: readonly MapEntry[];
  readonly acpi: AcpiBlob;
  readonly firmware: FirmwareItems | undefined;
}

/** Features: the plain interface (always) and DMA. */
const FEATURES = 1 << 0 | 1 << 1;
const UUID_BYTES = 16;
/** A sleep state that exists, in etc/system-states. */
const STATE_EXISTS = 0x80;

/** All items of a machine. */
export function platformItems(options: PlatformItemsOptions): FwCfgItems {
  const items = new FwCfgItems();
  const { cpus, memoryMap, firmware } = options;
  items.setBytes(FwCfgKey.SIGNATURE, new TextEncoder().encode("QEMU"));
  items.setNumber(FwCfgKey.ID, 4, FEATURES);
  items.setBytes(FwCfgKey.UUID, new Uint8Array(UUID_BYTES));
  items.setNumber(FwCfgKey.RAM_SIZE, 8, options.ramBytes);
  items.setNumber(FwCfgKey.NO_GRAPHIC, 2, 1);
  items.setNumber(FwCfgKey.CPUS, 2, cpus);
  items.setNumber(FwCfgKey.MAX_CPUS, 2, cpus);
  items.setNumber(FwCfgKey.BOOT_MENU, 2, 0);
  // No NUMA nodes: their number, then a node for every processor.
  items.setBytes(FwCfgKey.NUMA, new Uint8Array(8 + 8 * cpus));
  items.setNumber(FwCfgKey.IRQ0_OVERRIDE, 4, 1);
  items.setBytes(FwCfgKey.E820, reservations(memoryMap));

  items.addFile("etc/e820", encodeMap(memoryMap));
  items.addFile(
    "etc/system-states",
    new Uint8Array([STATE_EXISTS, 0, 0, 0, 0, STATE_EXISTS | SLEEP_TYPE_S5]),
  );
  // SeaBIOS then shows its screen on the serial line, and ends the run when nothing boots.
  items.addNumber("etc/sercon-port", 2, Port.COM1);
  items.addNumber("etc/boot-fail-wait", 4, 0);
  addAcpiFiles(items, options.acpi);
  if (firmware?.kernel !== undefined) addKernel(items, firmware.kernel);
  for (const file of firmware?.files ?? []) items.addFile(file.name, file.bytes);
  return items;
}

function addKernel(items: FwCfgItems, kernel: FirmwareKernel): void {
  items.setNumber(FwCfgKey.KERNEL_ENTRY, 4, kernel.kernel.address);
  addPlaced(
    items,
    kernel.kernel,
    FwCfgKey.KERNEL_ADDRESS,
    FwCfgKey.KERNEL_SIZE,
    FwCfgKey.KERNEL_DATA,
  );
  addPlaced(items, kernel.setup, FwCfgKey.SETUP_ADDRESS, FwCfgKey.SETUP_SIZE, FwCfgKey.SETUP_DATA);
  addPlaced(
    items,
    kernel.initrd,
    FwCfgKey.INITRD_ADDRESS,
    FwCfgKey.INITRD_SIZE,
    FwCfgKey.INITRD_DATA,
  );
  addPlaced(
    items,
    kernel.commandLine,
    FwCfgKey.COMMAND_LINE_ADDRESS,
    FwCfgKey.COMMAND_LINE_SIZE,
    FwCfgKey.COMMAND_LINE_DATA,
  );
}

/** Address, size and contents; what is absent stays absent and reads as zeros. */
function addPlaced(
  items: FwCfgItems,
  placed: PlacedBytes | undefined,
  addressKey: number,
  sizeKey: number,
  dataKey: number,
): void {
  if (placed === undefined) return;
  items.setNumber(addressKey, 4, placed.address);
  items.setNumber(sizeKey, 4, placed.bytes.length);
  items.setBytes(dataKey, placed.bytes);
}

/** The older table: a 32-bit count, and only what is reserved. */
function reservations(memoryMap: readonly MapEntry[]): Uint8Array {
  const reserved = memoryMap.filter((range) => range.type === MapType.RESERVED);
  const entries = encodeMap(reserved);
  const table = new Uint8Array(4 + entries.length);
  new DataView(table.buffer).setUint32(0, reserved.length, true);
  table.set(entries, 4);
  return table;
}
