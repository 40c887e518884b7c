/**
 * GRUB's firmware image with a configuration of one's own: the image carries its configuration as
 * boot/grub/grub.cfg in a tar archive, its memory disk, which lies in it as it is.
 */

const PATH = "boot/grub/grub.cfg\0";
/** POSIX.1-2017, pax, "ustar Interchange Format": the size in octal, the magic, the file's start. */
const SIZE = { start: 124, end: 135 } as const;
const MAGIC = { start: 257, text: "ustar" } as const;
const HEADER_BYTES = 512;

/**
 * The image with `config` in place of its own, which is no shorter: the rest is empty lines.
 * @throws RangeError when there is no configuration in the image, or less room than needed.
 */
export function withGrubConfig(
  image: Uint8Array<ArrayBuffer>,
  config: string,
): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder("latin1").decode(image);
  const header = text.indexOf(PATH);
  const magic = header + MAGIC.start;
  if (header < 0 || !text.startsWith(MAGIC.text, magic)) {
    throw new RangeError("Cannot find the configuration in the GRUB image: expected a tar archive");
  }
  const sizeBytes = parseInt(text.slice(header + SIZE.start, header + SIZE.end), 8);
  if (config.length > sizeBytes) {
    throw new RangeError(
      `Cannot put the configuration into the GRUB image: found ${config.length} characters, ` +
        `expected at most ${sizeBytes}`,
    );
  }
  const changed = image.slice();
  changed.set(new TextEncoder().encode(config.padEnd(sizeBytes, "\n")), header + HEADER_BYTES);
  return changed;
}
