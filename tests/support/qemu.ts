/** Runs guests under QEMU's own interpreter: the second opinion on our guests and on our option ROM. */

import { programs, type Requirement } from "./requirement.ts";

const PROGRAM = "qemu-system-x86_64";

/** QEMU, and the assembler that builds our guests. */
export const qemuGuests: Requirement = programs(PROGRAM, "as", "ld");

/** A bound against hanging, in milliseconds. */
const TIMEOUT_MS = 60_000;

export interface QemuOptions {
  /** `input` goes to COM1 once the guest has printed `prompt`. */
  readonly typed?: { readonly prompt: string; readonly input: string } | undefined;
  /** Ends the run when the output matches; without it the guest has to end it. */
  readonly until?: RegExp;
}

/** Runs QEMU with COM1 on its output and the debug exit at 0xf4. */
export async function runQemu(
  args: readonly string[],
  { typed, until }: QemuOptions = {},
): Promise<{ status: number; output: string }> {
  const child = new Deno.Command(PROGRAM, {
    args: [
      ...["-accel", "tcg", "-display", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"],
      ...["-device", "isa-debug-exit,iobase=0xf4,iosize=4", ...args],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const writer = child.stdin.getWriter();
    let output = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const before = output;
      output += text;
      if (typed !== undefined && !before.includes(typed.prompt) && output.includes(typed.prompt)) {
        await writer.write(new TextEncoder().encode(typed.input));
      }
      if (until?.test(output)) {
        child.kill("SIGKILL");
        break;
      }
    }
    await writer.close().catch(() => {}); // QEMU has ended
    return { status: (await child.status).code, output };
  } finally {
    clearTimeout(timer);
  }
}
