/**
 * Tests that need something the host may lack. A test that cannot run is registered as ignored with
 * the reason in its name, so that the report says what was skipped and why.
 */

/** Something a test needs: `missing` is undefined when it is there, else the reason it is not. */
export interface Requirement {
  readonly missing: string | undefined;
}

/** Nothing is missing. */
export const always: Requirement = { missing: undefined };

/** All of `parts`; the first that is missing gives the reason. */
export function all(...parts: readonly Requirement[]): Requirement {
  return parts.find((part) => part.missing !== undefined) ?? always;
}

/** `/dev/kvm` can be opened for reading and writing. */
export const kvm: Requirement = { missing: whyNoDevice("/dev/kvm") };

/** A C compiler, assembler and linker are on the PATH. */
export const toolchain: Requirement = { missing: whyNoProgram("cc", "as", "ld") };

/** A requirement for programs on the PATH. */
export function programs(...names: readonly string[]): Requirement {
  return { missing: whyNoProgram(...names) };
}

/** `Deno.test`, or an ignored test that names what is missing. */
export function testWith(
  requirement: Requirement,
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  if (requirement.missing === undefined) Deno.test(name, fn);
  else Deno.test({ name: `${name} [skipped: ${requirement.missing}]`, ignore: true, fn });
}

function whyNoDevice(path: string): string | undefined {
  try {
    Deno.openSync(path, { read: true, write: true }).close();
    return undefined;
  } catch (error) {
    return `${path}: ${error instanceof Error ? error.message : error}`;
  }
}

function whyNoProgram(...names: readonly string[]): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  const absent = names.filter((name) => !folders.some((folder) => isFile(`${folder}/${name}`)));
  return absent.length === 0 ? undefined : `no ${absent.join(", ")} on the PATH`;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
