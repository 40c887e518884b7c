import { assertEquals } from "@std/assert";
import { ExitCode } from "../../src/engine/engine.ts";
import { KvmControl, KvmKicker } from "../../src/engine/kvm/control.ts";
import { KvmEngine } from "../../src/engine/kvm/kvm_engine.ts";
import { codeName, kvmEngine, memoryWith, nextExit, real16 } from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";
import { type KickJob, KickState } from "./kick_job.ts";

const SPIN = [0xeb, 0xfe];
/** mov cx, 200; loop: out 0x10, al; loop: the guest spends its time in the kernel and out of it. */
const CHATTER = [0xb9, 200, 0, 0xe6, 0x10, 0xe2, 0xfc, 0xeb, 0xf7];

/** Runs `code` while a worker kicks in `bursts`; fails when a kick is lost. */
async function underFire(code: readonly number[], bursts: number): Promise<void> {
  const memory = memoryWith(code);
  const control = new KvmControl(1);
  using engine = new KvmEngine({ memory, cpus: 1, control });
  engine.vcpus[0].writeState(real16());
  const words = new Int32Array(new SharedArrayBuffer(12));
  const worker = new Worker(new URL("./kick_worker.ts", import.meta.url), { type: "module" });
  const done = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => reject(new Error(event.message));
  });
  const job: KickJob = { control: control.buffer, bursts, words };
  worker.postMessage(job);
  while (Atomics.load(words, 2) === KickState.KICKING) {
    const exit = engine.run(0);
    if (exit === ExitCode.KICKED) {
      Atomics.store(words, 0, Atomics.load(words, 1));
      Atomics.notify(words, 0);
    } else {
      assertEquals(codeName(exit), "PORT_OUT", engine.exit.reason);
    }
  }
  await done;
  worker.terminate();
  assertEquals(Atomics.load(words, 2), KickState.FINISHED, "a kick was lost");
}

testWith(
  kvmEngine,
  "a guest in an endless loop is stopped by a kick from another thread",
  async () => {
    await underFire(SPIN, 1);
  },
);

testWith(kvmEngine, "no kick is lost, whatever the guest is doing", async () => {
  await underFire(SPIN, 2000);
  await underFire(CHATTER, 2000);
});

testWith(kvmEngine, "a halted guest is stopped by a kick", async () => {
  await underFire([0xfa, 0xf4, 0xeb, 0xfc], 100); // cli; hlt; jmp
});

testWith(kvmEngine, "a kick before the engine exists is taken by its first run", () => {
  const control = new KvmControl(1);
  using kicker = new KvmKicker(control);
  kicker.kick();
  kicker.kick();
  using engine = new KvmEngine({ memory: memoryWith([0xe6, 0x10]), cpus: 1, control });
  engine.vcpus[0].writeState(real16());
  assertEquals(nextExit(engine), "KICKED");
  assertEquals(nextExit(engine).slice(0, 13), "PORT_OUT 0x10");
});

testWith(kvmEngine, "a kick between two runs keeps the answer to a port read", () => {
  const control = new KvmControl(1);
  using kicker = new KvmKicker(control);
  // in al, 0x30; out 0x10, al
  const memory = memoryWith([0xe4, 0x30, 0xe6, 0x10]);
  using engine = new KvmEngine({ memory, cpus: 1, control });
  engine.vcpus[0].writeState(real16());
  assertEquals(nextExit(engine), "PORT_IN 0x30 1x1");
  engine.exit.data.setUint8(engine.exit.offset, 0x5a);
  kicker.kick();
  assertEquals(nextExit(engine), "KICKED");
  assertEquals(nextExit(engine), "PORT_OUT 0x10 1x1 5a");
});

testWith(kvmEngine, "a kick after the engine is disposed does nothing", () => {
  const control = new KvmControl(1);
  using kicker = new KvmKicker(control);
  const engine = new KvmEngine({ memory: memoryWith([0xe6, 0x10]), cpus: 1, control });
  engine[Symbol.dispose]();
  kicker.kick();
});
