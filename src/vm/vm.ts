/**
 * A running guest, as the main thread sees it.
 */

import type { MachineOutcome } from "../machine/outcome.ts";

/** How a Vm's run ended: the machine's outcome, or "timeout" after `timeoutMs`. */
export type VmOutcome = MachineOutcome | { readonly kind: "timeout" };
