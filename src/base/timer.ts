/** Timers of the JavaScript host. */

/** The longest delay that `setTimeout` keeps, in milliseconds; longer ones end at once (HTML standard §8.7). */
export const MAX_TIMER_MS = 2 ** 31 - 1;
