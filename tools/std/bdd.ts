/** Stands in for `@std/testing/bdd` where JSR is out of reach. */
export { after, afterEach, before, beforeEach, describe, it } from "node:test";
