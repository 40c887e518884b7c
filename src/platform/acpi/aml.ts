/**
 * Just enough of ACPI machine language to describe a PC (ACPI 6.4 §20.2). Every function gives the
 * encoded bytes of one object.
 */

/** Encoded AML. */
export type Aml = readonly number[];

/** Opcodes (§20.3). */
const Op = {
  ZERO: 0x00,
  ONE: 0x01,
  NAME: 0x08,
  BYTE: 0x0a,
  WORD: 0x0b,
  DWORD: 0x0c,
  STRING: 0x0d,
  SCOPE: 0x10,
  BUFFER: 0x11,
  PACKAGE: 0x12,
  DUAL_NAME: 0x2e,
  EXTENDED: 0x5b,
  ROOT: 0x5c,
  DEVICE: 0x82,
} as const;

/** A constant of up to 32 bits in its shortest form (§20.2.3). */
export function integer(value: number): Aml {
  if (value === 0) return [Op.ZERO];
  if (value === 1) return [Op.ONE];
  if (value <= 0xff) return [Op.BYTE, value];
  if (value <= 0xffff) return [Op.WORD, ...word(value)];
  return [Op.DWORD, ...dword(value)];
}

/** An ASCII string (§20.2.3). */
export function string(text: string): Aml {
  return [Op.STRING, ...new TextEncoder().encode(text), 0];
}

/** A plug-and-play identifier such as "PNP0A03", packed into 32 bits (§19.3.4, EISAID). */
export function eisaId(id: string): Aml {
  const [a, b, c] = [...id].map((letter) => letter.charCodeAt(0) - 0x40);
  const product = parseInt(id.slice(3), 16);
  return [
    Op.DWORD,
    (a << 2) | (b >>> 3),
    ((b & 7) << 5) | c,
    product >>> 8,
    product & 0xff,
  ];
}

/** A package of the given objects (§20.2.5.4, DefPackage). */
export function packageOf(...elements: readonly Aml[]): Aml {
  return [Op.PACKAGE, ...withLength([elements.length, ...elements.flat()])];
}

/** A buffer that holds `bytes` (§20.2.5.4, DefBuffer). */
export function buffer(bytes: Aml): Aml {
  return [Op.BUFFER, ...withLength([...integer(bytes.length), ...bytes])];
}

/** A named object (§20.2.5.1, DefName). */
export function name(path: string, value: Aml): Aml {
  return [Op.NAME, ...namePath(path), ...value];
}

/** Objects under an existing name (§20.2.5.1, DefScope). */
export function scope(path: string, ...objects: readonly Aml[]): Aml {
  return [Op.SCOPE, ...withLength([...namePath(path), ...objects.flat()])];
}

/** A device (§20.2.5.2, DefDevice). */
export function device(path: string, ...objects: readonly Aml[]): Aml {
  return [Op.EXTENDED, Op.DEVICE, ...withLength([...namePath(path), ...objects.flat()])];
}

/** `value` in two bytes, little-endian. */
export function word(value: number): Aml {
  return [value & 0xff, (value >>> 8) & 0xff];
}

/** `value` in four bytes, little-endian. */
export function dword(value: number): Aml {
  return [...word(value), ...word(value >>> 16)];
}

/** "\_SB", "PCI0" or "_SB.PCI0": a root prefix and one or two segments (§20.2.2). */
function namePath(path: string): Aml {
  const rooted = path.startsWith("\\");
  const segments = (rooted ? path.slice(1) : path).split(".").map((segment) =>
    [...segment.padEnd(4, "_")].map((letter) => letter.charCodeAt(0))
  );
  return [
    ...(rooted ? [Op.ROOT] : []),
    ...(segments.length === 2 ? [Op.DUAL_NAME] : []),
    ...segments.flat(),
  ];
}

/** `body` behind its PkgLength, which counts itself (§20.2.4). */
function withLength(body: Aml): Aml {
  if (body.length < 0x3f) return [body.length + 1, ...body];
  // Further bytes hold the bits above the low four; the first one tells how many there are.
  for (let more = 1; more <= 3; more++) {
    const length = body.length + 1 + more;
    if (length < 2 ** (4 + 8 * more)) {
      const rest = dword(Math.floor(length / 16)).slice(0, more);
      return [(more << 6) | (length & 0xf), ...rest, ...body];
    }
  }
  throw new RangeError(`Cannot encode AML: ${body.length} bytes in one package, expected < 2^28`);
}
