/** `denovisor guest unpack BZIMAGE FILE`: the ELF kernel inside a bzImage. */

import { unpackKernel } from "../boot/mod.ts";
import { readSource } from "../vm/files.ts";
import { writeAtomically } from "./atomic_write.ts";
import { command } from "./command.ts";
import { usage } from "./options.ts";

/** Linux links itself into at most 1 GiB (KERNEL_IMAGE_SIZE), and packs that well below a half. */
const LARGEST = { name: "the largest bzImage", bytes: 512 * 1024 ** 2 };

/** The subcommand. */
export const guestUnpack = command({
  name: "guest unpack",
  words: "BZIMAGE FILE",
  summary: "Write the ELF kernel inside a bzImage to a file",
  details: [
    "The payload may be compressed by gzip, lz4, zstd or xz. FILE is replaced when it exists; on " +
    "an error it stays as it was.",
  ],
  examples: ["/boot/vmlinuz-6.1.0-50-cloud-amd64 vmlinux"],
  options: {},
  async run({ words }) {
    if (words.length !== 2 || words.includes("")) {
      throw usage(
        `Cannot tell what to unpack: found ${words.length} paths, expected two: BZIMAGE FILE`,
      );
    }
    const [from, to] = words;
    const image = await readSource("bzImage", from, { room: LARGEST });
    await writeAtomically(to, await unpackKernel(image));
    return 0;
  },
});
