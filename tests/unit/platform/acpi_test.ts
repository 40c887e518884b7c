/** The ACPI tables against ACPI 6.4 §5.2, as an operating system walks them. */

import { assert, assertEquals } from "@std/assert";
import { placeAcpi } from "../../../src/platform/acpi/place.ts";
import { buildAcpi } from "../../../src/platform/acpi/tables.ts";
import { addAcpiFiles } from "../../../src/platform/acpi/loader.ts";
import { FwCfgItems } from "../../../src/platform/fw_cfg_items.ts";
import { Address } from "../../../src/platform/layout.ts";
import { programs, testWith } from "../../support/requirement.ts";

/** Guest memory that holds nothing but the tables. */
class Memory {
  readonly #parts = new Map<number, Uint8Array>();

  put(address: number, bytes: Uint8Array): void {
    this.#parts.set(address, bytes);
  }
  bytes(address: number, length: number): Uint8Array {
    for (const [start, part] of this.#parts) {
      const at = address - start;
      if (at >= 0 && at + length <= part.length) return part.subarray(at, at + length);
    }
    throw new Error(`nothing at 0x${address.toString(16)}`);
  }
  number(address: number, length: number): number {
    return this.bytes(address, length).reduceRight((sum, byte) => sum * 256 + byte, 0);
  }
  text(address: number, length: number): string {
    return String.fromCharCode(...this.bytes(address, length));
  }
}

interface Tables {
  readonly memory: Memory;
  /** Address of each table by its signature. */
  readonly at: Map<string, number>;
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
}

/** Follows every pointer from the RSDP on and checks every checksum on the way. */
function walk(memory: Memory, rsdp: number): Tables {
  const at = new Map<string, number>();
  assertEquals(memory.text(rsdp, 8), "RSD PTR ");
  assertEquals(rsdp % 16, 0);
  assertEquals(memory.number(rsdp + 15, 1), 2);
  assertEquals(memory.number(rsdp + 20, 4), 36);
  assertEquals([sum(memory.bytes(rsdp, 20)), sum(memory.bytes(rsdp, 36))], [0, 0]);
  const table = (address: number): void => {
    const signature = memory.text(address, 4);
    const length = memory.number(address + 4, 4);
    assertEquals(sum(memory.bytes(address, length)), 0, signature);
    assertEquals(address % 8, 0, signature);
    assertEquals(memory.text(address + 10, 14), "DENOVIDENOVISR");
    assertEquals(memory.number(address + 24, 4), 1);
    assertEquals([memory.text(address + 28, 4), memory.number(address + 32, 4)], ["DENO", 1]);
    at.set(signature, address);
  };
  const roots: number[][] = [];
  for (const [field, size] of [[16, 4], [24, 8]]) {
    const root = memory.number(rsdp + field, size);
    table(root);
    const length = memory.number(root + 4, 4);
    const entries: number[] = [];
    for (let entry = 36; entry < length; entry += size) {
      entries.push(memory.number(root + entry, size));
    }
    entries.forEach(table);
    roots.push(entries);
  }
  assertEquals(roots[0], roots[1]);
  const fadt = at.get("FACP") ?? 0;
  table(memory.number(fadt + 40, 4));
  assertEquals(memory.number(fadt + 140, 8), at.get("DSDT"));
  const facs = memory.number(fadt + 36, 4);
  assertEquals([memory.text(facs, 4), memory.number(facs + 4, 4), facs % 64], ["FACS", 64, 0]);
  assertEquals(memory.number(facs + 32, 1), 2);
  return { memory, at };
}

function placed(cpus: number): Tables {
  const memory = new Memory();
  memory.put(Address.ACPI_TABLES, placeAcpi(buildAcpi({ cpus }), Address.ACPI_TABLES));
  return walk(memory, Address.ACPI_TABLES);
}

/** Does what firmware does with the loader script. */
function loaded(cpus: number): Tables {
  const items = new FwCfgItems();
  addAcpiFiles(items, buildAcpi({ cpus }));
  const all = items.byKey();
  const directory = new DataView((all.get(0x19) ?? new Uint8Array(4)).buffer);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).replace(/\0.*$/s, "");
  const files = new Map<string, Uint8Array>();
  for (let i = 0; i < directory.getUint32(0); i++) {
    const name = text(new Uint8Array(directory.buffer, 12 + 64 * i, 56));
    files.set(name, Uint8Array.from(all.get(directory.getUint16(8 + 64 * i)) ?? []));
  }
  const script = files.get("etc/table-loader") ?? new Uint8Array(0);
  assertEquals(script.length % 128, 0);
  const homes = new Map<string, number>();
  const memory = new Memory();
  let high = 0x7fe_1000;
  for (let at = 0; at < script.length; at += 128) {
    const command = new DataView(script.buffer, script.byteOffset + at, 128);
    const field = (offset: number) => command.getUint32(offset, true);
    const first = text(script.subarray(at + 4, at + 60));
    const file = files.get(first) ?? new Uint8Array(0);
    const view = new DataView(file.buffer);
    switch (field(0)) {
      case 1: {
        const lowZone = command.getUint8(64) === 2;
        const home = lowZone ? 0xf_5a40 : Math.ceil(high / field(60)) * field(60);
        assertEquals(home % field(60), 0);
        if (!lowZone) high = home + file.length;
        homes.set(first, home);
        memory.put(home, file);
        break;
      }
      case 2: {
        const target = homes.get(text(script.subarray(at + 60, at + 116))) ?? NaN;
        const offset = field(116);
        assert(offset + command.getUint8(120) <= file.length);
        view.setUint32(offset, view.getUint32(offset, true) + target, true);
        break;
      }
      case 3: {
        const [offset, start, length] = [field(60), field(64), field(68)];
        assert(offset < file.length && start + length <= file.length);
        file[offset] -= sum(file.subarray(start, start + length));
        break;
      }
      default:
        throw new Error(`unknown command ${field(0)}`);
    }
  }
  return walk(memory, homes.get("etc/acpi/rsdp") ?? 0);
}

