/** Mounts that only one program sees. */

import type { Requirement } from "./requirement.ts";

/** unshare -m works: it takes root, or a kernel that gives mount namespaces to everyone. */
export const mountNamespaces: Requirement = { missing: whyNoNamespaces() };

/** A program line that runs `script` by sh with mounts of its own; what follows it is "$0" "$@". */
export function withMounts(script: string): string[] {
  return ["unshare", "-m", "sh", "-c", script];
}

function whyNoNamespaces(): string | undefined {
  try {
    const tried = new Deno.Command("unshare", { args: ["-m", "true"], stderr: "null" });
    return tried.outputSync().success ? undefined : "no permission for unshare -m";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "no unshare on the PATH";
    throw error;
  }
}
