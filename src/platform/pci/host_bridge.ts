/**
 * The host bridge: an Intel 440FX (82441FX datasheet, 1996), by which firmware knows what machine it
 * is on. All memory below 1 MiB is RAM, so its shadowing registers (PAM) hold what is written and
 * change nothing.
 */

import { ConfigOffset, ConfigSpace } from "./config_space.ts";

/** Shadowing of 0xf0000 (high half of the first) and 0xc0000 to 0xeffff (datasheet §3.2.18). */
const PAM = { OFFSET: 0x59, COUNT: 7, WRITABLE: 0x33 } as const;
/** Memory space and bus mastering are always on (§3.2.3). */
const COMMAND_FIXED = 0x0006;
/** Medium decode timing (§3.2.4). */
const STATUS_FIXED = 0x0200;

/** Device 0 of bus 0. Firmware recognizes the subsystem as a virtual machine with fw_cfg. */
export function createHostBridge(): ConfigSpace {
  const bridge = new ConfigSpace("host bridge", {
    vendor: 0x8086,
    device: 0x1237,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    classCode: 0x06_0000,
    revision: 2,
  });
  bridge.define(ConfigOffset.COMMAND, 2, COMMAND_FIXED);
  bridge.define(ConfigOffset.STATUS, 2, STATUS_FIXED);
  for (let i = 0; i < PAM.COUNT; i++) bridge.define(PAM.OFFSET + i, 1, 0, PAM.WRITABLE);
  return bridge;
}
