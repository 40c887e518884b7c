/** How much memory this process has. */

/** Resident MiB, by /proc/self/status. */
export async function residentMib(): Promise<number> {
  const status = await Deno.readTextFile("/proc/self/status");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
