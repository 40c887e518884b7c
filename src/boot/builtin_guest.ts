/**
 * The guest that is part of denovisor: what `boot` runs when it is given no kernel and has no other.
 * Its source is tests/guests/demo.s; its bytes are here so that a machine without an assembler, and
 * the compiled binary, can boot something.
 */

import { decodeBase64 } from "../base/base64.ts";
import type { NamedBytes } from "./boot.ts";
import { BUILTIN_GUEST_BASE64 } from "./builtin_guest.gen.ts";

/** On its command line this word makes the built-in guest power off without waiting for input. */
export const BUILTIN_GUEST_AUTO = "auto";

/** The built-in guest: a Multiboot 1 image that prints what it finds and echoes its console. */
export function builtinGuest(): NamedBytes {
  return { name: "built-in guest", bytes: decodeBase64(BUILTIN_GUEST_BASE64) };
}
