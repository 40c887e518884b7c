import { assertEquals } from "@std/assert";
import { command, helpText } from "../../../src/cli/command.ts";
import { flag, optionalValue, value } from "../../../src/cli/options.ts";
import * as reader from "../../../src/cli/values.ts";

Deno.test("help has usage, summary, details, a row for each option, and examples", () => {
  const text = helpText(command({
    name: "make tea",
    words: "CUP",
    summary: "Make tea",
    details: [`Tea is ${"very ".repeat(20)}good.`],
    options: {
      milk: value("DROPS", "how much milk", reader.cpus),
      hot: flag(`whether it is ${"really ".repeat(12)}hot`),
      log: optionalValue("json", "text", "tell how it went", reader.oneOf("json")),
    },
    examples: ["--hot CUP"],
    run: () => Promise.resolve(0),
  }));
  assertEquals(
    text,
    `Usage: denovisor make tea [OPTION]… CUP

Make tea

Tea is very very very very very very very very very very very very very very very very very very
very very good.

Options:
  --milk DROPS  how much milk
  --hot         whether it is really really really really really really really really really really
                really really hot
  --log[=json]  tell how it went
  --help        print this text

Examples:
  denovisor make tea --hot CUP
`,
  );
});
