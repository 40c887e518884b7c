/**
 * Page-directory-pointer entries of PAE paging, which the CPU checks when it loads them (SDM 3A
 * §4.4.1, table 4-8).
 */

/** Bits 2:1 and 8:5. */
const RESERVED_LO = 0x1e6;

/** True when the entry `hi:lo` may be loaded: not present, or without reserved bits. */
export function pdpteIsValid(lo: number, hi: number, maxPhyAddrBits: number): boolean {
  if ((lo & 1) === 0) return true;
  const beyond = ~0 << (maxPhyAddrBits - 32);
  return (lo & RESERVED_LO) === 0 && (hi & beyond) === 0;
}
