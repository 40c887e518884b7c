/** What kick_test.ts and its worker share. */

export interface KickJob {
  readonly control: SharedArrayBuffer;
  readonly bursts: number;
  /** Word 0: the number of the last kick that the engine has seen; 1: of the last sent; 2: state. */
  readonly words: Int32Array<SharedArrayBuffer>;
}

/** Word 2 of a job. */
export const KickState = { KICKING: 0, FINISHED: 1, LOST: 2 } as const;
