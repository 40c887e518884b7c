/** The initramfs of the Debian guest: busybox and an /init. */

import { sha256Hex } from "../../base/sha256.ts";
import { cpio, type CpioEntry } from "../../boot/cpio.ts";
import { INIT_SCRIPT } from "./init.ts";

/** Where /init mounts and installs things. */
const FOLDERS = ["bin", "proc", "root", "sbin", "sys", "tmp", "usr/bin", "usr/sbin"];

/** A file name that changes with whatever the initramfs is made of; `busybox` is busybox' own. */
export async function initramfsName(busybox: string): Promise<string> {
  const recipe = await sha256Hex(new TextEncoder().encode(INIT_SCRIPT + FOLDERS.join(" ")));
  return `initramfs-${busybox}_${recipe.slice(0, 12)}.cpio`;
}

/** The archive with `busybox` in it. */
export function initramfs(busybox: Uint8Array): Uint8Array {
  return cpio([
    ...FOLDERS.map((path): CpioEntry => ({ kind: "directory", path })),
    // The kernel opens it for /init, before anything is mounted on /dev.
    { kind: "character-device", path: "dev/console", major: 5, minor: 1 },
    { kind: "file", path: "bin/busybox", bytes: busybox, mode: 0o755 },
    // What scripts name; /init links the other applets.
    { kind: "symlink", path: "bin/sh", target: "busybox" },
    { kind: "file", path: "init", bytes: new TextEncoder().encode(INIT_SCRIPT), mode: 0o755 },
  ]);
}
