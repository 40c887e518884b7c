/** `denovisor boot`: runs a guest with its console on this terminal. */

import { chooseEngine } from "../vm/choose_engine.ts";
import { checkOptions, type ClockChoice, type VmOptions } from "../vm/options.ts";
import { chooseGuest } from "./choose_guest.ts";
import { command } from "./command.ts";
import { flag, optionalValue, quote, usage, value, valueOr, values } from "./options.ts";
import { runGuest } from "./run_guest.ts";
import * as reader from "./values.ts";

/** The subcommand. */
export const boot = command({
  name: "boot",
  words: "",
  summary: "Boot a guest; its console is on stdin and stdout",
  details: [
    "The kernel may be a Linux bzImage, an ELF file, a Multiboot kernel or a flat image: the format " +
    "is detected. Without --kernel and --bios it is the Debian guest, which is fetched first when " +
    "it is not there yet (see denovisor guest pull), and where that cannot be, a small guest that is " +
    "part of denovisor.",
    "KVM runs the guest where it can do so on the processor; else the wasm engine does, which needs " +
    "neither /dev/kvm nor a permission but --allow-read. By its virtual clock an instruction takes a " +
    "nanosecond, an access to a device a microsecond, a guest that waits is at its next timer at once, " +
    "and it is 2026-01-01 when it starts: the same run each time. By the real clock its time is the host's.",
    "On a terminal every key goes to the guest; Ctrl-A x quits, Ctrl-A h helps. Without a terminal " +
    "stdin is passed on to the guest, and nothing waits for it.",
    "Exit status: 0 when the guest powers off or resets, 124 on --timeout, 3 on a triple fault, 2 for " +
    "a mistake in the command line, 128 + N when signal N ended the run (Ctrl-C: 130), with " +
    "--debug-exit ((VALUE << 1) | 1) & 0xff when the guest writes VALUE to port 0xf4, and 1 for " +
    "everything else.",
  ],
  examples: [
    "",
    '--kernel vmlinuz --initrd initrd.img --append "console=ttyS0"',
    "--kernel test.elf --debug-exit --timeout 10",
    "--bios bios-256k.bin --memory 1G --cpus 2",
  ],
  options: {
    kernel: value("FILE", "the kernel", reader.path),
    initrd: values("FILE", "an initrd, or a Multiboot module", reader.path),
    append: value("STRING", "the kernel's command line", reader.text),
    bios: value("FILE", "firmware, which ends at 4 GiB", reader.path),
    memory: valueOr("SIZE", "256M", "guest RAM: a number with K, M or G", reader.memory),
    cpus: valueOr("N", "1", "number of vCPUs", reader.cpus),
    engine: valueOr("ENGINE", "auto", "what runs guest code: auto, kvm or wasm", reader.engine),
    mmu: value(
      "MODE",
      "how the wasm engine translates addresses: tdp (default) or shadow, with the same results",
      reader.mmu,
    ),
    clock: value(
      "CLOCK",
      "the guest's time with the wasm engine: real, the default when stdin is a terminal, or virtual",
      reader.clock,
    ),
    "jit-memory": value(
      "SIZE",
      "WebAssembly that the wasm engine makes of hot code at most: a number with K, M or G (default: " +
        "256M), or 0 to interpret everything, with the same results",
      reader.jitMemory,
    ),
    "no-assist": flag(
      "end the run at the first instruction that KVM does not know, instead of interpreting it",
    ),
    "debug-exit": flag("let the guest end the run with a status by port 0xf4"),
    timeout: value("SECONDS", "end the run after so long", reader.seconds),
    trace: value(
      "mmu|jit[=FILE]",
      "write each event of KVM's MMU, which then brings guest memory in, or each translation of the " +
        "wasm engine, to FILE or stderr; see denovisor mmu report",
      reader.trace,
    ),
    stats: optionalValue(
      "json",
      "text",
      "say at the end what the run counted, as lines or as one JSON object",
      reader.oneOf("json"),
    ),
  },
  async run({ options, words }, voice) {
    if (words.length > 0) {
      throw usage(
        `Cannot use ${quote(words[0])}: expected options only (a kernel is --kernel FILE)`,
      );
    }
    const ownGuest = options.kernel === undefined && options.bios === undefined;
    if (ownGuest && options.initrd.length > 0) {
      throw usage(
        `Cannot use --initrd ${quote(options.initrd[0])}: found no --kernel, expected one with it`,
      );
    }
    const traced = (what: "mmu" | "jit") =>
      options.trace?.of === what ? options.trace.path : undefined;
    const machine: VmOptions = {
      bios: options.bios,
      memory: traced("mmu") === undefined
        ? options.memory
        : { size: options.memory, paging: "mmu", trace: traced("mmu") },
      cpus: options.cpus,
      engine: options.engine,
      mmu: options.mmu,
      clock: options.clock,
      jitMemory: options["jit-memory"],
      jitTrace: traced("jit"),
      profile: options.stats !== undefined,
      assist: !options["no-assist"],
      debugExit: options["debug-exit"],
      timeoutMs: options.timeout,
    };
    const engine = chooseEngine(checkOptions(machine));
    const guest = ownGuest ? await chooseGuest(engine, options.append, voice) : {
      kernel: options.kernel,
      initrd: options.initrd,
      append: options.append,
      pipedInput: { after: undefined, atEnd: "" },
    };
    const { kernel, initrd, append, pipedInput } = guest;
    const clock = options.clock ?? defaultClock(engine.name);
    return await runGuest({
      vm: { ...machine, clock, kernel, initrd, append },
      engine,
      pipedInput,
      stats: options.stats,
    }, voice);
  },
});

/** Someone who types wants to see the guest wait. */
function defaultClock(engine: "kvm" | "wasm"): ClockChoice | undefined {
  return engine === "wasm" && Deno.stdin.isTerminal() ? "real" : undefined;
}
