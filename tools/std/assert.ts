/**
 * Stands in for `@std/assert` where JSR is out of reach: the same functions and types over
 * `node:assert/strict`.
 */

import nodeAssert from "node:assert/strict";

// deno-lint-ignore no-explicit-any -- the signature of @std/assert
type ErrorClass<E> = abstract new (...args: any[]) => E;

export { AssertionError } from "node:assert";

export function assert(value: unknown, message?: string): asserts value {
  nodeAssert.ok(value, message ?? "Expected a true value");
}

export function assertFalse(value: unknown, message?: string): asserts value is false {
  nodeAssert.ok(!value, message ?? "Expected a false value");
}

export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.deepStrictEqual(actual, expected, message);
}

export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.notDeepStrictEqual(actual, expected, message);
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, message);
}

export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  nodeAssert.ok(actual !== undefined && actual !== null, message ?? "Expected a value");
}

export function assertInstanceOf<T>(
  actual: unknown,
  expected: ErrorClass<T>,
  message?: string,
): asserts actual is T {
  nodeAssert.ok(actual instanceof expected, message ?? `Expected an instance of ${expected.name}`);
}

export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  nodeAssert.ok(
    actual.includes(expected),
    message ?? `Expected ${quote(actual)} to have ${quote(expected)}`,
  );
}

export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  nodeAssert.match(actual, expected, message);
}

export function assertGreater<T>(actual: T, low: T, message?: string): void {
  nodeAssert.ok(actual > low, message ?? `Expected ${actual} > ${low}`);
}

export function assertGreaterOrEqual<T>(actual: T, low: T, message?: string): void {
  nodeAssert.ok(actual >= low, message ?? `Expected ${actual} >= ${low}`);
}

export function assertLess<T>(actual: T, high: T, message?: string): void {
  nodeAssert.ok(actual < high, message ?? `Expected ${actual} < ${high}`);
}

export function assertLessOrEqual<T>(actual: T, high: T, message?: string): void {
  nodeAssert.ok(actual <= high, message ?? `Expected ${actual} <= ${high}`);
}

export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E> = Error as unknown as ErrorClass<E>,
  includes = "",
  message?: string,
): E {
  try {
    fn();
  } catch (error) {
    return checked(error, errorClass, includes, message);
  }
  return fail(message ?? "Expected the function to throw");
}

export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E> = Error as unknown as ErrorClass<E>,
  includes = "",
  message?: string,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    return checked(error, errorClass, includes, message);
  }
  return fail(message ?? "Expected the promise to be rejected");
}

export function fail(message?: string): never {
  nodeAssert.fail(message ?? "Failed");
}

export function unreachable(): never {
  nodeAssert.fail("Reached what cannot be reached");
}

function checked<E extends Error>(
  error: unknown,
  errorClass: ErrorClass<E>,
  includes: string,
  message?: string,
): E {
  assertInstanceOf(error, errorClass, message ?? `Expected ${errorClass.name}, found ${error}`);
  assertStringIncludes(error.message, includes, message);
  return error;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 2000 ? `${text.slice(0, 2000)}…` : text);
}
