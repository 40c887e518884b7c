/** Bytes that are kept in the source as text. */

/** The bytes of base64 `text` (RFC 4648 §4); line breaks in it do not count. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
