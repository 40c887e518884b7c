/**
 * Debian's general kernel as a Debian machine has it: mmdebstrap installs it in a root folder of its
 * own, whose initramfs-tools makes the initrd then. Only /boot is kept, in .cache/stock/installed/
 * at the top of the repository; delete that folder to install newer versions.
 */

import { SUITE } from "../../src/cli/debian/mirror.ts";
import { all, always, programs, type Requirement } from "./requirement.ts";
import { debianMirror } from "./stock.ts";

/** Paths of what was installed. */
export interface InstalledLinux {
  readonly kernel: string;
  readonly initrd: string;
}

/** The kernel, and what a Debian installation has beside it for its initrd. */
const PACKAGES = ["linux-image-amd64", "initramfs-tools", "busybox", "zstd"];
const FOLDER = new URL("../../.cache/stock/installed/", import.meta.url).pathname;

/** The installed kernel is here, or can be installed. */
export async function installedLinux(): Promise<Requirement> {
  if (await find() !== undefined) return always;
  return all(programs("mmdebstrap"), await debianMirror());
}

/** The kernel and its initrd, which are installed when they are not here yet; that takes minutes. */
export async function installLinux(): Promise<InstalledLinux> {
  const here = await find();
  if (here !== undefined) return here;
  const part = `${FOLDER.slice(0, -1)}.${Deno.pid}.part`;
  await Deno.mkdir(part, { recursive: true });
  try {
    const { success, stderr } = await new Deno.Command("mmdebstrap", {
      args: [
        "--variant=essential",
        `--include=${PACKAGES.join(",")}`,
        `--customize-hook=copy-out /boot ${part}`,
        SUITE,
        "/dev/null", // the root folder itself is not wanted
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`mmdebstrap failed:\n${new TextDecoder().decode(stderr)}`);
    await Deno.rename(`${part}/boot`, FOLDER);
  } finally {
    await Deno.remove(part, { recursive: true });
  }
  const installed = await find();
  if (installed === undefined) throw new Error(`Found no kernel with its initrd in ${FOLDER}`);
  return installed;
}

async function find(): Promise<InstalledLinux | undefined> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(FOLDER)) names.push(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const kernel = names.find((name) => name.startsWith("vmlinuz-"));
  const initrd = names.find((name) => name.startsWith("initrd.img-"));
  if (kernel === undefined || initrd === undefined) return undefined;
  return { kernel: FOLDER + kernel, initrd: FOLDER + initrd };
}
