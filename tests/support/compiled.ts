/** The compiled executable, made once for the test file that imports this. */

import { compile } from "../../tools/compile.ts";
import type { Requirement } from "./requirement.ts";

const folder = await Deno.makeTempDir({ prefix: "denovisor-compiled-" });
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** Where the executable is, when `executableMade` is met. */
export const EXECUTABLE = `${folder}/denovisor`;

/** `deno compile` could make the executable: it has a compiler for the shim and Deno's runtime. */
export const executableMade: Requirement = { missing: await compile(EXECUTABLE) };
