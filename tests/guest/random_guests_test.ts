/**
 * Random guests on the wasm engine, in whole machines: whatever they do, nothing throws, the engine
 * comes back to the machine soon, and the run ends in a state that can be printed. The first of those
 * that random_guests_slow_test.ts runs. DENOVISOR_SEED repeats one guest.
 */

import { checkRandomGuests, checkTranslatedGuests } from "../support/fuzz_guest.ts";

Deno.test("fifty random guests of a million instructions never throw and never stall", () => {
  checkRandomGuests(50, 1_000_000);
});

for (const threshold of [1, 5]) {
  Deno.test(`twenty random guests whose code is translated at its execution ${threshold} end as interpreted`, () => {
    checkTranslatedGuests(20, 200_000, { threshold, maxBytes: 2 ** 26 });
  });
}
