import { assertEquals, assertThrows, fail } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import type { KvmProbe } from "../../../src/engine/kvm/probe.ts";
import { chooseEngine } from "../../../src/vm/choose_engine.ts";

Deno.test("auto takes KVM with what was found of it, interpreting or not", () => {
  for (const ring0 of ["native", "interpreted"] as const) {
    const probe = (): KvmProbe => ({ status: "ready", reason: `it is ${ring0}`, ring0 });
    assertEquals(chooseEngine("auto", probe), { name: "kvm", reason: `it is ${ring0}` });
  }
});

Deno.test("auto without KVM says what is missing and what would help", () => {
  const probe = (): KvmProbe => ({ status: "missing", reason: "no /dev/kvm", fix: "modprobe kvm" });
  const error = assertThrows(() => chooseEngine("auto", probe), DenovisorError);
  assertEquals(error.code, "kvm-unavailable");
  assertEquals(error.message, "Cannot run guests with KVM: no /dev/kvm; to fix it: modprobe kvm");
});

Deno.test("kvm is taken without looking", () => {
  assertEquals(chooseEngine("kvm", () => fail("It looked")).name, "kvm");
});
