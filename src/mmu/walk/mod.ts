/** The guest page-table walk. */

export { isCanonical, linearAddressBits } from "./canonical.ts";
export {
  FRAMES_BY_LEVEL,
  gpteAccess,
  gpteFrames,
  gpteIsLeaf,
  gpteIsPresent,
  gpteIsReserved,
  gpteLeafGfn,
  gpteTableGfn,
} from "./gpte.ts";
export type { GuestTables, NestedTranslation } from "./guest_tables.ts";
export { MemoryTables, RegionFrames, type TableFrames } from "./memory_tables.ts";
export { NestedWalk } from "./nested.ts";
export { pdpteIsValid } from "./pdptrs.ts";
export { accessBits, keyRefuses, permissionBitmap } from "./permissions.ts";
export { type ReservedBits, reservedBits } from "./reserved.ts";
export { WalkFault, WalkResult } from "./result.ts";
export { EptPte, Pte, type WalkRules, walkRules } from "./rules.ts";
export type { WalkTrace } from "./trace.ts";
export { MAX_RESTARTS, Walker } from "./walker.ts";
