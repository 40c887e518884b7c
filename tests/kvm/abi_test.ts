/** Compares the layouts and request numbers declared in TypeScript with the C compiler's. */

import { assertEquals } from "@std/assert";
import { type CType, membersOf } from "../../src/base/struct.ts";
import { Ioctl, Uffdio } from "../../src/engine/kvm/ioctls.ts";
import * as kvm from "../../src/engine/kvm/kvm_abi.ts";
import * as uffd from "../../src/engine/kvm/uffd_abi.ts";
import { programs, testWith } from "../support/requirement.ts";

/** Lines of "expression value", from a C program that prints the value of each expression. */
async function askCompiler(expressions: readonly string[]): Promise<Map<string, number>> {
  const lines = expressions.map((e) => `  printf("%s\\t%llu\\n", ${JSON.stringify(e)}, V(${e}));`);
  const source = [
    "#include <stddef.h>",
    "#include <stdio.h>",
    "#include <linux/kvm.h>",
    "#include <linux/userfaultfd.h>",
    "#define V(e) (unsigned long long)(e)",
    "int main(void) {",
    ...lines,
    "}",
  ].join("\n");
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/abi.c`, source);
    await output("cc", ["-Wall", "-Werror", "-o", `${folder}/abi`, `${folder}/abi.c`]);
    const text = await output(`${folder}/abi`, []);
    return new Map(
      text.trim().split("\n").map((line) => {
        const [expression, value] = line.split("\t");
        return [expression, Number(value)];
      }),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function output(program: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Expressions and the values that the TypeScript declarations give them. */
function structExpectations(structs: Readonly<Record<string, CType>>): Map<string, number> {
  const expected = new Map<string, number>();
  for (const [name, type] of Object.entries(structs)) {
    // kvm_run goes on after what the engine uses.
    if (name !== "kvm_run") expected.set(`sizeof(struct ${name})`, type.size);
    for (const member of membersOf(type)) {
      expected.set(`offsetof(struct ${name}, ${member.name})`, member.offset);
      if (member.type.size === 0) continue; // a flexible array member has no size
      expected.set(`sizeof(((struct ${name} *)0)->${member.name})`, member.type.size);
    }
  }
  return expected;
}

async function assertCompilerAgrees(expected: ReadonlyMap<string, number>): Promise<void> {
  const actual = await askCompiler([...expected.keys()]);
  assertEquals(Object.fromEntries(actual), Object.fromEntries(expected));
}

const named = (prefix: string, values: Readonly<Record<string, number>>) =>
  Object.entries(values).map(([name, value]) => [`${prefix}${name}`, value] as const);

testWith(
  programs("cc"),
  "KVM structures are laid out as the C compiler lays them out",
  async () => {
    await assertCompilerAgrees(structExpectations(kvm.KVM_STRUCTS));
  },
);

testWith(programs("cc"), "userfaultfd structures are laid out as in C", async () => {
  await assertCompilerAgrees(structExpectations(uffd.UFFD_STRUCTS));
});

testWith(programs("cc"), "request numbers and constants are those of the C headers", async () => {
  const exits = named("KVM_EXIT_", kvm.KvmExit).filter(([name]) =>
    name !== "KVM_EXIT_MEMORY_FAULT"
  );
  await assertCompilerAgrees(
    new Map([
      ...named("KVM_", Ioctl),
      ...named("UFFDIO_", Uffdio),
      ...exits,
      ...named("KVM_CAP_", kvm.KvmCap),
      ...named("KVM_IRQCHIP_", kvm.KvmIrqchip),
      ["KVM_IRQ_ROUTING_IRQCHIP", kvm.KVM_IRQ_ROUTING_IRQCHIP],
      ...named("KVM_SYSTEM_EVENT_", kvm.KvmSystemEvent),
      ...named("KVM_VCPUEVENT_VALID_", kvm.KvmEventsValid),
      ["KVM_EXIT_IO_OUT", kvm.KVM_EXIT_IO_OUT],
      ["KVM_INTERNAL_ERROR_EMULATION", kvm.KVM_INTERNAL_ERROR_EMULATION],
      [
        "KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES",
        kvm.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
      ],
      ["KVM_MEM_READONLY", kvm.KVM_MEM_READONLY],
      ["KVM_PIT_SPEAKER_DUMMY", kvm.KVM_PIT_SPEAKER_DUMMY],
      ["KVM_CPUID_FLAG_SIGNIFCANT_INDEX", kvm.KVM_CPUID_FLAG_SIGNIFCANT_INDEX],
      ["UFFD_API", uffd.UFFD_API],
      ["UFFD_EVENT_PAGEFAULT", uffd.UFFD_EVENT_PAGEFAULT],
      ["UFFDIO_REGISTER_MODE_MISSING", uffd.UFFDIO_REGISTER_MODE_MISSING],
      ["UFFDIO_REGISTER_MODE_WP", uffd.UFFDIO_REGISTER_MODE_WP],
      ["UFFDIO_REGISTER_MODE_MINOR", uffd.UFFDIO_REGISTER_MODE_MINOR],
      ["UFFD_PAGEFAULT_FLAG_MINOR", uffd.UFFD_PAGEFAULT_FLAG_MINOR],
      ["UFFD_FEATURE_MINOR_SHMEM", uffd.UFFD_FEATURE_MINOR_SHMEM],
      ["UFFD_FEATURE_WP_HUGETLBFS_SHMEM", uffd.UFFD_FEATURE_WP_HUGETLBFS_SHMEM],
      ["UFFDIO_COPY_MODE_WP", uffd.UFFDIO_COPY_MODE_WP],
      ["UFFDIO_WRITEPROTECT_MODE_WP", uffd.UFFDIO_WRITEPROTECT_MODE_WP],
      ["UFFD_PAGEFAULT_FLAG_WRITE", uffd.UFFD_PAGEFAULT_FLAG_WRITE],
      ["UFFD_PAGEFAULT_FLAG_WP", uffd.UFFD_PAGEFAULT_FLAG_WP],
      ["UFFD_FEATURE_PAGEFAULT_FLAG_WP", uffd.UFFD_FEATURE_PAGEFAULT_FLAG_WP],
    ]),
  );
});
