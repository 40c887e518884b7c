/** The rest of what random_guests_test.ts is about. */

import { checkRandomGuests } from "../support/fuzz_guest.ts";

Deno.test("random guests 37 to 50 never throw and never stall in ten million instructions", () => {
  checkRandomGuests(37, 50, 10_000_000);
});
