/** Engine parity: one suite, run on every engine that the machine has. */

import { kvmEngine } from "./kvm_guest.ts";
import { all, always, type Requirement, testWith } from "./requirement.ts";

/** The name of an engine, as `Vm.boot` takes it. */
export type EngineName = "kvm" | "wasm";

/** What each engine needs. */
export const ENGINES: Readonly<Record<EngineName, Requirement>> = {
  kvm: kvmEngine,
  wasm: always,
};

/** A test for each engine, with the engine's name after the test's. */
export function testOnEngines(
  needs: Requirement,
  name: string,
  fn: (engine: EngineName, t: Deno.TestContext) => void | Promise<void>,
): void {
  for (const engine of ["kvm", "wasm"] as const) {
    testWith(all(ENGINES[engine], needs), `${name} (${engine})`, (t) => fn(engine, t));
  }
}
