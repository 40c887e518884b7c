/** The fw_cfg items that SeaBIOS (src/fw/paravirt.c), iPXE and kvm-unit-tests read. */

import { assertEquals } from "@std/assert";
import { buildAcpi } from "../../../src/platform/acpi/tables.ts";
import { MapType } from "../../../src/platform/e820.ts";
import { type FirmwareItems, platformItems } from "../../../src/platform/fw_cfg_platform.ts";

const MAP = [
  { start: 0, sizeBytes: 0xc000_0000, type: MapType.RAM },
  { start: 0xfeff_c000, sizeBytes: 0x4000, type: MapType.RESERVED },
  { start: 0x1_0000_0000, sizeBytes: 0x4000_0000, type: MapType.RAM },
];

function build(firmware?: FirmwareItems) {
  const items = platformItems({
    cpus: 3,
    ramBytes: 4 * 1024 ** 3,
    memoryMap: MAP,
    acpi: buildAcpi({ cpus: 3 }),
    firmware,
  }).byKey();
  const bytes = (key: number) => items.get(key) ?? new Uint8Array(0);
  const directory = new DataView(bytes(0x19).buffer);
  const files = new Map<string, Uint8Array>();
  for (let i = 0; i < directory.getUint32(0); i++) {
    const at = 4 + 64 * i;
    const name = new TextDecoder().decode(new Uint8Array(directory.buffer, at + 8, 56));
    const contents = bytes(directory.getUint16(at + 4));
    assertEquals(directory.getUint32(at), contents.length);
    files.set(name.replace(/\0+$/, ""), contents);
  }
  return { bytes, files };
}

/** Little-endian. */
function number(bytes: Uint8Array | undefined): number {
  return [...bytes ?? []].reduceRight((sum, byte) => sum * 256 + byte, 0);
}

Deno.test("fw_cfg describes the machine under the fixed keys, in their widths", () => {
  const { bytes } = build();
  assertEquals(new TextDecoder().decode(bytes(0x00)), "QEMU");
  const numbers = [[0x01, 4, 3], [0x03, 8, 4 * 1024 ** 3], [0x04, 2, 1], [0x05, 2, 3]];
  for (const [key, width, value] of [...numbers, [0x0e, 2, 0], [0x0f, 2, 3], [0x8002, 4, 1]]) {
    assertEquals([bytes(key).length, number(bytes(key))], [width, value], `key ${key}`);
  }
  assertEquals(bytes(0x02), new Uint8Array(16));
  assertEquals(bytes(0x0d), new Uint8Array(8 + 3 * 8));
});

Deno.test("fw_cfg gives the memory map as a file, and its reserved part under the old key", () => {
  const { bytes, files } = build();
  const view = new DataView((files.get("etc/e820") ?? new Uint8Array(0)).buffer);
  assertEquals(view.byteLength, 60);
  MAP.forEach((range, i) => {
    assertEquals(view.getBigUint64(i * 20, true), BigInt(range.start));
    assertEquals(view.getBigUint64(i * 20 + 8, true), BigInt(range.sizeBytes));
    assertEquals(view.getUint32(i * 20 + 16, true), range.type);
  });
  const old = bytes(0x8003);
  assertEquals(number(old.subarray(0, 4)), 1);
  assertEquals(old.subarray(4), (files.get("etc/e820") ?? old).subarray(20, 40));
});

Deno.test("fw_cfg makes SeaBIOS use the serial line and give up at once", () => {
  const { files } = build();
  assertEquals(number(files.get("etc/sercon-port")), 0x3f8);
  assertEquals(number(files.get("etc/boot-fail-wait")), 0);
  for (const [name, file] of files) {
    // SeaBIOS reads a number only from a file whose size is a power of two (romfile_loadint).
    if (/port|wait/.test(name)) assertEquals(Math.log2(file.length) % 1, 0);
  }
  assertEquals([...files.get("etc/system-states") ?? []], [0x80, 0, 0, 0, 0, 0x80]);
});

Deno.test("fw_cfg has no kernel unless one is given, and then all its parts", () => {
  const placed = (address: number, length: number) => ({
    address,
    bytes: new Uint8Array(length).fill(length),
  });
  const keys = [0x07, 0x08, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18];
  assertEquals(keys.filter((key) => build().bytes(key).length > 0), []);
  const { bytes } = build({
    kernel: {
      setup: placed(0x1_0000, 1),
      kernel: placed(0x10_0000, 2),
      initrd: placed(0x400_0000, 3),
      commandLine: placed(0x2_0000, 4),
    },
  });
  const parts = [[0x16, 0x17, 0x18], [0x07, 0x08, 0x11], [0x0a, 0x0b, 0x12], [0x13, 0x14, 0x15]];
  assertEquals(
    parts.map(([address, size, data]) => [
      number(bytes(address)),
      number(bytes(size)),
      [...bytes(data)],
    ]),
    [
      [0x1_0000, 1, [1]],
      [0x10_0000, 2, [2, 2]],
      [0x400_0000, 3, [3, 3, 3]],
      [0x2_0000, 4, [4, 4, 4, 4]],
    ],
  );
  assertEquals(number(bytes(0x10)), 0x10_0000);
});

Deno.test("fw_cfg has the caller's files, which replace its own", () => {
  const { files } = build({
    files: [
      { name: "genroms/extra.rom", bytes: new Uint8Array([0x55, 0xaa]) },
      { name: "etc/boot-fail-wait", bytes: new Uint8Array([1, 0]) },
    ],
  });
  assertEquals([...files.get("genroms/extra.rom") ?? []], [0x55, 0xaa]);
  assertEquals(number(files.get("etc/boot-fail-wait")), 1);
});
