/** Where fetched guests are kept, and how files get there: whole or not at all. */

import { DenovisorError } from "../../base/errors.ts";
import { environment } from "../environment.ts";

/**
 * denovisor's folder of files that can be fetched again ($XDG_CACHE_HOME/denovisor, else
 * ~/.cache/denovisor; XDG Base Directory Specification 0.8: a relative path counts as unset).
 * @throws DenovisorError `file` when the environment names neither.
 */
export function cacheFolder(): string {
  const xdg = environment("XDG_CACHE_HOME");
  if (xdg?.startsWith("/")) return `${xdg.replace(/\/+$/, "")}/denovisor`;
  const home = environment("HOME");
  if (home?.startsWith("/")) return `${home.replace(/\/+$/, "")}/.cache/denovisor`;
  throw new DenovisorError(
    "file",
    "Cannot find the cache folder: found neither XDG_CACHE_HOME nor HOME, expected one of them",
  );
}
