import { assertEquals, assertThrows, fail } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import type { KvmProbe } from "../../../src/engine/kvm/probe.ts";
import { chooseEngine } from "../../../src/vm/choose_engine.ts";
import { checkOptions, type VmOptions } from "../../../src/vm/options.ts";

const NATIVE: KvmProbe = { status: "ready", reason: "it is native", ring0: "native" };
const INTERPRETED: KvmProbe = { status: "ready", reason: "it is slow", ring0: "interpreted" };
const MISSING: KvmProbe = { status: "missing", reason: "no /dev/kvm", fix: "modprobe kvm" };
const unseen = () => fail("It looked");

function choose(options: VmOptions, probe: () => KvmProbe) {
  return chooseEngine(checkOptions(options), probe);
}

Deno.test("auto takes KVM where it runs guest kernels on the processor, and says what it found", () => {
  assertEquals(choose({}, () => NATIVE), { name: "kvm", reason: "it is native" });
});

Deno.test("auto takes wasm where KVM interprets guest kernels or is not there, and says why", () => {
  assertEquals(choose({}, () => INTERPRETED), { name: "wasm", reason: "it is slow" });
  assertEquals(choose({}, () => MISSING), {
    name: "wasm",
    reason: "KVM cannot be used: no /dev/kvm; to fix it: modprobe kvm",
  });
});

Deno.test("an engine that is asked for is taken without looking", () => {
  assertEquals(choose({ engine: "kvm" }, unseen).name, "kvm");
  assertEquals(choose({ engine: "wasm" }, unseen).name, "wasm");
});

Deno.test("options that only the wasm engine has decide for it, without looking at KVM", () => {
  assertEquals(choose({ mmu: "shadow" }, unseen), {
    name: "wasm",
    reason: "only it has the option mmu",
  });
  assertEquals(choose({ clock: "real" }, unseen).name, "wasm");
});

Deno.test("options that only KVM takes decide for it, also where it is slow", () => {
  const paged: VmOptions = { memory: { paging: "mmu" } };
  for (const options of [paged, { cpus: 9 }, { memory: "5G" }]) {
    assertEquals(choose(options, () => INTERPRETED).name, "kvm");
    const error = assertThrows(() => choose(options, () => MISSING), DenovisorError);
    assertEquals(error.code, "kvm-unavailable");
  }
  assertEquals(
    choose(paged, () => INTERPRETED).reason,
    'only it takes memory.paging "mmu"; it is slow',
  );
  assertEquals(choose({ cpus: 8, memory: "4G" }, () => MISSING).name, "wasm");
});

Deno.test("options of both engines are a mistake", () => {
  const options: VmOptions = { clock: "virtual", memory: { paging: "mmu" } };
  const error = assertThrows(() => choose(options, unseen), DenovisorError);
  assertEquals(error.code, "usage");
});
