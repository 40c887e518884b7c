/**
 * Talks to a guest by a script: waits for text on its console, answers, and checks the reply.
 *
 *     deno run -A examples/expect_banner.ts [KERNEL]
 *
 * With a Linux kernel it only waits for the line that every Linux prints first.
 */

import { Vm } from "../src/mod.ts";

const [kernel] = Deno.args;
await using vm = await Vm.boot({
  kernel, // undefined: the guest that is part of denovisor
  append: kernel === undefined ? "" : "console=ttyS0 earlyprintk=serial",
  timeoutMs: 60_000, // the run ends with the outcome "timeout"
});
if (kernel === undefined) {
  // Each wait starts where the last one ended; it fails at once if the guest ends before.
  await vm.console.expect("powers off\r\n> ", { timeoutMs: 10_000 });
  await vm.console.sendLine("is anybody there?");
  const { groups } = await vm.console.expect(/You typed: (.*)\r\n/);
  say(`The guest heard: ${groups[0]}`);
  await vm.console.sendLine("quit");
  say(`Its run ended with ${(await vm.wait()).kind}`);
} else {
  const { groups } = await vm.console.expect(/Linux version (\S+) /);
  say(`The guest runs Linux ${groups[0]}`);
} // leaving the block ends the guest, wherever it is

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
