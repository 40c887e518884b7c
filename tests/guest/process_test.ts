/** How a Vm keeps its process alive. */

import { assertEquals } from "@std/assert";
import { testOnEngines } from "../support/engines.ts";
import { always } from "../support/requirement.ts";

const VM = new URL("../../src/vm/vm.ts", import.meta.url).href;
/** mov al, 'x'; mov dx, 0x3f8; out dx, al; mov al, 0xfe; out 0x64, al; hlt */
const RESET = "Uint8Array.of(0xb0, 0x78, 0xba, 0xf8, 0x03, 0xee, 0xb0, 0xfe, 0xe6, 0x64, 0xf4)";

testOnEngines(always, "a program that forgets its Vm ends when the guest does", async (engine) => {
  await run(
    `await Vm.boot({ engine: "${engine}", kernel: ${RESET} }); console.log("booted");`,
    "booted\n",
  );
});

testOnEngines(
  always,
  "a program ends although it still holds readers and the ended Vm",
  async (engine) => {
    await run(
      `const vm = await Vm.boot({ engine: "${engine}", kernel: ${RESET} });
    const reader = vm.console.readable.getReader();
    await reader.read();
    const iterator = vm.console[Symbol.asyncIterator]();
    await iterator.next();
    console.log((await vm.wait()).kind, vm.console.transcript);`,
      "reset x\n",
    );
  },
);

testOnEngines(always, "waiting for the guest's end keeps the program alive", async (engine) => {
  await run(
    `const vm = await Vm.boot({ engine: "${engine}", kernel: ${RESET} });
    vm.wait().then((outcome) => console.log(outcome.kind));
    for await (const chunk of vm.console) console.log(chunk.length);`,
    "1\nreset\n",
  );
});

testOnEngines(always, "a Vm in a block of its own is gone behind it", async (engine) => {
  await run(
    `{
      await using vm = await Vm.boot({ engine: "${engine}", kernel: Uint8Array.of(0xfa, 0xeb, 0xfe), cpus: 2 });
      console.log(vm.engine.name);
    }
    console.log("after");`,
    `${engine}\nafter\n`,
  );
});

/** Runs a program that imports `Vm`; it must end by itself and print `expected`. */
async function run(program: string, expected: string): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--no-check", `import { Vm } from "${VM}";\n${program}`],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const hang = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(hang);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals([code, text(stdout), text(stderr)], [0, expected, ""]);
}
