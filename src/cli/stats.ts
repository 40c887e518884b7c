/** What a run counted, for `denovisor boot --stats`. */

import type { VmProfile } from "../vm/profile.ts";
import type { VmStats } from "../vm/stats.ts";
import type { VmOutcome } from "../vm/vm.ts";
import type { Voice } from "./voice.ts";

/** As lines for people, or as one JSON object on a line of its own. */
export type StatsFormat = "text" | "json";

/** Says what the run counted. */
export function sayStats(
  format: StatsFormat,
  stats: VmStats,
  outcome: VmOutcome,
  voice: Voice,
): void {
  if (format === "json") voice.raw(JSON.stringify(statsObject(stats, outcome)));
  else for (const line of statsLines(stats)) voice.say(line);
}

function statsObject(stats: VmStats, outcome: VmOutcome): object {
  return {
    outcome: outcome.kind,
    ...stats,
    /** Milliseconds since the Unix epoch, for whoever has started this process. */
    firstInstructionEpochMs: performance.timeOrigin + stats.startup.firstInstructionMs,
  };
}

function statsLines(stats: VmStats): string[] {
  const { firstInstructionMs } = stats.startup;
  return [
    `Engine ${stats.engine}: the guest ran ${
      stats.wallSeconds.toFixed(3)
    } s, its first instruction ` +
    `${firstInstructionMs.toFixed(0)} ms after the start of the process`,
    ...stats.instructions === 0 ? [] : [
      `Instructions: ${stats.instructions}, ${
        (stats.instructions / stats.wallSeconds / 1e6).toFixed(1)
      } million a second; guest time ${stats.guestSeconds.toFixed(3)} s`,
    ],
    ...stats.profile === undefined ? [] : [`Seconds: ${secondsOf(stats.profile)}`],
    `Exits: ${list(stats.exits)}`,
    `Accesses that no device took: ports ${stats.unclaimedPorts}, MMIO ${stats.unclaimedMmio}`,
    ...Object.keys(stats.engineCounters).length === 0
      ? []
      : [`Engine counters: ${list(stats.engineCounters)}`],
    ...Object.keys(stats.mmuCounters).length === 0
      ? []
      : [`MMU counters: ${list(stats.mmuCounters)}`],
  ];
}

function secondsOf(profile: VmProfile): string {
  return Object.entries(profile).map(([name, seconds]) => `${name} ${seconds.toFixed(3)}`)
    .join(", ");
}

function list(counts: object): string {
  return Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ");
}
