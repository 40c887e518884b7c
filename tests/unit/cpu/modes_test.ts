import { assertEquals } from "@std/assert";
import { flat32State, long64State, realModeState, resetState } from "../../../src/cpu/modes.ts";

/** Off after reset (SDM 3A §11.11.5); on, with all memory write-back, as firmware leaves them. */
const OFF = 0n, WRITE_BACK = 0x806n;
const MTRR_DEF_TYPE = 0x2ff;

Deno.test("MTRRs are off after reset, and on where a system starts without firmware", () => {
  const entry = { gdt: { base: 0x500, limit: 23 }, selectors: { cs: 8, ds: 16 } };
  assertEquals(resetState().msr(MTRR_DEF_TYPE), OFF);
  const starts = [
    realModeState({ cs: 0, ip: 0x7c00, ds: 0, ss: 0, sp: 0x7c00 }),
    flat32State({ eip: 0x10_0000, ...entry }),
    long64State({ rip: 0x10_0000, cr3: 0x1000, ...entry }),
  ];
  assertEquals(starts.map((state) => state.msr(MTRR_DEF_TYPE)), Array(3).fill(WRITE_BACK));
});
