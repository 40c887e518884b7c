/** Comparisons that x87 and SSE have in common. */

import { EQUAL, GREATER, IE, LESS, UNORDERED } from "./control.ts";
import { denormal, raise } from "./operate.ts";
import { A, B, INFINITE, QUIET_NAN, ZERO } from "./unpacked.ts";

/** Compares A and B; quiet comparisons are invalid for signalling NaNs and no encodings only. */
export function compare(quiet: boolean, denormals: number): number {
  if (A.kind >= QUIET_NAN || B.kind >= QUIET_NAN) {
    if (!quiet || A.kind > QUIET_NAN || B.kind > QUIET_NAN) raise(IE);
    return UNORDERED;
  }
  denormal(denormals);
  if (A.kind === ZERO && B.kind === ZERO) return EQUAL;
  if (A.kind === ZERO) return B.sign === 1 ? GREATER : LESS;
  if (A.sign !== B.sign && B.kind !== ZERO) return A.sign === 1 ? LESS : GREATER;
  const magnitudes = compareMagnitudes();
  return A.sign === 1 ? 0 - magnitudes : magnitudes;
}

/** Compares |A| and |B|, A no zero. */
function compareMagnitudes(): number {
  if (A.kind !== B.kind) return A.kind === INFINITE || B.kind === ZERO ? GREATER : LESS;
  if (A.kind === INFINITE) return EQUAL;
  if (A.exp !== B.exp) return A.exp > B.exp ? GREATER : LESS;
  if (A.hi !== B.hi) return A.hi >>> 0 > B.hi >>> 0 ? GREATER : LESS;
  if (A.lo === B.lo) return EQUAL;
  return A.lo >>> 0 > B.lo >>> 0 ? GREATER : LESS;
}
