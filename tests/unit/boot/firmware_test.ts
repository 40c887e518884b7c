import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { firmwareBytes, loadFirmware } from "../../../src/boot/firmware.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { assertUntouched, inspect, MIB, Seg, State } from "../../support/boot.ts";

/** Firmware whose every 4 KiB page has its own number. */
function firmware(sizeBytes: number) {
  const bytes = new Uint8Array(sizeBytes);
  for (let page = 0; page * 4096 < sizeBytes; page++) {
    bytes.fill(page + 1, page * 4096, (page + 1) * 4096);
  }
  return { name: "bios.bin", bytes };
}

function boot(sizeBytes: number, ramBytes = 2 * MIB) {
  const file = firmware(sizeBytes);
  const memory = GuestMemory.allocate(ramBytes, firmwareBytes(file));
  return { file, loaded: inspect(memory, loadFirmware(memory, file)) };
}

Deno.test("firmware ends at 4 GiB, and its last 128 KiB below 1 MiB", () => {
  const { file, loaded } = boot(256 * 1024);
  assertEquals(loaded.bytes(0xfffc_0000, 256 * 1024), file.bytes);
  assertEquals(loaded.bytes(0xe_0000, 0x2_0000), file.bytes.subarray(0x2_0000));
  assertStrictEquals(loaded.u8(0xd_ffff), 0);
});

Deno.test("firmware smaller than 128 KiB is whole below 1 MiB", () => {
  const { file, loaded } = boot(4096);
  assertEquals(loaded.bytes(0xf_f000, 4096), file.bytes);
  assertStrictEquals(loaded.u8(0xf_efff), 0);
});

Deno.test("firmware starts at the reset vector", () => {
  const { state } = boot(64 * 1024).loaded.entry;
  assertStrictEquals(
    Number(state.segment(Seg.CS).base) + Number(state.get(State.RIP)),
    0xffff_fff0,
  );
  assertStrictEquals(state.segment(Seg.CS).selector, 0xf000);
});

Deno.test("firmware of a size that is none is refused", () => {
  const refuse = (sizeBytes: number) =>
    assertThrows(
      () => firmwareBytes({ name: "bios.bin", bytes: new Uint8Array(sizeBytes) }),
      DenovisorError,
    ).message;
  assertEquals(
    refuse(0),
    "Cannot load bios.bin: firmware of 0 bytes, expected a multiple of 4096 up to 16777216",
  );
  refuse(4095);
  refuse(16 * MIB + 4096);
  assertStrictEquals(firmwareBytes({ name: "x", bytes: new Uint8Array(16 * MIB) }), 16 * MIB);
});

Deno.test("firmware needs RAM up to 1 MiB", () => {
  boot(4096, MIB);
  const file = firmware(4096);
  const memory = GuestMemory.allocate(MIB - 4096, 4096);
  assertEquals(
    assertThrows(() => loadFirmware(memory, file), DenovisorError).message,
    "Cannot load bios.bin: the guest has 1044480 bytes of RAM, firmware needs 1 MiB",
  );
  assertUntouched(memory);
});
