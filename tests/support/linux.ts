/** Debian's kernel as a guest of tests. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { unpackKernel } from "../../src/boot/mod.ts";
import { stockFile, type StockName } from "./stock.ts";

/** Prints from the first moment on; a calibrated TSC keeps busy hosts from failing to calibrate. */
export const COMMAND_LINE = "console=ttyS0 earlyprintk=ttyS0 panic=-1 tsc_early_khz=2000000";

/** The ELF kernel inside a bzImage of Debian's. */
export async function linuxElf(name: StockName = "linuxCloud"): Promise<Uint8Array> {
  return await unpackKernel({ name, bytes: await Deno.readFile(await stockFile(name)) });
}

/** The kernel's first lines have its version, our command line and exactly the memory map `map`. */
export function assertLinuxStart(output: string, map: readonly string[]): void {
  assertMatch(output, /Linux version \d+\.\d+\.\d+-\d+-cloud-amd64 /);
  assertStringIncludes(output, `] Command line: ${COMMAND_LINE}\r\n`);
  const found = [...output.matchAll(/BIOS-e820: (.*)\r\n/g)].map(([, entry]) => entry);
  assertEquals(found, map);
}
