/** What the values of options may be. */

import { DenovisorError } from "../base/errors.ts";
import { MAX_MEMORY_BYTES } from "../memory/guest_memory.ts";
import { JIT_MEMORY_EXPECTED, parseJitMemory } from "../vm/jit_memory.ts";
import {
  type ClockChoice,
  type EngineChoice,
  MAX_CPUS,
  MAX_TIMEOUT_MS,
  type MmuChoice,
  parseMemory,
} from "../vm/options.ts";
import type { Reader } from "./options.ts";

/** A path: any text but the empty one. */
export const path: Reader<string> = {
  expected: "the path of a file",
  read: (text) => text === "" || text.includes("\0") ? undefined : text,
};

/** Any text without a NUL character. */
export const text: Reader<string> = {
  expected: "text without NUL characters",
  read: (given) => given.includes("\0") ? undefined : given,
};

/** A size of guest RAM, in bytes. */
export const memory: Reader<number> = {
  expected: `a size such as 256M or 2G, from 2M to ${MAX_MEMORY_BYTES / 1024 ** 3}G`,
  read: (given) => unlessUsage(() => parseMemory(given)),
};

/** What `parse` gives; undefined when it calls that a mistake of usage. */
function unlessUsage<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DenovisorError && error.code === "usage") return undefined;
    throw error;
  }
}

/** How much translated code is kept, in bytes. */
export const jitMemory: Reader<number> = {
  expected: JIT_MEMORY_EXPECTED,
  read: (given) => unlessUsage(() => parseJitMemory(given)),
};

/** A number of vCPUs. */
export const cpus: Reader<number> = {
  expected: `an integer from 1 to ${MAX_CPUS}`,
  read: (given) => {
    const count = /^[0-9]{1,4}$/.test(given) ? Number(given) : 0;
    return count >= 1 && count <= MAX_CPUS ? count : undefined;
  },
};

/** A time in seconds with an optional fraction; gives milliseconds. */
export const seconds: Reader<number> = {
  expected: `seconds, such as 10 or 0.5, above 0, at most ${Math.floor(MAX_TIMEOUT_MS / 1000)}`,
  read: (given) => {
    const ms = /^(?:[0-9]+\.?[0-9]*|\.[0-9]+)$/.test(given) ? Number(given) * 1000 : 0;
    return ms > 0 && ms <= MAX_TIMEOUT_MS ? ms : undefined;
  },
};

/** What is traced, and the path of the file to which: "-" when there is none. */
export const trace: Reader<{ readonly of: "mmu" | "jit"; readonly path: string }> = {
  expected: "mmu, mmu=FILE, jit or jit=FILE",
  read: (given) => {
    const [, what, file] = /^(mmu|jit)(?:=([^]*))?$/.exec(given) ?? [];
    const to = file === undefined ? "-" : path.read(file);
    return what === undefined || to === undefined
      ? undefined
      : { of: what as "mmu" | "jit", path: to };
  },
};

/** An http or https address. */
export const webAddress: Reader<URL> = {
  expected: "an address that begins with http:// or https://",
  read: (given) => {
    const url = URL.parse(given);
    return url?.protocol === "http:" || url?.protocol === "https:" ? url : undefined;
  },
};

/** One of a few words. */
export function oneOf<const Words extends readonly string[]>(
  ...words: Words
): Reader<Words[number]> {
  return {
    expected: words.length === 1
      ? words[0]
      : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`,
    read: (given) => words.find((word) => word === given),
  };
}

/** An engine, or auto. */
export const engine: Reader<EngineChoice> = oneOf("auto", "kvm", "wasm");

/** How the wasm engine translates addresses. */
export const mmu: Reader<MmuChoice> = oneOf("tdp", "shadow");

/** Which time the wasm engine's guest has. */
export const clock: Reader<ClockChoice> = oneOf("real", "virtual");
