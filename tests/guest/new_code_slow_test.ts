/**
 * Half an hour of a guest that makes new code for ever: `deno task test:guests`. The process may not
 * grow.
 */

import { assert, assertEquals } from "@std/assert";
import { Vm } from "../../src/vm/vm.ts";
import { guestPath } from "../../tools/guests.ts";
import { residentMib } from "../support/resident.ts";
import { testWith, toolchain } from "../support/requirement.ts";

const MINUTE_MS = 60_000;
const MINUTES = 30;
/** When everything has its size: the guest has used all of its pages, and translations were given up. */
const WARM_MINUTES = 5;
/** What a process may differ by from minute to minute: its garbage is collected when V8 likes. */
const MARGIN_MIB = 64;
const JIT_MIB = 8;

testWith(
  toolchain,
  `a guest that makes new code for ${MINUTES} minutes takes no more memory than after ${WARM_MINUTES}`,
  async () => {
    await using vm = await Vm.boot({
      engine: "wasm",
      kernel: await guestPath("generator"),
      memory: "64M",
      jitMemory: JIT_MIB * 1024 ** 2,
      debugExit: true,
    });
    const resident: number[] = [];
    for (let minute = 0; minute < MINUTES; minute++) {
      const next = Promise.withResolvers<void>();
      const timer = setTimeout(next.resolve, MINUTE_MS);
      await Promise.race([next.promise, vm.wait()]); // it ends when a function is wrong
      clearTimeout(timer);
      resident.push(Math.round(await residentMib()));
    }
    assertEquals(await vm.stop(), { kind: "stopped" });
    const { jit_regions } = vm.stats().engineCounters;
    const shown = `MiB by the minute: ${resident.join(" ")}; ${jit_regions} regions`;
    const warm = Math.max(...resident.slice(0, WARM_MINUTES));
    assert(Math.max(...resident.slice(WARM_MINUTES)) < warm + MARGIN_MIB, shown);
    assert(jit_regions > 100_000, shown);
    Deno.stdout.writeSync(new TextEncoder().encode(`${shown}\n`));
  },
);
