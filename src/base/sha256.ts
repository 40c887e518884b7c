/** Digests, as package indexes and build stamps write them. */

/** The SHA-256 of `bytes` in lower-case hexadecimal. */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  // Uint8Array's own toHex has no types before Deno 2.6.
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
