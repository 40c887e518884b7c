/** The console under load; minutes where KVM interprets the guest, seconds elsewhere. */

import { checkFlood, checkPaste } from "../support/console_guests.ts";
import { testOnEngines } from "../support/engines.ts";
import { toolchain } from "../support/requirement.ts";

const HOUR_MS = 3600 * 1000;

testOnEngines(
  toolchain,
  "1 MiB of pasted input comes back from an echoing guest complete",
  async (engine) => {
    await checkPaste(engine, 1024 ** 2, HOUR_MS);
  },
);

testOnEngines(toolchain, "10 MiB of output arrive complete", async (engine) => {
  await checkFlood(engine, 2560, HOUR_MS);
});
