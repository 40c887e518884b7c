/**
 * A running guest, as the main thread sees it.
 */

import { RingReader, RingWriter } from "../base/ring.ts";
import type { BootSource, NamedBytes } from "../boot/boot.ts";
import { builtinGuest } from "../boot/builtin_guest.ts";
import { firmwareBytes, MAX_FIRMWARE_BYTES } from "../boot/firmware.ts";
import { describeOutcome, type MachineOutcome } from "../machine/outcome.ts";
import { Signal } from "../machine/signals.ts";
import { GuestMemory, type GuestMemoryHandle } from "../memory/guest_memory.ts";
import { chooseEngine, type EngineReport } from "./choose_engine.ts";
import { Console } from "./console.ts";
import { backingsOf, measureRegions, regionsOutsideRam, type SizedRegion } from "./file_regions.ts";
import { readSource } from "./files.ts";
import { GuestOutput } from "./guest_output.ts";
import { HaltWatch } from "./halt_watch.ts";
import { JIT_BYTES } from "./jit_memory.ts";
import { MachineThread, type ThreadEnd } from "./machine_thread.ts";
import type { CheckedPaging } from "./memory_options.ts";
import { type CheckedOptions, checkOptions, checkWasmMemory, type VmOptions } from "./options.ts";
import { Profiler } from "./profile.ts";
import { collectStats, type VmStats } from "./stats.ts";
import { VmMemory } from "./vm_memory.ts";

/** How a Vm's run ended: the machine's outcome, or "timeout" after `timeoutMs`. */
export type VmOutcome = MachineOutcome | { readonly kind: "timeout" };

/**
 * A guest that runs in threads of its own. It ends by itself, by `stop`, at its timeout, or when it
 * is disposed: `await using vm = await Vm.boot({ … })`.
 */
export class Vm implements AsyncDisposable {
  /** The guest's serial console, COM1. */
  readonly console: Console;
  /** What the guest writes to the debug consoles at ports 0xe9 (Bochs, QEMU) and 0x402 (SeaBIOS). */
  readonly debug: GuestOutput;
  /**
   * Guest RAM by guest physical address, live: also while the guest runs, and after it ended. With
   * paging "mmu", what nobody has touched by the end reads as zeros then.
   */
  readonly memory: VmMemory;
  /** Which engine runs the guest, and why that one. */
  readonly engine: EngineReport;
  /** What was booted and how: "Linux 6.1.0 bzImage, 64-bit entry". */
  readonly description: string;
  readonly #thread: MachineThread;
  readonly #outcome: Promise<VmOutcome>;
  readonly #timers = new DisposableStack();
  readonly #profiler: Profiler | undefined;
  #timedOut = false;
  #engineStats: Readonly<Record<string, number>> = {};

