/** The console under load; minutes where KVM interprets the guest, seconds elsewhere. */

import { checkFlood, checkPaste } from "../support/console_guests.ts";
import { testWith } from "../support/requirement.ts";
import { kvmGuests } from "../support/vm_guest.ts";

const HOUR_MS = 3600 * 1000;

testWith(kvmGuests, "1 MiB of pasted input comes back from an echoing guest complete", async () => {
  await checkPaste(1024 ** 2, HOUR_MS);
});

testWith(kvmGuests, "10 MiB of output arrive complete", async () => {
  await checkFlood(2560, HOUR_MS);
});
