/** The guest page-table walk. */

export { isCanonical, linearAddressBits } from "./canonical.ts";
export {
  gpteAccess,
  gpteIsLeaf,
  gpteIsPresent,
  gpteIsReserved,
  gpteLeafGfn,
  gpteTableGfn,
} from "./gpte.ts";
export type { GuestTables, NestedTranslation } from "./guest_tables.ts";
export { NestedWalk } from "./nested.ts";
export { permissionBitmap } from "./permissions.ts";
export { RegionTables } from "./region_tables.ts";
export { WalkFault, WalkResult } from "./result.ts";
export { type WalkRules, walkRules } from "./rules.ts";
export type { WalkTrace } from "./trace.ts";
export { MAX_RESTARTS, Walker } from "./walker.ts";
