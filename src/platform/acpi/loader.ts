/**
 * ACPI tables through firmware: three fw_cfg files, of which the third tells firmware how to put the
 * other two into memory (QEMU hw/acpi/bios-linker-loader.c; SeaBIOS src/fw/romfile_loader.h).
 */

import type { FwCfgItems } from "../fw_cfg_items.ts";
import { type AcpiBlob, type AcpiPart, RSDP_ALIGNMENT, TABLES_ALIGNMENT } from "./blob.ts";

const FILES: Record<AcpiPart, string> = { rsdp: "etc/acpi/rsdp", tables: "etc/acpi/tables" };
const LOADER_FILE = "etc/table-loader";

/** Bytes of one command, and of a file name in it. */
const COMMAND_BYTES = 128;
const NAME_BYTES = 56;
const Command = { ALLOCATE: 1, ADD_POINTER: 2, ADD_CHECKSUM: 3 } as const;
/** Where to allocate: above 1 MiB, or in the segment at 0xf0000. */
const Zone = { HIGH: 1, F_SEGMENT: 2 } as const;

/** Adds the files. */
export function addAcpiFiles(items: FwCfgItems, blob: AcpiBlob): void {
  items.addFile(FILES.rsdp, blob.rsdp);
  items.addFile(FILES.tables, blob.tables);
  items.addFile(LOADER_FILE, loaderScript(blob));
}

function loaderScript(blob: AcpiBlob): Uint8Array {
  const commands = [
    allocate("rsdp", RSDP_ALIGNMENT, Zone.F_SEGMENT),
    allocate("tables", TABLES_ALIGNMENT, Zone.HIGH),
  ];
  for (const pointer of blob.pointers) {
    const view = command(Command.ADD_POINTER, pointer.part, "tables");
    view.setUint32(4 + 2 * NAME_BYTES, pointer.offset, true);
    view.setUint8(8 + 2 * NAME_BYTES, pointer.sizeBytes);
    commands.push(view);
  }
  for (const checksum of blob.checksums) {
    const view = command(Command.ADD_CHECKSUM, checksum.part);
    view.setUint32(4 + NAME_BYTES, checksum.offset, true);
    view.setUint32(8 + NAME_BYTES, checksum.start, true);
    view.setUint32(12 + NAME_BYTES, checksum.length, true);
    commands.push(view);
  }
  const script = new Uint8Array(commands.length * COMMAND_BYTES);
  commands.forEach((view, i) => script.set(new Uint8Array(view.buffer), i * COMMAND_BYTES));
  return script;
}

function allocate(part: AcpiPart, alignment: number, zone: number): DataView<ArrayBuffer> {
  const view = command(Command.ALLOCATE, part);
  view.setUint32(4 + NAME_BYTES, alignment, true);
  view.setUint8(8 + NAME_BYTES, zone);
  return view;
}

/** A command with its number and the files it names. */
function command(code: number, ...parts: readonly AcpiPart[]): DataView<ArrayBuffer> {
  const bytes = new Uint8Array(COMMAND_BYTES);
  parts.forEach((part, i) => {
    new TextEncoder().encodeInto(FILES[part], bytes.subarray(4 + i * NAME_BYTES));
  });
  const view = new DataView(bytes.buffer);
  view.setUint32(0, code, true);
  return view;
}
