/** `denovisor guest pull debian`: fetches the stock guest. */

import { DenovisorError } from "../base/errors.ts";
import { command } from "./command.ts";
import { cacheFolder } from "./debian/cache.ts";
import { cachedGuest, type DebianGuest, pullGuest } from "./debian/guest.ts";
import { DEFAULT_MIRROR } from "./debian/mirror.ts";
import { environment } from "./environment.ts";
import { flag, quote, usage, value } from "./options.ts";
import { progressOn } from "./progress.ts";
import { webAddress } from "./values.ts";
import { print, type Voice } from "./voice.ts";

/** The environment variable that names the mirror where no option does. */
const MIRROR_VARIABLE = "DENOVISOR_MIRROR";

/** The subcommand. */
export const guestPull = command({
  name: "guest pull",
  words: "debian",
  summary: "Fetch a Debian kernel, make an initramfs with busybox, print their paths",
  details: [
    "Both are kept under $XDG_CACHE_HOME/denovisor (~/.cache/denovisor), so that a second pull is " +
    "instant. Every file is checked against the SHA-256 that the mirror's index gives, and the " +
    "index against the mirror's Release file. denovisor boot without --kernel boots this guest.",
  ],
  examples: ["debian", "debian --mirror http://ftp.de.debian.org/debian --refresh"],
  options: {
    mirror: value(
      "URL",
      `Debian mirror (default: ${MIRROR_VARIABLE} in the environment, else ${DEFAULT_MIRROR})`,
      webAddress,
    ),
    refresh: flag("fetch again what is already there"),
  },
  async run({ options, words }, voice) {
    if (words.length !== 1 || words[0] !== "debian") {
      const found = words.length === 0 ? "nothing" : words.map(quote).join(" ");
      throw usage(`Cannot tell what to pull: found ${found}, expected debian`);
    }
    const mirror = options.mirror ?? mirrorFromEnvironment();
    const guest = (options.refresh ? undefined : await cachedGuest()) ??
      await fetchGuest(mirror, voice);
    print(`${guest.kernel}\n${guest.initramfs}\n`);
    return 0;
  },
});

/**
 * Fetches the guest from `mirror`, saying so. Errors as of `pullGuest`, and `fetch` or `file` where
 * Deno may not do that: nobody is asked.
 */
export async function fetchGuest(mirror: URL, voice: Voice): Promise<DebianGuest> {
  const { host } = mirror;
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") {
    throw new DenovisorError("fetch", `Cannot fetch from ${host}: expected --allow-net`, { host });
  }
  if (Deno.permissions.querySync({ name: "write", path: cacheFolder() }).state !== "granted") {
    throw new DenovisorError("file", "Cannot keep what is fetched: expected --allow-write");
  }
  if (mirror.protocol !== "https:") {
    voice.say(`Fetching from ${mirror.href} without TLS: its files are only checked by each other`);
  }
  return await pullGuest(mirror, progressOn(voice));
}

/**
 * The mirror for a pull without --mirror.
 * @throws DenovisorError `usage`
 */
export function mirrorFromEnvironment(): URL {
  const given = environment(MIRROR_VARIABLE) ?? DEFAULT_MIRROR;
  const mirror = webAddress.read(given);
  if (mirror === undefined) {
    throw usage(
      `Cannot read ${MIRROR_VARIABLE}: found ${quote(given)}, expected ${webAddress.expected}`,
    );
  }
  return mirror;
}
