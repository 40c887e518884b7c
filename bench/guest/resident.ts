/** How much memory a process takes beside the RAM of the guest that it runs. */

/** Of one process, in MiB, without what is resident of guest RAM. */
export interface BesideRam {
  /** What is resident now: the program and its libraries, too. */
  readonly nowMib: number;
  /** The most that has been resident so far, less the guest RAM that is now. */
  readonly peakMib: number;
}

/** Looks at process `pid`, whose guest has `ramMib` of RAM. */
export async function besideRam(pid: number, ramMib: number): Promise<BesideRam> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const ram = guestRamKib(await Deno.readTextFile(`/proc/${pid}/smaps`), ramMib * 1024);
  return {
    nowMib: (kibOf(status, "VmRSS") - ram) / 1024,
    peakMib: (kibOf(status, "VmHWM") - ram) / 1024,
  };
}

/** Resident KiB of the smallest writable mapping that guest RAM fits in: neighbours may be joined to it. */
function guestRamKib(maps: string, sizeKib: number): number {
  const holders = maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .filter((text) => /^[0-9a-f]+-[0-9a-f]+ rw/.test(text) && kibOf(text, "Size") >= sizeKib)
    .sort((a, b) => kibOf(a, "Size") - kibOf(b, "Size"));
  if (holders.length === 0) {
    throw new Error("Cannot find guest RAM among the program's mappings");
  }
  return kibOf(holders[0], "Rss");
}

function kibOf(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]);
}
