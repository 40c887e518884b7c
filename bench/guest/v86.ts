/**
 * Runs a 32-bit Linux kernel under v86, a peer, with its serial console on stdout. Arguments: bzImage,
 * initramfs, BIOS, command line, MiB of RAM.
 */

const PACKAGE = "npm:v86@0.5.462";

/** What is used of v86's interface. */
interface V86 {
  add_listener(event: "serial0-output-byte", listener: (byte: number) => void): void;
}

const [kernel, initramfs, bios, commandLine, memoryMib] = Deno.args;
// Only who runs this needs the package: it is not named in an import that the types are checked by.
const { V86 } = await import(PACKAGE);
const guest: V86 = new V86({
  wasm_path: new URL(import.meta.resolve(`${PACKAGE}/build/v86.wasm`)).pathname,
  memory_size: Number(memoryMib) * 1024 ** 2,
  bios: file(bios),
  bzimage: file(kernel),
  initrd: file(initramfs),
  cmdline: commandLine,
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
});
const bytes = new Uint8Array(1);
guest.add_listener("serial0-output-byte", (byte) => {
  bytes[0] = byte;
  Deno.stdout.writeSync(bytes);
});

function file(path: string): { buffer: ArrayBuffer } {
  return { buffer: Deno.readFileSync(path).buffer };
}
