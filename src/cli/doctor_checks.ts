/** What `denovisor doctor` looks at, one finding each. */

import { DenovisorError } from "../base/errors.ts";
import { errnoName } from "../engine/kvm/errno.ts";
import { Shim } from "../engine/kvm/shim.ts";
import { MAX_MEMORY_BYTES } from "../memory/guest_memory.ts";
import { cachedGuest } from "./debian/guest.ts";

/** A line of the report. */
export interface Finding {
  readonly ok: boolean;
  /** What was looked at, and what was found. */
  readonly text: string;
  /** The one line that would change what is missing. */
  readonly fix?: string | undefined;
}

/** The oldest Deno that runs denovisor. */
const OLDEST_DENO = [2, 5];
/** Guests of less are of little use. */
const SMALL_BYTES = 512 * 1024 ** 2;
const GIB = 1024 ** 3;

/** The Deno that runs this, compiled in or not. */
export function checkDeno(): Finding {
  const [major, minor] = Deno.version.deno.split(".").map(Number);
  const ok = major > OLDEST_DENO[0] || (major === OLDEST_DENO[0] && minor >= OLDEST_DENO[1]);
  return {
    ok,
    text: `Deno ${Deno.version.deno}` + (ok ? "" : `, expected ${OLDEST_DENO.join(".")} or newer`),
    fix: ok ? undefined : "deno upgrade",
  };
}

/** libkvm-shim: there, loadable and permitted. */
export function checkShim(): Finding {
  try {
    using _shim = Shim.open();
    return { ok: true, text: "libkvm-shim: loads" };
  } catch (error) {
    if (!(error instanceof DenovisorError)) throw error;
    return { ok: false, text: `libkvm-shim: ${error.details.reason ?? error.message}` };
  }
}

/** The wasm engine: it needs the shared memory that guest RAM is made of. */
export function checkWasm(): Finding {
  const text = "wasm: guests run without KVM, by interpretation";
  try {
    new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    return { ok: true, text };
  } catch (error) {
    return { ok: false, text: `wasm: ${error instanceof Error ? error.message : error}` };
  }
}

/** userfaultfd with faults of the kernel, which a snapshot's lazy restore takes. */
export function checkUserfaultfd(): Finding {
  let fd: number;
  try {
    using shim = Shim.open();
    fd = shim.symbols.kvm_shim_userfaultfd(0);
    if (fd >= 0) shim.symbols.kvm_shim_close(fd);
  } catch {
    return { ok: false, text: "userfaultfd: not looked at, since that takes libkvm-shim" };
  }
  if (fd >= 0) return { ok: true, text: "userfaultfd: may be used" };
  return {
    ok: false,
    text: `userfaultfd: ${errnoName(-fd)}`,
    fix: "sudo sysctl vm.unprivileged_userfaultfd=1",
  };
}

/** How much RAM a guest can have. */
export function checkMemory(): Finding {
  if (Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" }).state !== "granted") {
    return { ok: false, text: "Memory: not looked at, since Deno may not", fix: "--allow-sys" };
  }
  const available = Math.min(Deno.systemMemoryInfo().available, cgroupRoom());
  const most = Math.min(available, MAX_MEMORY_BYTES);
  return {
    ok: most >= SMALL_BYTES,
    text: `Memory: ${gib(available)} available, a guest may have ${gib(most)}`,
  };
}

/** The guest that `denovisor boot` runs without --kernel. */
export async function checkGuest(): Promise<Finding> {
  const fix = "denovisor guest pull debian";
  try {
    const guest = await cachedGuest();
    if (guest !== undefined) return { ok: true, text: `Guest: ${guest.description}` };
    return { ok: false, text: "Guest: none fetched yet, the built-in one is always there", fix };
  } catch (error) {
    if (!(error instanceof DenovisorError)) throw error;
    return { ok: false, text: `Guest: ${error.message}`, fix };
  }
}

/** What the control group leaves (cgroup v2, memory.max and memory.current); Infinity without one. */
function cgroupRoom(): number {
  const [max, current] = ["max", "current"].map((name) => {
    try {
      return Number(Deno.readTextFileSync(`/sys/fs/cgroup/memory.${name}`));
    } catch {
      return NaN; // no cgroup v2, or none of its own
    }
  });
  return max - current >= 0 ? max - current : Infinity;
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}
