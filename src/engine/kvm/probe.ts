/** What this host's KVM is worth, found out by running a guest of a few instructions. */

import { asDenovisorError, DenovisorError } from "../../base/errors.ts";
import { gpa } from "../../base/u64.ts";
import { long64State } from "../../cpu/modes.ts";
import { GuestMemory } from "../../memory/guest_memory.ts";
import { ExitCode } from "../engine.ts";
import { Errno } from "./errno.ts";
import { deviceFault, tryOpenKvm } from "./kvm_device.ts";
import { KvmEngine } from "./kvm_engine.ts";
import { Scratch } from "./scratch.ts";
import { Shim, type ShimLack } from "./shim.ts";

/** How guest code at ring 0 runs: by the processor, or by an interpreter in the host's kernel. */
export type Ring0 = "native" | "interpreted";

/** What was found. */
export interface KvmProbe {
  readonly status: "ready" | "missing" | "no-permission" | "no-shim" | "no-ffi" | "unusable";
  /** One clause for people. */
  readonly reason: string;
  /** The command or option that would change it, where there is one. */
  readonly fix?: string;
  /** Only when ready. */
  readonly ring0?: Ring0;
  /** Time of one instruction of a ring-0 loop in nanoseconds; only when ready. */
  readonly nsPerInstruction?: number;
}

/** Looks at /dev/kvm, libkvm-shim and permissions, then runs a guest; takes a few milliseconds. */
export function probeKvm(): KvmProbe {
  if (deviceIsAbsent()) return describeFault(Errno.ENOENT);
  try {
    using shim = Shim.open();
    using scratch = new Scratch(shim);
    const fd = tryOpenKvm(scratch);
    if (fd < 0) return describeFault(-fd);
    scratch.close(fd);
    return measureRing0();
  } catch (thrown) {
    return describeError(asDenovisorError(thrown));
  }
}

/** Without the shim, and where reading is allowed; a missing device matters more than the shim. */
function deviceIsAbsent(): boolean {
  const { state } = Deno.permissions.querySync({ name: "read", path: "/dev/kvm" });
  if (state !== "granted") return false;
  try {
    Deno.statSync("/dev/kvm");
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function describeFault(errno: number): KvmProbe {
  const { kind, ...fault } = deviceFault(errno);
  return { status: kind === "other" ? "unusable" : kind, ...fault };
}

function describeError(error: DenovisorError): KvmProbe {
  const reason = String(error.details.reason ?? error.message);
  const lacks = error.details.lacks as ShimLack | undefined;
  if (lacks === "ffi-permission") return { status: "no-ffi", reason, fix: "--allow-ffi" };
  if (lacks === undefined) return { status: "unusable", reason };
  const fix = "sudo apt-get install gcc && deno task shim";
  return { status: "no-shim", reason, ...(lacks === "library" ? { fix } : {}) };
}

const CODE = 0x1000, TABLES = 0x2000, OPERAND = 0x8000;
/** Turns of the timed loop: milliseconds where the kernel interprets, microseconds where the processor runs. */
const TURNS = 2000;
const INSTRUCTIONS_A_TURN = 2;
/** A processor takes less even under two hypervisors, the kernel's emulator several times more. */
const INTERPRETED_NS = 100;

/**
 * Ring-0 code, after which come three exits: `out 0x10, al` around a loop of `dec ecx; jnz`, then
 * `cmpxchg16b [rdi]`, which the kernel's emulator lacks, and a last `out`.
 */
const GUEST = new Uint8Array([
  ...[0xe6, 0x10, 0xb9, TURNS & 0xff, TURNS >> 8, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xe6, 0x10],
  ...[0xbf, OPERAND & 0xff, OPERAND >> 8, 0, 0, 0x48, 0x0f, 0xc7, 0x0f, 0xe6, 0x10, 0xf4],
]);

function measureRing0(): KvmProbe {
  const memory = GuestMemory.allocate(2 * 1024 * 1024);
  memory.write(gpa(CODE), GUEST);
  // One 2 MiB page, mapped to itself (SDM 3A §4.5): present, writable, bit 7 page size.
  memory.writeU64(gpa(TABLES), TABLES + 0x1003);
  memory.writeU64(gpa(TABLES + 0x1000), TABLES + 0x2003);
  memory.writeU64(gpa(TABLES + 0x2000), 0x83);
  const gdt = { base: 0, limit: 0 };
  const state = long64State({ rip: CODE, cr3: TABLES, gdt, selectors: { cs: 8, ds: 16 } });
  using engine = new KvmEngine({ memory, cpus: 1 });
  engine.vcpus[0].writeState(state);
  expectOut(engine);
  const start = performance.now();
  expectOut(engine);
  const elapsedNs = (performance.now() - start) * 1e6;
  const nsPerInstruction = elapsedNs / (TURNS * INSTRUCTIONS_A_TURN);
  const emulated = engine.run(0) === ExitCode.FAILED;
  const ring0 = emulated || nsPerInstruction > INTERPRETED_NS ? "interpreted" : "native";
  const how = ring0 === "native"
    ? "guest kernels run on the processor"
    : "its kernel interprets guest kernels, which is slow";
  return { status: "ready", reason: `/dev/kvm is there; ${how}`, ring0, nsPerInstruction };
}

function expectOut(engine: KvmEngine): void {
  if (engine.run(0) === ExitCode.PORT_OUT) return;
  const reason = engine.exit.reason || "it does not stop where it should";
  throw new DenovisorError("kvm", `Cannot run a test guest on KVM: ${reason}`);
}
