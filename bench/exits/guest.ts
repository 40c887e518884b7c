/** The guest of bench/exits.ts: a flat image that goes to protected mode and makes exits. */

/** A PC's memory where no device of ours is, and a port likewise. */
const MMIO_ADDRESS = 0xe000_0000;
const PORT = 0x600 + 0x1000;

const LOAD_ADDRESS = 0x7c00;

/** What the guest does `count` times, in 32-bit code: EBX is the address, DX the port. */
export const Accesses = {
  /** out dx, al: one exit. */
  port: { bytes: [0xee], exits: 1 },
  /** mov [ebx], eax; mov eax, [ebx]: two exits. */
  mmio: { bytes: [0x89, 0x03, 0x8b, 0x03], exits: 2 },
} as const;
export type Access = keyof typeof Accesses;

const le = (value: number, size: number) =>
  Array.from({ length: size }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);

/** The image that makes `count` times the exits of `access`, then writes 0 to port 0xf4. */
export function exitGuest(access: Access, count: number): Uint8Array<ArrayBuffer> {
  const body = Accesses[access].bytes;
  const real = 19; // bytes of the 16-bit part
  const protectedPart = [
    ...[0x66, 0xb8, 16, 0, 0x8e, 0xd8], // mov ax, 16; mov ds, ax
    ...[0xb9, ...le(count, 4)], // mov ecx, count
    ...[0xbb, ...le(MMIO_ADDRESS, 4)], // mov ebx, address
    ...[0xba, ...le(PORT, 4)], // mov edx, port
    ...[...body, 0x49, 0x75, 256 - body.length - 3], // the accesses; dec ecx; jnz
    ...[0xb0, 0, 0xe6, 0xf4, 0xf4], // mov al, 0; out 0xf4, al; hlt
  ];
  const gdt = LOAD_ADDRESS + real + protectedPart.length;
  const realPart = [
    0xfa, // cli
    ...[0x0f, 0x01, 0x16, ...le(gdt + 24, 2)], // lgdt
    ...[0x0f, 0x20, 0xc0, 0x0c, 1, 0x0f, 0x22, 0xc0], // mov eax, cr0; or al, 1; mov cr0, eax
    ...[0xea, ...le(LOAD_ADDRESS + real, 2), 8, 0], // jmp 8:…
  ];
  const descriptors = [
    ...le(0, 8),
    ...[0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0], // flat 32-bit code
    ...[0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0], // flat data
    ...[...le(23, 2), ...le(gdt, 4)], // for lgdt
  ];
  return new Uint8Array([...realPart, ...protectedPart, ...descriptors]);
}
