/** Traces to report on: made by driving the MMU as a guest's memory accesses would. */

import { TraceJson } from "../../src/mmu/trace_json.ts";
import { HostModel } from "./host_model.ts";
import { Rig } from "./mmu_rig.ts";
import { Random } from "./random.ts";

const MIB = 1024 ** 2;

/**
 * A guest of 256 MiB: 2 MiB pages where it works, small ones in its first and last part, a read-only
 * ROM below 4 GiB, a dirty-logged slot above, MMIO, a page of 1 GiB high up.
 */
export function mixedTrace(seed = 1): string {
  const random = new Random(seed);
  const host = new HostModel(2);
  const rig = new Rig({ tables: "npt" }, host);
  rig.slot(0, 0xa_0000);
  rig.slot(MIB, 255 * MIB);
  rig.slot(0xfffc_0000, 0x4_0000, { readOnly: true });
  rig.slot(4096 * MIB, 64 * MIB, { logDirty: true });
  rig.slot(16_384 * MIB, 2048 * MIB);
  for (let page = 160 * 256; page < 256 * 256; page++) host.set(page, { level: 1 });
  for (let page = 0; page < 512; page++) host.set(16_384 * 256 + page, { level: 3 });
  let text = "";
  let ns = 0;
  const write = (bytes: Uint8Array) => void (text += new TextDecoder().decode(bytes));
  const json = new TraceJson(rig.mmu, write, () => ns);
  const access = (address: number, kind: "r" | "w" | "x") => {
    ns += 200 + random.below(random.below(40) === 0 ? 40_000 : 3000);
    rig.access(address, kind);
  };
  for (let n = 0; n < 160; n++) access(n * 4096, "w");
  for (let n = 0; n < 900; n++) access(random.below(160) * MIB, n % 3 === 0 ? "x" : "w");
  for (let n = 0; n < 3000; n++) {
    access((160 + Math.min(random.below(96), random.below(96))) * MIB + random.below(MIB), "r");
    if (n % 20 === 0) access(0xfee0_0000 + random.below(2) * 0x20_0000, "w");
    if (n % 50 === 0) access(0xfffc_0000 + random.below(0x4_0000), "x");
  }
  access(16_384 * MIB, "w");
  const dirty = new Uint32Array(64 * 256 / 32);
  for (let n = 0; n < 4000; n++) {
    access(4096 * MIB + random.below(random.below(64 * MIB)), n % 4 === 0 ? "r" : "w");
    if (n % 1000 === 999) rig.mmu.takeDirtyLog(rig.mmu.findMemslot(rig.gfn(4096 * MIB))!, dirty);
  }
  json.end();
  return text;
}
