/** The guest page-table walk. */

export { isCanonical, linearAddressBits } from "./canonical.ts";
export {
  FRAMES_BY_LEVEL,
  gpteAccess,
  gpteFrames,
  gpteIndex,
  gpteIsLeaf,
  gpteIsPresent,
  gpteIsReserved,
  gpteLeafGfn,
  gpteTableGfn,
} from "./gpte.ts";
export type { GuestTables, NestedTranslation } from "./guest_tables.ts";
export { NestedWalk } from "./nested.ts";
export { pdpteIsValid } from "./pdptrs.ts";
export { accessBits, keyRefuses, permissionBitmap } from "./permissions.ts";
export { RegionTables } from "./region_tables.ts";
export { type ReservedBits, reservedBits } from "./reserved.ts";
export { WalkFault, WalkResult } from "./result.ts";
export { EptPte, NO_PAGING, Pte, type WalkRules, walkRules } from "./rules.ts";
export type { WalkTrace } from "./trace.ts";
export { MAX_RESTARTS, Walker } from "./walker.ts";
