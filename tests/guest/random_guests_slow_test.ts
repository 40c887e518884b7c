/** Random guests on the wasm engine, as many and as long as it takes to wear it out. */

import { checkRandomGuests } from "../support/fuzz_guest.ts";

Deno.test("five hundred random guests of ten million instructions never throw and never stall", () => {
  checkRandomGuests(1, 500, 10_000_000);
});
