/**
 * Boot images made in the test: each builder gives a valid image, and a test changes what it is
 * about.
 */

/** Fields of a setup header that tests set; the rest are those of a recent kernel. */
export interface BzImageOptions {
  version?: number;
  setupSects?: number;
  loadflags?: number;
  xloadflags?: number;
  initrdAddrMax?: number;
  kernelAlignment?: number;
  relocatable?: boolean;
  minAlignment?: number;
  cmdlineSize?: number;
  prefAddress?: number;
  initSize?: number;
  kernelVersion?: string;
  payload?: Uint8Array;
  payloadOffset?: number;
  payloadLength?: number;
  /** Bytes of protected-mode code, a multiple of 16. */
  codeBytes?: number;
  /** In paragraphs of 16 bytes. */
  syssize?: number;
}

/** A bzImage whose code is filled with 0xc5. */
export function bzImage(options: BzImageOptions = {}): Uint8Array<ArrayBuffer> {
  const payload = options.payload ?? new Uint8Array();
  const payloadOffset = options.payloadOffset ?? 0x300;
  const codeBytes = options.codeBytes ??
    Math.max(0x2000, Math.ceil((payloadOffset + payload.length) / 16) * 16);
  const setupSects = options.setupSects ?? 4;
  const setupBytes = ((setupSects || 4) + 1) * 512;
  const bytes = new Uint8Array(setupBytes + codeBytes);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = setupSects;
  view.setUint32(0x1f4, options.syssize ?? codeBytes / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  bytes.set([0xeb, 0x6a], 0x200);
  bytes.set(new TextEncoder().encode("HdrS"), 0x202);
  view.setUint16(0x206, options.version ?? 0x20f, true);
  if (options.kernelVersion !== undefined) {
    view.setUint16(0x20e, 0x300 - 0x200, true);
    bytes.set(new TextEncoder().encode(options.kernelVersion + "\0"), 0x300);
  }
  bytes[0x211] = options.loadflags ?? 1;
  view.setUint32(0x214, 0x10_0000, true);
  view.setUint32(0x22c, options.initrdAddrMax ?? 0x7fff_ffff, true);
  view.setUint32(0x230, options.kernelAlignment ?? 0x20_0000, true);
  bytes[0x234] = options.relocatable ?? true ? 1 : 0;
  bytes[0x235] = options.minAlignment ?? 21;
  view.setUint16(0x236, options.xloadflags ?? 0x3, true);
  view.setUint32(0x238, options.cmdlineSize ?? 2047, true);
  view.setUint32(0x248, options.payload === undefined ? 0 : payloadOffset, true);
  view.setUint32(0x24c, options.payloadLength ?? payload.length, true);
  view.setBigUint64(0x258, BigInt(options.prefAddress ?? 0x100_0000), true);
  view.setUint32(0x260, options.initSize ?? 0x10_0000, true);
  bytes.fill(0xc5, setupBytes);
  bytes.set(payload, setupBytes + payloadOffset);
  return bytes;
}

export interface ElfSegment {
  type?: number;
  vaddr?: number;
  paddr: number;
  bytes: Uint8Array;
  /** Bytes in memory, `bytes.length` unless given. */
  memsz?: number;
  align?: number;
}

export interface ElfOptions {
  bits?: 32 | 64;
  entry?: number;
  segments?: readonly ElfSegment[];
  /** Where the segments' bytes begin in the file. */
  dataOffset?: number;
}

/** An ELF executable for x86. */
export function elf(options: ElfOptions = {}): Uint8Array<ArrayBuffer> {
  const wide = (options.bits ?? 64) === 64;
  const segments = options.segments ?? [{ paddr: 0x10_0000, bytes: new Uint8Array(64).fill(0xf4) }];
  const headerBytes = wide ? 64 : 52;
  const phdrBytes = wide ? 56 : 32;
  const dataOffset = options.dataOffset ?? headerBytes + segments.length * phdrBytes;
  const total = segments.reduce((sum, segment) => sum + segment.bytes.length, dataOffset);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number) =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, wide ? 62 : 3, true);
  view.setUint32(20, 1, true);
  word(24, options.entry ?? segments[0].paddr);
  word(wide ? 32 : 28, headerBytes);
  view.setUint16(wide ? 52 : 40, headerBytes, true);
  view.setUint16(wide ? 54 : 42, phdrBytes, true);
  view.setUint16(wide ? 56 : 44, segments.length, true);
  let offset = dataOffset;
  segments.forEach((segment, index) => {
    const at = headerBytes + index * phdrBytes;
    const memsz = segment.memsz ?? segment.bytes.length;
    const vaddr = segment.vaddr ?? segment.paddr;
    const align = segment.align ?? 1;
    view.setUint32(at, segment.type ?? 1, true);
    const fields = [offset, vaddr, segment.paddr, segment.bytes.length, memsz];
    if (wide) fields.forEach((value, i) => word(at + 8 + 8 * i, value));
    else fields.forEach((value, i) => word(at + 4 + 4 * i, value));
    word(at + (wide ? 48 : 28), align);
    bytes.set(segment.bytes, offset);
    offset += segment.bytes.length;
  });
  return bytes;
}