  private constructor(parts: VmParts) {
    const { thread, options, startMs } = parts;
    this.#thread = thread;
    this.memory = parts.memory;
    this.engine = parts.engine;
    this.description = parts.description;
    const { input, output, debug } = thread.shared;
    this.console = new Console(new RingReader(output), new RingWriter(input), () => {
      thread.raise(Signal.INPUT);
    });
    this.debug = new GuestOutput(new RingReader(debug));
    this.#outcome = this.#follow();
    this.#outcome.catch(() => {}); // whoever asks gets it
    // Other engines come back when the guest waits.
    if (parts.engine.name === "kvm") this.#timers.use(new HaltWatch(thread));
    else if (options.profile) {
      this.#profiler = this.#timers.use(new Profiler(thread.shared.activity));
    }
    if (options.timeoutMs !== undefined) {
      const left = Math.max(0, options.timeoutMs - (performance.now() - startMs));
      const timer = setTimeout(() => this.#timeOut(), left);
      this.#timers.defer(() => clearTimeout(timer));
    }
  }

  /**
   * Builds a machine, loads the guest and starts it.
   * @throws DenovisorError: `usage` for a wrong option, `file` and `fetch` for what cannot be read,
   * `image` for what cannot be booted, `memory-size`, `kvm-unavailable`, `kvm`, `pager`.
   */
  static async boot(options: VmOptions = {}): Promise<Vm> {
    const startMs = performance.now();
    const checked = checkOptions(options);
    const thread = new MachineThread(checked.cpus); // starts while the files are read
    try {
      const reading = readSources(checked);
      reading.catch(() => {}); // first things first: without an engine no file matters
      const engine = chooseEngine(checked);
      const { source, firmware, regions } = await reading;
      const romBytes = firmware === undefined ? 0 : firmwareBytes(firmware);
      const { debugExit, memoryBytes, paging } = checked;
      if (engine.name === "wasm") checkWasmMemory(memoryBytes, romBytes);
      const extra = regionsOutsideRam(regions, memoryBytes);
      const { handle } = GuestMemory.allocate(memoryBytes, romBytes, extra);
      const memory = pagedMemory(thread, handle, regions, paging);
      const { mmu = "tdp", clock = "virtual", jitMemory: jitBytes = JIT_BYTES, jitTrace, assist } =
        checked;
      const description = await thread.start(
        { memory: handle, source, firmware, debugExit },
        engine.name === "kvm"
          ? { name: "kvm", assist }
          : { name: "wasm", mmu, clock, jitBytes, jitTrace },
        buffersOf(source, firmware),
      );
      return new Vm({ thread, memory, engine, description, options: checked, startMs });
    } catch (error) {
      await thread[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Resolves with how the run ended, once nothing of the engine is left.
   * @throws DenovisorError `file` or `pager` when guest memory cannot be brought in any more,
   * `internal` when denovisor itself has a defect.
   */
  wait(): Promise<VmOutcome> {
    return this.#outcome;
  }

  /** Ends the run, if it has not ended yet; resolves as `wait` does. */
  stop(): Promise<VmOutcome> {
    this.#thread.stop();
    // A machine that waits for someone to read its output would not see the kick.
    this.console.release();
    this.debug.release();
    return this.#outcome;
  }

  /** What has been counted so far; the engine's own counters come when the run has ended. */
  stats(): VmStats {
    const { shared, mmuCounters } = this.#thread;
    return collectStats(
      this.engine.name,
      shared.counters,
      this.#engineStats,
      mmuCounters,
      this.#profiler?.profile,
    );
  }

  /** Ends the run and waits until nothing is left of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {}); // an error is for those who wait for the outcome
  }

  #timeOut(): void {
    this.#timedOut = true;
    this.stop();
  }

  async #follow(): Promise<VmOutcome> {
    try {
      const end = await this.#thread.ended;
      this.#engineStats = end.engineStats;
      const outcome = this.#outcomeOf(end);
      this.#end(describeOutcome(outcome));
      return outcome;
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  #outcomeOf(end: ThreadEnd): VmOutcome {
    return end.outcome.kind === "stopped" && this.#timedOut ? { kind: "timeout" } : end.outcome;
  }

  #end(how: string): void {
    this.#timers.dispose();
    this.console.end(how);
    this.debug.finish();
  }
}

/** What a Vm is made of. */
interface VmParts {
  readonly thread: MachineThread;
  readonly memory: VmMemory;
  readonly engine: EngineReport;
  readonly description: string;
  readonly options: CheckedOptions;
  /** `performance.now()` at the start of `boot`. */
  readonly startMs: number;
}

/** What was read, and what will be when it is touched. */
interface Sources {
  readonly source: BootSource;
  readonly firmware: NamedBytes | undefined;
  readonly regions: readonly SizedRegion[];
}

/** Reads the files, and looks at those that are read later. */
async function readSources(options: CheckedOptions): Promise<Sources> {
  const { kernel, bios, append, timeoutMs, memoryBytes, paging } = options;
  const ram = { name: "the guest's RAM", bytes: memoryBytes, exceptElf: true };
  const rom = { name: "the place for it", bytes: MAX_FIRMWARE_BYTES };
  const [regions, kernelBytes, firmware, initrds] = await Promise.all([
    measureRegions(paging?.regions ?? []),
    kernel === undefined ? undefined : readSource("kernel", kernel, { timeoutMs, room: ram }),
    bios === undefined ? undefined : readSource("firmware", bios, { timeoutMs, room: rom }),
    readInitrds(options),
  ]);
  const booted = kernelBytes ?? (firmware === undefined ? builtinGuest() : undefined);
  return {
    source: {
      ...(booted === undefined ? {} : { kernel: booted }),
      initrds,
      append,
    },
    firmware,
    regions,
  };
}

/** One after the other, since all of them have to fit into RAM together. */
async function readInitrds(options: CheckedOptions): Promise<NamedBytes[]> {
  const { initrds, timeoutMs, memoryBytes } = options;
  const read: NamedBytes[] = [];
  let bytes = memoryBytes;
  for (const initrd of initrds) {
    const name = read.length === 0 ? "the guest's RAM" : "what those before it leave of RAM";
    const file = await readSource("initrd", initrd, { timeoutMs, room: { name, bytes } });
    bytes -= file.bytes.length;
    read.push(file);
  }
  return read;
}

/** The memory of a handle, with a pager when there is to be one. */
function pagedMemory(
  thread: MachineThread,
  handle: GuestMemoryHandle,
  regions: readonly SizedRegion[],
  paging: CheckedPaging | undefined,
): VmMemory {
  if (paging === undefined) return new VmMemory(handle, undefined);
  const memory = GuestMemory.attach(handle);
  const files = backingsOf(regions, memory);
  const { dirtyLog, trace } = paging;
  return new VmMemory(handle, thread.page(memory, { files, logDirty: dirtyLog, trace }));
}

/** The buffers of all files: the machine's thread takes them over instead of copying them. */
function buffersOf(source: BootSource, firmware: NamedBytes | undefined): ArrayBuffer[] {
  const files = [source.kernel, firmware, ...source.initrds ?? []];
  const buffers = files.flatMap((file) => file === undefined ? [] : [file.bytes.buffer]);
  return [...new Set(buffers)] as ArrayBuffer[];
}
