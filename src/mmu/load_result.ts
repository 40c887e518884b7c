/** How loading a vCPU's roots ended. */
export const LoadResult = {
  OK: 0,
  /** No memory for tables. */
  NO_MEMORY: 1,
  /** CR3 points outside the guest's memory: a triple fault. */
  TRIPLE_FAULT: 2,
} as const;
/** How loading a vCPU's roots ended. */
export type LoadResult = typeof LoadResult[keyof typeof LoadResult];
