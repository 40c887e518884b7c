/**
 * Random guests on the wasm engine, in whole machines: whatever they do, nothing throws, the engine
 * comes back to the machine soon, and the run ends in a state that can be printed. The first of those
 * that random_guests_slow_test.ts runs, in two files that run side by side. DENOVISOR_SEED repeats one
 * guest.
 */

import { checkRandomGuests, checkTranslatedGuests } from "../support/fuzz_guest.ts";

Deno.test("random guests 1 to 36 never throw and never stall in ten million instructions", () => {
  checkRandomGuests(1, 36, 10_000_000);
});

for (const threshold of [1, 5]) {
  Deno.test(`twenty random guests whose code is translated at its execution ${threshold} end as interpreted`, () => {
    checkTranslatedGuests(20, 200_000, { threshold, maxBytes: 2 ** 26 });
  });
}
