/**
 * Boots the guest that is part of denovisor, shows what it prints, and says how it ended.
 *
 *     deno run -A examples/hello.ts
 */

import { describeOutcome, Vm } from "../src/mod.ts";

// "auto" on its command line makes this guest power off instead of waiting for input.
await using vm = await Vm.boot({ append: "auto", memory: "64M" });
await vm.console.readable.pipeTo(Deno.stdout.writable, { preventClose: true });

const ending = `${describeOutcome(await vm.wait())} after ${vm.stats().wallSeconds.toFixed(3)} s\n`;
await Deno.stdout.write(new TextEncoder().encode(ending));
