/** Nothing outlives a Vm. */

import { assert, assertEquals } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { type EngineName, testOnEngines } from "../support/engines.ts";
import { always } from "../support/requirement.ts";
import { bootCode, ENDLESS_LOOP } from "../support/vm_guest.ts";

/** Create, boot, dispose: this often. */
const ROUNDS = 200;
/** Guest RAM of each. */
const RAM_MIB = 16;
/** Threads of a worker end a little after their last message, those that read files after 10 s. */
const SETTLE_MS = 20_000;

/** What this process holds of the things that a Vm makes. */
interface Held {
  readonly threads: number;
  /** Descriptors, without the two that Deno itself keeps of every worker (denoland/deno#31080). */
  readonly descriptors: number;
  readonly kvm: number;
}

testOnEngines(
  always,
  `no descriptor, mapping or thread is left of ${ROUNDS} guests`,
  async (engine) => {
    for (let i = 0; i < 3; i++) await bootAndDispose(engine, i); // what is loaded once, is loaded now
    const before = await settled();
    const sizeBefore = addressSpaceMib();
    for (let i = 0; i < ROUNDS; i++) await bootAndDispose(engine, i);
    assertNoMore(await settled(before), before);
    // The RAM of the last few guests goes when V8 next collects its garbage.
    const grown = addressSpaceMib() - sizeBefore;
    assert(grown < ROUNDS * RAM_MIB / 2, `${grown} MiB more after ${ROUNDS} guests`);
  },
);

testOnEngines(
  always,
  "guests that end by themselves, or never start, leave nothing either",
  async (engine) => {
    await bootAndDispose(engine, 0);
    const before = await settled();
    for (let i = 0; i < 5; i++) {
      const vm = await bootCode([0xb0, 0xfe, 0xe6, 0x64, 0xf4], { engine }); // mov al, 0xfe; out 0x64, al; hlt
      assertEquals(await vm.wait(), { kind: "reset" });
      await Vm.boot({ engine, kernel: new Uint8Array() }).catch(() => {});
      await Vm.boot({ engine, kernel: "/no/such/kernel" }).catch(() => {});
    }
    assertNoMore(await settled(before), before);
  },
);

/** The number of vCPUs and the way to end vary with `round`. */
async function bootAndDispose(engine: EngineName, round: number): Promise<void> {
  const cpus = round % 16 === 0 ? 2 : 1;
  await using vm = await bootCode(ENDLESS_LOOP, { engine, memory: `${RAM_MIB}M`, cpus });
  if (round % 2 === 0) vm.console.send("input that nobody reads");
  if (round % 3 === 0) await vm.stop();
}

function assertNoMore(after: Held, before: Held): void {
  const text = JSON.stringify({ before, after });
  assert(noMore(after, before), text);
}

function noMore(after: Held, before: Held): boolean {
  return after.kvm === 0 && after.threads <= before.threads &&
    after.descriptors <= before.descriptors;
}

/** What is held once that is no more than `before`, or after a while. */
async function settled(before?: Held): Promise<Held> {
  const giveUp = performance.now() + SETTLE_MS;
  for (;;) {
    const now = held();
    if (noMore(now, before ?? now) || performance.now() > giveUp) return now;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function held(): Held {
  let descriptors = 0;
  let kvm = 0;
  for (const entry of Deno.readDirSync("/proc/self/fd")) {
    const target = linkOf(`/proc/self/fd/${entry.name}`);
    if (target === undefined || /^anon_inode:\[event(fd|poll)\]$/.test(target)) continue;
    descriptors++;
    if (target.includes("kvm")) kvm++;
  }
  const maps = Deno.readTextFileSync("/proc/self/maps");
  kvm += maps.split("\n").filter((line) => line.includes("kvm-")).length;
  return { threads: [...Deno.readDirSync("/proc/self/task")].length, descriptors, kvm };
}

function addressSpaceMib(): number {
  const kib = /VmSize:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
  return Number(kib) / 1024;
}

/** Undefined for a descriptor that was closed meanwhile. */
function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}
