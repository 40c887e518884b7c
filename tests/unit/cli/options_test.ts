import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import {
  type CommandLine,
  flag,
  optionalValue,
  parseCommandLine,
  value,
  valueOr,
  values,
} from "../../../src/cli/options.ts";
import * as reader from "../../../src/cli/values.ts";

const TABLE = {
  kernel: value("FILE", "the kernel", reader.path),
  initrd: values("FILE", "an initrd", reader.path),
  append: value("STRING", "the command line", reader.text),
  memory: valueOr("SIZE", "256M", "guest RAM", reader.memory),
  stats: optionalValue("FORMAT", "text", "statistics", reader.oneOf("json")),
  "debug-exit": flag("debug exit"),
};

function parse(...args: string[]): CommandLine<typeof TABLE> {
  const line = parseCommandLine(TABLE, args);
  if (line === "help") throw new Error("found help");
  return line;
}

function refused(...args: string[]): string {
  const error = assertThrows(() => parse(...args), DenovisorError);
  assertEquals(error.code, "usage");
  return error.message;
}

Deno.test("options that are not given have their defaults", () => {
  assertEquals(parse(), {
    options: {
      kernel: undefined,
      initrd: [],
      append: undefined,
      memory: 256 * 1024 ** 2,
      stats: undefined,
      "debug-exit": false,
    },
    words: [],
  });
});

Deno.test("values are taken from the next argument and from after =", () => {
  const { options, words } = parse(
    ...["--kernel", "a", "--initrd=b", "--initrd", "c=d", "--memory=2G", "--debug-exit", "word"],
    ...["--append=-v quiet", "--", "--kernel"],
  );
  assertEquals(options.kernel, "a");
  assertEquals(options.initrd, ["b", "c=d"]);
  assertEquals(options.memory, 2 * 1024 ** 3);
  assertEquals(options.append, "-v quiet");
  assertEquals(options["debug-exit"], true);
  assertEquals(words, ["word", "--kernel"]);
});

Deno.test("an empty value is a value where text may be empty", () => {
  assertEquals(parse("--append", "").options.append, "");
  assertEquals(parse("--append=").options.append, "");
  assertStringIncludes(refused("--kernel", ""), '--kernel: found "", expected the path of a file');
});

Deno.test("an option whose value may be left out does not take the next argument", () => {
  assertEquals(parse("--stats", "json").options.stats, "text");
  assertEquals(parse("--stats", "json").words, ["json"]);
  assertEquals(parse("--stats=json").options.stats, "json");
  assertStringIncludes(refused("--stats=xml"), '--stats: found "xml", expected json');
  assertStringIncludes(refused("--stats="), 'Cannot read --stats: found "" after the =');
});

Deno.test("an option given twice is refused with both values", () => {
  assertEquals(
    refused("--kernel", "a", "--kernel=b"),
    'Cannot take --kernel twice: found "a" and "b", expected it once',
  );
  assertEquals(
    refused("--debug-exit", "--debug-exit"),
    "Cannot take --debug-exit twice, expected it once",
  );
});

Deno.test("a missing value is refused, and another option is not taken for one", () => {
  assertEquals(
    refused("--kernel"),
    "Cannot read --kernel: found no value, expected the path of a file",
  );
  assertStringIncludes(refused("--append", "--memory", "1G"), 'found "--memory" after it');
  assertStringIncludes(refused("--append", "-v"), "--append=VALUE");
});

Deno.test("a value for an option without one is refused", () => {
  assertEquals(
    refused("--debug-exit=1"),
    'Cannot read --debug-exit: found the value "1", expected no value',
  );
});

Deno.test("an unknown option is refused with the nearest name, or with all of them", () => {
  assertEquals(refused("--memroy", "1G"), 'Unknown option "--memroy": did you mean --memory?');
  assertEquals(refused("--kernle=x"), 'Unknown option "--kernle": did you mean --kernel?');
  assertEquals(
    refused("--zzzzzz"),
    'Unknown option "--zzzzzz": expected one of --kernel, --initrd, --append, --memory, --stats, ' +
      "--debug-exit, --help",
  );
  assertStringIncludes(refused("-k"), 'Unknown option "-k"');
});

Deno.test("names of JavaScript's own objects are unknown options", () => {
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
    assertStringIncludes(refused(`--${name}`), `Unknown option "--${name}"`);
    assertStringIncludes(refused(`--${name}=x`), `Unknown option "--${name}"`);
  }
});

Deno.test("--help and -h win over everything else that is wrong", () => {
  assertEquals(parseCommandLine(TABLE, ["--nonsense", "--help"]), "help");
  assertEquals(parseCommandLine(TABLE, ["--memory=x", "-h"]), "help");
});

Deno.test("values of absurd length are cut in messages", () => {
  const message = refused(`--memory=${"9".repeat(100_000)}`);
  assertEquals(message.length < 500, true);
  assertEquals(refused(`--${"x".repeat(100_000)}`).length < 700, true);
});
