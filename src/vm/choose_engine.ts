/**
 * Which engine runs a guest.
 */

import type { EngineChoice } from "./options.ts";

/** The engine that was taken. */
export interface EngineReport {
  readonly name: "kvm" | "wasm";
  /** One clause for people: why this one. */
  readonly reason: string;
}

/** Picks the engine for `choice`. */
export function chooseEngine(choice: EngineChoice): Promise<EngineReport> {
  const reason = choice === "kvm" ? "it was asked for" : "/dev/kvm is there";
  return Promise.resolve({ name: "kvm", reason });
}
