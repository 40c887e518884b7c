import { assert, assertEquals, assertFalse } from "@std/assert";
import { Cause, Fault } from "../../../src/mmu/fault.ts";
import { ProgressGuard } from "../../../src/mmu/progress.ts";

const LIMIT = 5;

/** A write fault at an address, which ended for a reason. */
function fault(address: number, cause: Cause): Fault {
  const fault = new Fault();
  fault.begin(address, 0, 2, 0);
  fault.cause = cause;
  return fault;
}

Deno.test("the same fault may come again for ever as long as something changes between", () => {
  const guard = new ProgressGuard(LIMIT);
  const same = fault(0x1000, Cause.GAINED);
  for (let changes = 1; changes < 10 * LIMIT; changes++) {
    assert(guard.allows(same, changes, 0x7c00, 0));
    assertEquals(guard.repeats, 0);
  }
});

Deno.test("a change starts the count of identical faults again", () => {
  const guard = new ProgressGuard(LIMIT);
  const same = fault(0x1000, Cause.ALREADY_ALLOWED);
  for (let changes = 1; changes < 4; changes++) {
    assert(guard.sawChange(same, changes));
    assertFalse(guard.sawChange(same, changes), "it has been seen");
    for (let i = 0; i < LIMIT - 1; i++) assert(guard.allows(same, changes, 0x7c00, 0));
  }
  assert(guard.sawChange(same, 4));
  for (let i = 0; i < LIMIT - 1; i++) assert(guard.allows(same, 4, 0x7c00, 0));
  assertFalse(guard.allows(same, 4, 0x7c00, 0));
});

Deno.test("what is not explained is not allowed, whatever has changed", () => {
  const guard = new ProgressGuard(LIMIT);
  const unexplained = fault(0x1000, Cause.NONE);
  assertFalse(guard.sawChange(unexplained, 1));
  assertFalse(guard.allows(unexplained, 1, 0, 0));
  assertFalse(guard.allows(unexplained, 2, 0, 0));
});
