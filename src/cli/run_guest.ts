/** One run of a guest, its console on this process's terminal or pipes. */

import { describeOutcome } from "../machine/outcome.ts";
import type { EngineReport } from "../vm/choose_engine.ts";
import type { VmOptions } from "../vm/options.ts";
import { Vm, type VmOutcome } from "../vm/vm.ts";
import { forwardInput, forwardKeys, forwardOutput, type PipedInput } from "./console_link.ts";
import { EndingSignals } from "./ending_signals.ts";
import { ESCAPE_HELP } from "./escape_keys.ts";
import { ExecutionProgress } from "./execution_progress.ts";
import { exitStatus, type StopCause } from "./exit_status.ts";
import { RawTerminal } from "./raw_terminal.ts";
import { sayStats, type StatsFormat } from "./stats.ts";
import type { Voice } from "./voice.ts";

/** How long output may take after a guest that was stopped, in milliseconds. */
const LAST_WORDS_MS = 500;

/** How to run the guest. */
export interface RunOptions {
  readonly vm: VmOptions;
  /** Which engine that will be, and why. */
  readonly engine: EngineReport;
  readonly pipedInput: PipedInput;
  readonly stats: StatsFormat | undefined;
}

/**
 * Boots a guest and runs it to its end; gives the exit status.
 * @throws DenovisorError of `Vm.boot`, and `file` when stdout cannot be written.
 */
export async function runGuest(options: RunOptions, voice: Voice): Promise<number> {
  using signals = new EndingSignals();
  const { name, reason } = options.engine;
  const booting = Vm.boot({ ...options.vm, engine: name });
  const booted = await Promise.race([booting, signals.first]);
  if (typeof booted === "string") {
    booting.then((vm) => vm[Symbol.asyncDispose](), () => {}); // the process ends before that
    return exitStatus({ kind: "stopped" }, booted);
  }
  await using vm = booted;
  voice.say(`Taking the engine ${name}: ${reason}`);
  voice.say(`Booting ${vm.description}`);
  const { outcome, stoppedBy } = await attend(vm, signals, options.pipedInput, voice);
  voice.say(describeOutcome(outcome));
  if (options.stats !== undefined) sayStats(options.stats, vm.stats(), outcome, voice);
  return exitStatus(outcome, stoppedBy);
}

/** Connects the console and waits for the end of the run. */
async function attend(
  vm: Vm,
  signals: EndingSignals,
  pipedInput: PipedInput,
  voice: Voice,
): Promise<{ outcome: VmOutcome; stoppedBy: StopCause | undefined }> {
  using terminal = RawTerminal.enter();
  using progress = ExecutionProgress.of(vm, voice);
  const stop = Promise.withResolvers<StopCause>();
  signals.first.then(stop.resolve);
  const output = forwardOutput(vm.console, voice, () => progress?.end()).then((read) => {
    if (!read) stop.resolve("SIGPIPE");
  });
  if (terminal === undefined) forwardInput(vm.console, pipedInput);
  else {
    voice.say(ESCAPE_HELP);
    forwardKeys(vm.console, voice, () => stop.resolve("quit"));
  }
  const ended = vm.wait();
  const first = await Promise.race([ended, output.then(() => ended), stop.promise]);
  const stoppedBy = typeof first === "string" ? first : undefined;
  const outcome = typeof first === "string" ? await vm.stop() : first;
  // The guest's last words are still on their way to a reader, who may be slow. Who set a time limit
  // or stopped the guest does not want to wait for one that is stuck.
  const hurry = stoppedBy !== undefined || outcome.kind === "timeout";
  await Promise.race([output, hurry ? delay(LAST_WORDS_MS) : stop.promise]);
  return { outcome, stoppedBy };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
