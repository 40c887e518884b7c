import { assert, assertEquals } from "@std/assert";
import { ApThreads } from "../../src/engine/kvm/ap_threads.ts";
import { KvmControl } from "../../src/engine/kvm/control.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { engineFor, kvmEngine, memoryWith, nextExit, real16 } from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";

/** What an engine may leave behind in its process. */
interface Holdings {
  /** What the descriptors of KVM, userfaultfd and shared memory are. */
  readonly descriptors: readonly string[];
  readonly kvmMappings: number;
  /** Slots in the shim's table: the lowest free one. */
  readonly regionSlot: number;
}

function holdings(): Holdings {
  const mappings = Deno.readTextFileSync("/proc/self/maps").split("\n");
  using shim = Shim.open();
  using region = shim.mapRegion(-1, 4096);
  return {
    descriptors: descriptors(),
    kvmMappings: mappings.filter((line) => line.includes("kvm-vcpu")).length,
    regionSlot: region.id % 4096,
  };
}

/** The kinds that only an engine opens: Deno has files, sockets, epoll and event descriptors of its own. */
function descriptors(): string[] {
  const targets = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      return "gone"; // the descriptor that lists the folder
    }
  });
  return targets.filter((target) =>
    /^(?:\/dev\/kvm|anon_inode:\[?(?:kvm|userfaultfd)|\/memfd:)/.test(target)
  ).sort();
}

const threads = () => [...Deno.readDirSync("/proc/self/task")].length;

/** Threads end on their own time: waits until there are at most `most`. */
async function settleThreads(most: number): Promise<void> {
  for (let wait = 0; wait < 100 && threads() > most; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert(threads() <= most, `${threads()} threads are left, expected at most ${most}`);
}

/** Workers of tests before this one end on their own time too: waits until their VMs are closed. */
async function settleDescriptors(): Promise<void> {
  for (let wait = 0; wait < 100 && descriptors().length > 0; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

testWith(kvmEngine, "200 engines leave no descriptor, mapping or thread behind", async () => {
  const memory = memoryWith([0xe6, 0x10]);
  const cycle = () => {
    using engine = engineFor(memory, real16());
    nextExit(engine);
  };
  cycle();
  await settleDescriptors();
  const before = holdings();
  const threadsBefore = threads();
  assertEquals([before.descriptors, before.kvmMappings], [[], 0]);
  for (let round = 0; round < 200; round++) cycle();
  assertEquals(holdings(), before);
  await settleThreads(threadsBefore);
});

testWith(kvmEngine, "engines with several vCPUs leave nothing behind", async () => {
  const memory = memoryWith([0xe6, 0x10]);
  const cycle = async () => {
    const control = new KvmControl(3);
    await using _threads = new ApThreads(control);
    using engine = new KvmEngine({ memory, cpus: 3, control });
    engine.vcpus[0].writeState(real16());
    nextExit(engine);
  };
  await cycle();
  await settleDescriptors();
  const before = holdings();
  const threadsBefore = threads();
  for (let round = 0; round < 8; round++) await cycle();
  assertEquals(holdings(), before);
  await settleThreads(threadsBefore);
});

testWith(kvmEngine, "an engine that cannot be made leaves nothing behind", async () => {
  await settleDescriptors();
  const before = holdings();
  const memory = GuestMemory.allocate(4096);
  for (let round = 0; round < 3; round++) {
    try {
      using _engine = new KvmEngine({ memory, cpus: 100_000, control: new KvmControl(100_000) });
      assert(false, "100000 vCPUs were accepted");
    } catch (error) {
      assert(error instanceof Error && error.message.includes("100000 vCPUs"), String(error));
    }
  }
  assertEquals(holdings(), before);
});
