/**
 * Which engine runs a guest.
 */

import { DenovisorError } from "../base/errors.ts";
import { type KvmProbe, probeKvm } from "../engine/kvm/probe.ts";
import { type CheckedOptions, WASM_MAX_CPUS, WASM_MEMORY_BYTES, WASM_OPTIONS } from "./options.ts";

/** The engine that was taken. */
export interface EngineReport {
  /** Its name. */
  readonly name: "kvm" | "wasm";
  /** One clause for people: why this one. */
  readonly reason: string;
}

/** The options that the choice goes by. */
export type EngineWishes = Pick<
  CheckedOptions,
  "engine" | typeof WASM_OPTIONS[number] | "cpus" | "memoryBytes" | "paging"
>;

/** What this process found of KVM; looking again would cost the time of a guest. */
let found: KvmProbe | undefined;

/** What KVM on this host is worth: looked at once, again only as long as it cannot be used. */
export function probeOnce(): KvmProbe {
  if (found?.status !== "ready") found = probeKvm();
  return found;
}

/**
 * Picks the engine. "auto" takes KVM where it runs guest kernels on the processor, else the wasm
 * engine; an option that only one engine has decides for that one. What was asked for is taken unseen.
 * @throws DenovisorError `kvm-unavailable` when the options need KVM and it cannot be used, `usage`
 * when they need both engines.
 */
export function chooseEngine(
  wishes: EngineWishes,
  probe: () => KvmProbe = probeOnce,
): EngineReport {
  const { engine } = wishes;
  if (engine !== "auto") return { name: engine, reason: "it was asked for" };
  const kvmOnly = optionOfKvm(wishes);
  const wasmOnly = WASM_OPTIONS.find((option) => wishes[option] !== undefined);
  if (wasmOnly !== undefined) {
    if (kvmOnly === undefined) {
      return { name: "wasm", reason: `only it has the option ${wasmOnly}` };
    }
    const message = `Cannot use the option ${wasmOnly}: found ${kvmOnly}, which only the engine ` +
      "kvm takes, expected options of one engine";
    throw new DenovisorError("usage", message, { option: wasmOnly });
  }
  const kvm = probe();
  const ready = kvm.status === "ready";
  if (ready && kvm.ring0 === "native") return { name: "kvm", reason: kvm.reason };
  if (kvmOnly === undefined) return { name: "wasm", reason: whyNot(kvm) };
  if (ready) return { name: "kvm", reason: `only it takes ${kvmOnly}; ${kvm.reason}` };
  throw new DenovisorError(
    "kvm-unavailable",
    `Cannot run this guest: only KVM takes ${kvmOnly}, and ${whyNot(kvm)}`,
    { status: kvm.status },
  );
}

/** The option that only KVM takes, with its value. */
function optionOfKvm({ cpus, memoryBytes, paging }: EngineWishes): string | undefined {
  if (paging !== undefined) return 'memory.paging "mmu"';
  if (cpus > WASM_MAX_CPUS) return `${cpus} vCPUs`;
  if (memoryBytes > WASM_MEMORY_BYTES) return `${memoryBytes} bytes of RAM`;
  return undefined;
}

function whyNot({ status, reason, fix }: KvmProbe): string {
  if (status === "ready") return reason;
  const hint = fix === undefined ? "" : `; to fix it: ${fix}`;
  return `KVM cannot be used: ${reason}${hint}`;
}
