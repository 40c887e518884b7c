/** The ACPI tables of the PC (ACPI 6.4 §5.2), built from the layout. */

import { Address, Gsi, Port } from "../layout.ts";
import { RtcRegister } from "../rtc.ts";
import type { AcpiBlob, AcpiChecksum, AcpiPart, AcpiPointer } from "./blob.ts";
import { dsdtBody } from "./dsdt.ts";

/** What the tables depend on. */
export interface AcpiOptions {
  /** Processors, 1 to 255; processor n has APIC ID n. */
  readonly cpus: number;
}

/** Bytes of a description header (§5.2.6), and where its checksum is. */
const HEADER_BYTES = 36;
const CHECKSUM_OFFSET = 9;
const OEM_ID = "DENOVI";
const OEM_TABLE_ID = "DENOVISR";
const CREATOR_ID = "DENO";

const FACS_BYTES = 64;
/** FADT 6.4 (§5.2.9). */
const FADT = { BYTES: 276, MAJOR: 6, MINOR: 4 } as const;
/** Fixed feature flags (§5.2.9, table 5.10). */
const FADT_FLAGS = 1 << 0 | // WBINVD works
  1 << 2 | // every processor has C1
  1 << 5 | // no fixed sleep button
  1 << 6 | // the RTC has no wake status here
  1 << 8 | // the timer is 32 bits wide
  1 << 10; // there is a reset register
/** IA-PC boot flags (table 5.11): legacy devices, an 8042, no VGA. */
const BOOT_ARCHITECTURE = 1 << 0 | 1 << 1 | 1 << 2;
/** Latencies above 100 and 1000 µs: no C2, no C3. */
const NO_C_STATE = 0xfff;
/** Reset register: a byte at the reset control port, and what to write to it. */
const RESET_VALUE = 6;
/** Generic addresses (§5.2.3.2) in I/O space, by access size. */
const GAS_IO = 1;
/** MADT: there are two 8259s too (§5.2.12, PCAT_COMPAT). */
const PCAT_COMPAT = 1;
/** Interrupt sources: as the bus has it, or active high and level-triggered (table 5.26). */
const MpsInti = { BUS_DEFAULT: 0, HIGH_LEVEL: 0xd } as const;
/** Where IRQ 0 arrives at the I/O APIC: pin 0 belongs to the 8259 on PCs. */
const GSI_OF_IRQ0 = 2;

/** Builds all tables for one machine. */
export function buildAcpi(options: AcpiOptions): AcpiBlob {
  const builder = new Builder();
  const facs = builder.facs();
  const dsdt = builder.table("DSDT", 2, dsdtBody(options.cpus));
  const fadt = builder.fadt(facs, dsdt);
  const madt = builder.table("APIC", 5, madtBody(options.cpus));
  const rsdt = builder.rootTable("RSDT", 4, [fadt, madt]);
  const xsdt = builder.rootTable("XSDT", 8, [fadt, madt]);
  return builder.finish(rsdt, xsdt);
}

/** Appends tables to one another and notes pointers and checksums. */
class Builder {
  #bytes = new Uint8Array(0);
  readonly #pointers: AcpiPointer[] = [];
  readonly #checksums: AcpiChecksum[] = [];

  /** The firmware control structure, which has no checksum (§5.2.10). */
  facs(): number {
    const facs = new Uint8Array(FACS_BYTES);
    const view = new DataView(facs.buffer);
    putText(facs, 0, "FACS");
    view.setUint32(4, FACS_BYTES, true);
    view.setUint8(32, 2); // version
    return this.#append(facs);
  }

  /** A table with its header; the offset at which it lies. */
  table(signature: string, revision: number, body: Uint8Array): number {
    const table = new Uint8Array(HEADER_BYTES + body.length);
    const view = new DataView(table.buffer);
    putText(table, 0, signature);
    view.setUint32(4, table.length, true);
    view.setUint8(8, revision);
    putText(table, 10, OEM_ID);
    putText(table, 16, OEM_TABLE_ID);
    view.setUint32(24, 1, true);
    putText(table, 28, CREATOR_ID);
    view.setUint32(32, 1, true);
    table.set(body, HEADER_BYTES);
    const at = this.#append(table);
    this.#checksum("tables", at + CHECKSUM_OFFSET, at, table.length);
    return at;
  }

  fadt(facs: number, dsdt: number): number {
    const at = this.table("FACP", FADT.MAJOR, fadtBody());
    this.#pointer("tables", at + 36, 4, facs);
    this.#pointer("tables", at + 40, 4, dsdt);
    this.#pointer("tables", at + 140, 8, dsdt);
    return at;
  }

  /** RSDT or XSDT: pointers of `sizeBytes` to the other tables (§5.2.7, §5.2.8). */
  rootTable(signature: string, sizeBytes: 4 | 8, tables: readonly number[]): number {
    const at = this.table(signature, 1, new Uint8Array(tables.length * sizeBytes));
    tables.forEach((table, i) => {
      this.#pointer("tables", at + HEADER_BYTES + i * sizeBytes, sizeBytes, table);
    });
    return at;
  }

