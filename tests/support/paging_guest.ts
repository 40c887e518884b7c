/** Hand-assembled 32-bit guests that touch memory where a test wants them to. */

/** Where a flat image is loaded. */
const LOAD_ADDRESS = 0x7c00;
/** Bytes of the 16-bit part in front of a program. */
const REAL_BYTES = 19;

const le32 = (value: number) =>
  [value, value >>> 8, value >>> 16, value >>> 24].map((b) => b & 255);
const le16 = (value: number) => le32(value).slice(0, 2);

/** mov dword ptr [address], value */
export const store = (
  address: number,
  value: number,
) => [0xc7, 5, ...le32(address), ...le32(value)];
/** mov eax, [address] */
export const load = (address: number) => [0xa1, ...le32(address)];
/** mov al, [address]; out 0xe9, al: the byte goes to `vm.debug`. */
export const show = (address: number) => [0xa0, ...le32(address), 0xe6, 0xe9];
/** Waits until the 32 bits at `address` are `value`. */
export const waitFor = (address: number, value: number) => [
  ...[0x81, 0x3d, ...le32(address), ...le32(value)], // cmp dword ptr [address], value
  ...[0x75, 256 - 12], // jne to the comparison
];
/** mov al, value; out 0xf4, al: ends the run. */
export const leave = (value: number) => [0xb0, value, 0xe6, 0xf4, 0xf4];
/**
 * Stores to the first 4 bytes of each page of [from, to): mov ebx, from; mov [ebx], ebx;
 * add ebx, 4096; cmp ebx, to; jb.
 */
export const sweep = (from: number, to: number) => [
  ...[0xbb, ...le32(from)],
  ...[0x89, 0x1b, 0x81, 0xc3, ...le32(4096), 0x81, 0xfb, ...le32(to), 0x72, 256 - 16],
];

/** A flat image that goes to protected mode with flat segments and runs `program`. */
export function flatGuest(...program: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  const body = [
    ...[0x66, 0xb8, 16, 0, 0x8e, 0xd8], // mov ax, 16; mov ds, ax
    ...program.flat(),
  ];
  const gdt = LOAD_ADDRESS + REAL_BYTES + body.length;
  return new Uint8Array([
    0xfa, // cli
    ...[0x0f, 0x01, 0x16, ...le16(gdt + 24)], // lgdt
    ...[0x0f, 0x20, 0xc0, 0x0c, 1, 0x0f, 0x22, 0xc0], // mov eax, cr0; or al, 1; mov cr0, eax
    ...[0xea, ...le16(LOAD_ADDRESS + REAL_BYTES), 8, 0], // jmp 8:…
    ...body,
    ...[0, 0, 0, 0, 0, 0, 0, 0],
    ...[0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0], // flat 32-bit code
    ...[0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0], // flat data
    ...[...le16(23), ...le32(gdt)], // for lgdt
  ]);
}
