/** How V8 is to treat translated code. */

import v8 from "node:v8";

let done = false;

/**
 * Lets V8 compile the functions of a module at once, on all cores, and not each at its first call, on
 * the thread that runs the guest: what is translated is hot, and will be called. For the process; a V8
 * that does not take it is slower, no more.
 */
export function compileEagerly(): void {
  if (done) return;
  done = true;
  try {
    v8.setFlagsFromString("--no-wasm-lazy-compilation");
  } catch {
    // As it was, then.
  }
}
