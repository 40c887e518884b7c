/** Variables of the environment. */

/** The variable `name`; undefined when it is not set, is empty, or may not be read: nobody is asked. */
export function environment(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}
