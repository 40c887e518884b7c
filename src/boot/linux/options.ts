/**
 * The command-line options that boot.rst asks of the boot loader as well as of the kernel
 * ("Special Command Line Options").
 */

/** Video modes by name. */
const NORMAL = 0xffff;
const VIDEO_MODES = new Map([["normal", NORMAL], ["ext", 0xfffe], ["ask", 0xfffd]]);

/** The `vid_mode` that `vga=` asks for: a name or a number in C notation; "normal" by default. */
export function videoMode(commandLine: string): number {
  const value = lastValue(commandLine, "vga") ?? "normal";
  return VIDEO_MODES.get(value) ?? parseC(value)?.number ?? NORMAL;
}

/** Where RAM ends for the kernel by `mem=`, in bytes; Infinity without one. */
export function memoryLimit(commandLine: string): number {
  const parsed = parseC(lastValue(commandLine, "mem") ?? "");
  if (parsed === undefined) return Infinity;
  const exponent = "kmgtpe".indexOf(parsed.suffix.toLowerCase()) + 1;
  return parsed.suffix === "" ? parsed.number : parsed.number * 1024 ** exponent;
}

/** The value of the last `name=value` on the command line. */
function lastValue(commandLine: string, name: string): string | undefined {
  const words = commandLine.split(/\s+/).filter((word) => word.startsWith(`${name}=`));
  return words.at(-1)?.slice(name.length + 1);
}

/** A number in C notation with at most one letter after it. */
function parseC(text: string): { number: number; suffix: string } | undefined {
  const match = /^(0x[0-9a-f]+|[0-9]+)([kmgtpe]?)$/i.exec(text);
  if (match === null) return undefined;
  const digits = match[1];
  const octal = /^0[0-7]+$/.test(digits);
  return { number: octal ? parseInt(digits, 8) : Number(digits), suffix: match[2] };
}
