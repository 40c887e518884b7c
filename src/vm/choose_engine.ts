/**
 * Which engine runs a guest.
 */

import { DenovisorError } from "../base/errors.ts";
import { type KvmProbe, probeKvm } from "../engine/kvm/probe.ts";
import type { EngineChoice } from "./options.ts";

/** The engine that was taken. */
export interface EngineReport {
  /** Its name. */
  readonly name: "kvm" | "wasm";
  /** One clause for people: why this one. */
  readonly reason: string;
}

/** What this process found of KVM; looking again would cost the time of a guest. */
let found: KvmProbe | undefined;

/** What KVM on this host is worth: looked at once, again only as long as it cannot be used. */
export function probeOnce(): KvmProbe {
  if (found?.status !== "ready") found = probeKvm();
  return found;
}

/**
 * Picks the engine for `choice`. "auto" looks at KVM first and takes it wherever it can run guests,
 * also where it interprets them; "kvm" is taken unseen.
 * @throws DenovisorError `kvm-unavailable` when no engine is left.
 */
export function chooseEngine(
  choice: EngineChoice,
  probe: () => KvmProbe = probeOnce,
): EngineReport {
  if (choice === "kvm") return { name: "kvm", reason: "it was asked for" };
  const { status, reason, fix } = probe();
  if (status === "ready") return { name: "kvm", reason };
  const hint = fix === undefined ? "" : `; to fix it: ${fix}`;
  throw new DenovisorError("kvm-unavailable", `Cannot run guests with KVM: ${reason}${hint}`, {
    status,
  });
}