Deno.test("ACPI tables hang together at the machine's address, for 1 to 255 processors", () => {
  for (const cpus of [1, 2, 16, 255]) {
    const { at } = placed(cpus);
    assertEquals([...at.keys()].sort(), ["APIC", "DSDT", "FACP", "RSDT", "XSDT"]);
  }
});

Deno.test("ACPI tables end before the first megabyte does, even with 255 processors", () => {
  const image = placeAcpi(buildAcpi({ cpus: 255 }), Address.ACPI_TABLES);
  assert(Address.ACPI_TABLES + image.length < Address.HIGH_MEMORY);
});

Deno.test("ACPI tables hang together where firmware's loader puts them", () => {
  const fromLoader = loaded(4);
  const fromMachine = placed(4);
  for (const signature of ["DSDT", "APIC"]) {
    const length = fromMachine.memory.number((fromMachine.at.get(signature) ?? 0) + 4, 4);
    assertEquals(
      fromLoader.memory.bytes(fromLoader.at.get(signature) ?? 0, length),
      fromMachine.memory.bytes(fromMachine.at.get(signature) ?? 0, length),
    );
  }
});

Deno.test("ACPI FADT says where the power-management registers and the reset register are", () => {
  const { memory, at } = placed(1);
  const fadt = at.get("FACP") ?? 0;
  const field = (offset: number, length: number) => memory.number(fadt + offset, length);
  assertEquals([field(8, 1), field(131, 1), field(4, 4)], [6, 4, 276]);
  assertEquals(field(46, 2), 9);
  assertEquals([field(48, 4), field(52, 1), field(53, 1)], [0, 0, 0]); // always in ACPI mode
  assertEquals([field(56, 4), field(64, 4), field(76, 4)], [0x600, 0x604, 0x608]);
  assertEquals([field(88, 1), field(89, 1), field(91, 1)], [4, 2, 4]);
  assertEquals([field(96, 2), field(98, 2)], [0xfff, 0xfff]); // no C2, no C3
  // Generic addresses: I/O space, width in bits, offset, access size, address (§5.2.3.2).
  assertEquals([...memory.bytes(fadt + 116, 12)], [1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0]);
  assertEquals(field(128, 1), 6);
  assertEquals([...memory.bytes(fadt + 148, 6)], [1, 32, 0, 2, 0x00, 0x06]);
  assertEquals([...memory.bytes(fadt + 172, 6)], [1, 16, 0, 2, 0x04, 0x06]);
  assertEquals([...memory.bytes(fadt + 208, 6)], [1, 32, 0, 3, 0x08, 0x06]);
  // WBINVD, C1, no sleep button, no RTC wake status, 32-bit timer, reset register (table 5.10).
  assertEquals(field(112, 4), 0x565);
  assertEquals(field(109, 2), 0x07);
  assertEquals(field(108, 1), 0x32);
});

Deno.test("ACPI MADT lists every processor, the I/O APIC and where IRQ 0 and the SCI arrive", () => {
  const { memory, at } = placed(3);
  const madt = at.get("APIC") ?? 0;
  const length = memory.number(madt + 4, 4);
  assertEquals([memory.number(madt + 36, 4), memory.number(madt + 40, 4)], [0xfee0_0000, 1]);
  const entries: number[][] = [];
  for (let entry = 44; entry < length; entry += memory.number(madt + entry + 1, 1)) {
    entries.push([...memory.bytes(madt + entry, memory.number(madt + entry + 1, 1))]);
  }
  assertEquals(entries, [
    [0, 8, 0, 0, 1, 0, 0, 0],
    [0, 8, 1, 1, 1, 0, 0, 0],
    [0, 8, 2, 2, 1, 0, 0, 0],
    [1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0],
    [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
    [2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
    [4, 6, 0xff, 0, 0, 1],
  ]);
});

testWith(programs("iasl"), "ACPI tables disassemble and compile without a complaint", async () => {
  const { memory, at } = placed(255);
  const folder = await Deno.makeTempDir();
  try {
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command("iasl", { args, cwd: folder })
        .output();
      const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertEquals(code, 0, text);
      return text;
    };
    for (const [signature, address] of at) {
      const bytes = memory.bytes(address, memory.number(address + 4, 4));
      await Deno.writeFile(`${folder}/${signature}.dat`, bytes);
      const text = await run("-d", `${signature}.dat`);
      assert(!/error|warning|invalid|incorrect/i.test(text), text);
    }
    const text = await run("DSDT.dsl");
    assert(/0 Errors, 0 Warnings/.test(text), text);
    const source = await Deno.readTextFile(`${folder}/DSDT.dsl`);
    for (const part of ["PNP0A03", "PNP0501", "PNP0B00", "PNP0303", "PNP0F13", "\\_S5", "(C0FE)"]) {
      assert(source.includes(part), `no ${part} in the DSDT`);
    }
    assertEquals(source.match(/ACPI0007/g)?.length, 255);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
