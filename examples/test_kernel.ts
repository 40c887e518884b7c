/**
 * Runs a test kernel: a Multiboot image that prints its result and reports it through the
 * debug-exit port, as kernels under unit test do.
 *
 *     deno run -A examples/test_kernel.ts [KERNEL]
 *
 * Exits with the value that the kernel gave. By default it runs tests/guests/hello.s, which gives 16.
 */

import { describeOutcome, Vm } from "../src/mod.ts";
import { guestPath } from "../tools/guests.ts";

const kernel = Deno.args[0] ?? await guestPath("hello");
await using vm = await Vm.boot({ kernel, memory: "16M", debugExit: true, timeoutMs: 60_000 });
const outcome = await vm.wait();

const report = `${vm.console.transcript.trimEnd()}\n${describeOutcome(outcome)}\n`;
await Deno.stdout.write(new TextEncoder().encode(report));
Deno.exitCode = outcome.kind === "debug-exit" ? outcome.value & 0xff : 1;