/** An ELF note with the owner "Xen". */
export function xenNote(type: number, value: Uint8Array, align = 4): Uint8Array<ArrayBuffer> {
  const up = (n: number) => Math.ceil(n / align) * align;
  const bytes = new Uint8Array(up(up(16) + value.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4, true);
  view.setUint32(4, value.length, true);
  view.setUint32(8, type, true);
  bytes.set(new TextEncoder().encode("Xen\0"), 12);
  bytes.set(value, up(16));
  return bytes;
}

/** A PVH kernel: one segment at 1 MiB, and the note with its entry point. */
export function pvhElf(entry = 0x10_0000, options: ElfOptions = {}): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(8);
  new DataView(value.buffer).setUint32(0, entry, true);
  return elf({
    ...options,
    segments: [
      ...options.segments ?? [{ paddr: 0x10_0000, bytes: new Uint8Array(64).fill(0xf4) }],
      { type: 4, paddr: 0, bytes: xenNote(18, value), align: 4 },
    ],
  });
}

/** A Multiboot header; its checksum is right. */
export function multibootHeader(
  flags: number,
  addresses: readonly number[] = [],
): Uint8Array<ArrayBuffer> {
  const words = [0x1bad_b002, flags, -(0x1bad_b002 + flags) >>> 0, ...addresses];
  return new Uint8Array(Uint32Array.from(words).buffer);
}

export interface MultibootOptions {
  flags?: number;
  headerOffset?: number;
  load?: number;
  loadEnd?: number;
  bssEnd?: number;
  entry?: number;
  /** Bytes of the whole file. */
  fileBytes?: number;
}

/** A Multiboot image with address fields, to be loaded from its file's first byte on. */
export function multibootImage(options: MultibootOptions = {}): Uint8Array<ArrayBuffer> {
  const headerOffset = options.headerOffset ?? 16;
  const load = options.load ?? 0x10_0000;
  const fileBytes = options.fileBytes ?? 256;
  const bytes = new Uint8Array(fileBytes).fill(0xf4);
  const header = multibootHeader(options.flags ?? 0x1_0003, [
    load + headerOffset,
    load,
    options.loadEnd ?? 0,
    options.bssEnd ?? 0,
    options.entry ?? load,
  ]);
  const at = Math.min(headerOffset, fileBytes);
  bytes.set(header.subarray(0, fileBytes - at), at);
  return bytes;
}

/** A Multiboot kernel as ELF, its header in its segment. */
export function multibootElf(options: ElfOptions = {}, flags = 3): Uint8Array<ArrayBuffer> {
  return elf({
    bits: 32,
    ...options,
    segments: [{ paddr: 0x10_0000, bytes: multibootHeader(flags) }, ...options.segments ?? []],
    entry: options.entry ?? 0x10_0000,
  });
}