  /** Adds the RSDP (§5.2.5.3). Its second checksum covers the first. */
  finish(rsdt: number, xsdt: number): AcpiBlob {
    const rsdp = new Uint8Array(36);
    const view = new DataView(rsdp.buffer);
    putText(rsdp, 0, "RSD PTR ");
    putText(rsdp, 9, OEM_ID);
    view.setUint8(15, 2); // revision
    view.setUint32(16, rsdt, true);
    view.setUint32(20, rsdp.length, true);
    view.setUint32(24, xsdt, true);
    this.#pointers.push({ part: "rsdp", offset: 16, sizeBytes: 4 });
    this.#pointers.push({ part: "rsdp", offset: 24, sizeBytes: 8 });
    this.#checksum("rsdp", 8, 0, 20);
    this.#checksum("rsdp", 32, 0, rsdp.length);
    return { rsdp, tables: this.#bytes, pointers: this.#pointers, checksums: this.#checksums };
  }

  /** Tables begin on multiples of 8 bytes, so that pointers in them are aligned. */
  #append(table: Uint8Array): number {
    const at = Math.ceil(this.#bytes.length / 8) * 8;
    const longer = new Uint8Array(at + table.length);
    longer.set(this.#bytes);
    longer.set(table, at);
    this.#bytes = longer;
    return at;
  }

  #pointer(part: AcpiPart, offset: number, sizeBytes: 4 | 8, target: number): void {
    new DataView(this.#bytes.buffer).setUint32(offset, target, true);
    this.#pointers.push({ part, offset, sizeBytes });
  }

  #checksum(part: AcpiPart, offset: number, start: number, length: number): void {
    this.#checksums.push({ part, offset, start, length });
  }
}

/** The FADT after its header. Offsets are those of the whole table (§5.2.9, table 5.9). */
function fadtBody(): Uint8Array {
  const table = new Uint8Array(FADT.BYTES);
  const view = new DataView(table.buffer);
  view.setUint16(46, Gsi.SCI, true);
  view.setUint32(56, Port.PM1_EVENT, true);
  view.setUint32(64, Port.PM1_CONTROL, true);
  view.setUint32(76, Port.PM_TIMER, true);
  view.setUint8(88, 4);
  view.setUint8(89, 2);
  view.setUint8(91, 4);
  view.setUint16(96, NO_C_STATE, true);
  view.setUint16(98, NO_C_STATE, true);
  view.setUint8(108, RtcRegister.CENTURY);
  view.setUint16(109, BOOT_ARCHITECTURE, true);
  view.setUint32(112, FADT_FLAGS, true);
  putAddress(view, 116, Port.RESET_CONTROL, 1);
  view.setUint8(128, RESET_VALUE);
  view.setUint8(131, FADT.MINOR);
  putAddress(view, 148, Port.PM1_EVENT, 4);
  putAddress(view, 172, Port.PM1_CONTROL, 2);
  putAddress(view, 208, Port.PM_TIMER, 4);
  return table.subarray(HEADER_BYTES);
}

/** The MADT after its header (§5.2.12). */
function madtBody(cpus: number): Uint8Array {
  const bytes: number[] = [];
  dword(bytes, Address.LOCAL_APIC);
  dword(bytes, PCAT_COMPAT);
  for (let cpu = 0; cpu < cpus; cpu++) {
    bytes.push(0, 8, cpu, cpu); // processor local APIC: UID, APIC ID (§5.2.12.2)
    dword(bytes, 1); // enabled
  }
  bytes.push(1, 12, 0, 0); // I/O APIC: ID 0 (§5.2.12.3)
  dword(bytes, Address.IOAPIC);
  dword(bytes, 0); // first GSI
  override(bytes, 0, GSI_OF_IRQ0, MpsInti.BUS_DEFAULT);
  override(bytes, Gsi.SCI, Gsi.SCI, MpsInti.HIGH_LEVEL);
  bytes.push(4, 6, 0xff, 0, 0, 1); // NMI at LINT1 of every processor (§5.2.12.7)
  return new Uint8Array(bytes);
}

/** Interrupt source override: where an ISA interrupt arrives (§5.2.12.5). */
function override(bytes: number[], irq: number, gsi: number, flags: number): void {
  bytes.push(2, 10, 0, irq);
  dword(bytes, gsi);
  bytes.push(flags, 0);
}

function dword(bytes: number[], value: number): void {
  bytes.push(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

/** A generic address of a register of `sizeBytes` bytes in I/O space (§5.2.3.2). */
function putAddress(view: DataView, at: number, port: number, sizeBytes: 1 | 2 | 4): void {
  view.setUint8(at, GAS_IO);
  view.setUint8(at + 1, sizeBytes * 8);
  // Access size: 1 byte, 2 word, 3 dword. PM1 events are two registers of a word each.
  const isPair = port === Port.PM1_EVENT;
  view.setUint8(at + 3, isPair ? 2 : 1 + Math.log2(sizeBytes));
  view.setUint32(at + 4, port, true);
}

function putText(bytes: Uint8Array, at: number, text: string): void {
  new TextEncoder().encodeInto(text, bytes.subarray(at));
}
