/** What a vCPU has in its memory behind `CpuState` and the scratch space. */

/** Where 4 KiB are that an XSAVE area is put together in. */
export const AREA_AT = 8192;
