import { assert, assertEquals, assertMatch } from "@std/assert";
import { guestPath } from "../../tools/guests.ts";
import { cli, said } from "../support/cli.ts";
import { host } from "../support/kvm_host.ts";
import { testWith } from "../support/requirement.ts";
import { kvmGuests } from "../support/vm_guest.ts";

/** Status of guest assist where no device keeps what is stored: all is well. */
const PASSED = 35;

async function bootAssist(...args: string[]) {
  const kernel = await guestPath("assist");
  return await cli(["boot", "--engine", "kvm", "--kernel", kernel, "--debug-exit", ...args]);
}

testWith(kvmGuests, "--stats counts what the interpreter has completed for KVM", async () => {
  const result = await bootAssist("--stats=json");
  assertEquals(result.status, PASSED, result.stderr);
  const { engineCounters } = JSON.parse(result.stderr.trimEnd().split("\n").at(-1)!);
  assertEquals(engineCounters.assisted_instructions > 0, host?.ring0 === "interpreted");
});

testWith(kvmGuests, "--no-assist ends the run where KVM gives up, with status 1", async () => {
  const result = await bootAssist("--no-assist");
  if (host?.ring0 !== "interpreted") return assertEquals(result.status, PASSED);
  assertEquals([result.status, result.stdout], [1, ""]);
  const lines = said(result);
  assert(lines.length > 0);
  assertMatch(lines.at(-1)!, /^denovisor: Guest run failed: KVM cannot emulate the instruction/);
});
