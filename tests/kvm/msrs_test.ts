import { assertEquals } from "@std/assert";
import { engineFor, kvmEngine, le, long64, memoryWith } from "../support/kvm_guest.ts";
import { all, type Requirement, testWith } from "../support/requirement.ts";

/** The low half of an MSR, as a guest reads it. */
function msrInGuest(index: number): number {
  const memory = memoryWith([0xb9, ...le(index, 4), 0x0f, 0x32, 0xe7, 0x10]); // rdmsr; out 0x10, eax
  using engine = engineFor(memory, long64(memory));
  engine.run(0);
  return engine.exit.data.getUint32(engine.exit.offset, true);
}

testWith(
  kvmEngine,
  "a guest that starts without firmware finds MTRRs on, memory write-back",
  () => {
    assertEquals(msrInGuest(0x2ff), 0x806);
  },
);

testWith(
  all(kvmEngine, linux(6, 8)),
  "a guest finds HWCR.TscFreqSel set: Linux asks for it on AMD processors",
  () => assertEquals(msrInGuest(0xc001_0015) >>> 24 & 1, 1),
);

/** A host kernel that is new enough. */
function linux(major: number, minor: number): Requirement {
  const [hasMajor, hasMinor] = Deno.osRelease().split(".").map(Number);
  const enough = hasMajor > major || (hasMajor === major && hasMinor >= minor);
  return { missing: enough ? undefined : `Linux ${major}.${minor} on the host` };
}
