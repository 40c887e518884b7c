/** Which guest `denovisor boot` runs when it is given none. */

import { DenovisorError } from "../base/errors.ts";
import { BUILTIN_GUEST_AUTO } from "../boot/builtin_guest.ts";
import type { KvmProbe } from "../engine/kvm/probe.ts";
import { type EngineReport, probeOnce } from "../vm/choose_engine.ts";
import type { PipedInput } from "./console_link.ts";
import { cachedGuest, COMMAND_LINE, type DebianGuest } from "./debian/guest.ts";
import { END_SHELL, PROMPT } from "./debian/init.ts";
import { fetchGuest, mirrorFromEnvironment } from "./guest_pull.ts";
import type { Voice } from "./voice.ts";

/** What to boot, as options of a Vm. */
export interface GuestChoice {
  /** Undefined: the built-in guest. */
  readonly kernel: string | undefined;
  readonly initrd: readonly string[];
  readonly append: string | undefined;
  readonly pipedInput: PipedInput;
}

/** Ctrl-D, the end of input on a terminal: it ends the echo, and so the guest. */
const END_OF_INPUT = "\x04";
/** What the built-in guest says when it reads its console (tests/guests/demo.s). */
const BUILTIN_READY = "Type a line";

/**
 * The Debian guest, fetched first when it has to be, where `engine` can run it; else the built-in one.
 * Says which and why.
 */
export async function chooseGuest(
  engine: EngineReport,
  append: string | undefined,
  voice: Voice,
  probe: () => KvmProbe = probeOnce,
): Promise<GuestChoice> {
  const interpreted = engine.name === "kvm" && probe().ring0 === "interpreted";
  const found = interpreted
    ? "this host's KVM interprets guest kernels, at which Debian's takes a quarter of an hour"
    : await findDebian(voice);
  if (typeof found === "string") {
    voice.say(`Taking the built-in guest: ${found}`);
    // Without a terminal nobody may ever type what it waits for.
    const auto = Deno.stdin.isTerminal() ? "" : BUILTIN_GUEST_AUTO;
    return {
      kernel: undefined,
      initrd: [],
      append: append ?? auto,
      pipedInput: { after: BUILTIN_READY, atEnd: END_OF_INPUT },
    };
  }
  voice.say(`Taking the guest ${found.description}: no --kernel is given`);
  return {
    kernel: found.kernel,
    initrd: [found.initramfs],
    append: append === undefined ? COMMAND_LINE : `${COMMAND_LINE} ${append}`,
    pipedInput: { after: PROMPT, atEnd: END_SHELL },
  };
}

/** The guest, or why it is not to be. */
async function findDebian(voice: Voice): Promise<DebianGuest | string> {
  try {
    return await cachedGuest() ?? await fetchGuest(mirrorFromEnvironment(), voice);
  } catch (error) {
    if (!(error instanceof DenovisorError) || error.code === "usage") throw error;
    return `the Debian guest is not to be had (${error.message})`;
  }
}
