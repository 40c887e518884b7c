/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** In the place of a pager: fails by an exception that nobody expected. */

self.onmessage = () => {
  throw new Error("no such luck");
};
