/**
 * Random guests on the wasm engine, in whole machines: whatever they do, nothing throws, the engine
 * comes back to the machine soon, and the run ends in a state that can be printed. Short runs of the
 * guests that random_guests_slow_test.ts runs for longer. DENOVISOR_SEED repeats one guest.
 */

import { checkRandomGuests } from "../support/fuzz_guest.ts";

Deno.test("fifty random guests of 300,000 instructions never throw and never stall", () => {
  checkRandomGuests(50, 300_000);
});
