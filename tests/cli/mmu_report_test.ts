import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cli, said, temporaryFolder } from "../support/cli.ts";
import { mixedTrace } from "../support/mmu_traces.ts";
import { programs, testWith } from "../support/requirement.ts";

const TRACE = mixedTrace();

/** `mmu report` of `trace` in a folder of its own, then `use` with the folder and the result. */
async function report(
  trace: string,
  use: (folder: string, result: Awaited<ReturnType<typeof cli>>) => void | Promise<void>,
  ...args: readonly string[]
): Promise<void> {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/trace.jsonl`, trace);
  const result = await cli(["mmu", "report", "trace.jsonl", ...args], { cwd: folder.path });
  await use(folder.path, result);
}

Deno.test("mmu report writes a page that loads nothing, and prints where", async () => {
  await report(TRACE, async (folder, result) => {
    assertEquals([result.status, result.stderr], [0, ""]);
    assertEquals(result.stdout, "trace.jsonl.html\n");
    const page = await Deno.readTextFile(`${folder}/trace.jsonl.html`);
    assertMatch(page, /^<!DOCTYPE html>/);
    assertStringIncludes(page, "default-src 'none'");
    assertEquals(page.match(/<(?:link|img|iframe)\b|\bsrc=|@import|url\(|https?:/g), null);
    // What the MMU counted stands in the table, and the faults of the trace in the first tile.
    const counted = /"pf_fixed":(\d+)/.exec(TRACE)![1];
    const shown = Number(counted).toLocaleString("en-US");
    assertStringIncludes(page, `<th>pf_fixed</th><td>${shown}</td>`);
    const faults = TRACE.match(/"kvm_page_fault"/g)!.length.toLocaleString("en-US");
    assertStringIncludes(page, `<b>${faults}</b><span>faults</span>`);
  });
});

Deno.test("mmu report writes where --output says, or to stdout", async () => {
  await report(
    TRACE,
    async (folder, result) => {
      assertEquals([result.status, result.stdout], [0, "page.html\n"]);
      assertMatch(await Deno.readTextFile(`${folder}/page.html`), /^<!DOCTYPE html>/);
    },
    "--output",
    "page.html",
  );
  await report(
    TRACE,
    (folder, result) => {
      assertEquals([result.status, result.stderr], [0, ""]);
      assertMatch(result.stdout, /^<!DOCTYPE html>[^]*<\/html>\n$/);
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["trace.jsonl"]);
    },
    "--output",
    "-",
  );
});

Deno.test("mmu report names file and line of what is malformed, and writes nothing", async () => {
  const lines = TRACE.split("\n");
  const withLine = (number: number, text: string) =>
    lines.with(number - 1, text).slice(0, 300).join("\n") + "\n";
  const cases: [trace: string, message: RegExp][] = [
    ["", /Cannot read the trace trace\.jsonl: it is empty, expected one JSON object a line/],
    ["\x7fELF\0\0\n", /trace\.jsonl: line 1: found ".*", expected a JSON object/],
    [withLine(200, "nonsense"), /trace\.jsonl: line 200: found "nonsense", expected a JSON object/],
    [withLine(7, '{"event":"x"}'), /trace\.jsonl: line 7: field time_ns: found none, expected an/],
    [`{"a":"${"x".repeat(100_000)}"}\n`, /line 1: found more than 65536 characters/],
    ["x".repeat(3_000_000), /line 1: found more than 65536 characters/],
  ];
  for (const [trace, message] of cases) {
    await report(trace, (folder, result) => {
      assertEquals([result.status, result.stdout, said(result).length], [1, "", 1], result.stderr);
      assertMatch(result.stderr, message);
      assertEquals([...Deno.readDirSync(folder)].length, 1);
    });
  }
});

Deno.test("mmu report leaves out a last line that breaks off, and says so", async () => {
  const whole = TRACE.split("\n").slice(0, 100).join("\n");
  await report(`${whole}\n{"time_ns":12,"eve`, async (folder, result) => {
    assertEquals(result.status, 0);
    assertEquals(said(result), [
      "denovisor: Line 101 of trace.jsonl breaks off in the middle: it is left out",
    ]);
    const page = await Deno.readTextFile(`${folder}/trace.jsonl.html`);
    assertStringIncludes(page, "100 lines. Line 101 breaks off");
  });
});

Deno.test("mmu report names the file that cannot be read or written", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/trace`, TRACE);
  const cases: [args: string[], status: number, message: RegExp][] = [
    [[`${path}/absent`], 1, /Cannot read the trace .*\/absent: No such file/],
    [[path], 1, /Cannot read the trace .*: it is a directory/],
    [
      [`${path}/trace`, "--output", `${path}/no/page`],
      1,
      /Cannot write .*\/no\/page: No such file/,
    ],
    [[`${path}/trace`, "--output", "/dev/full"], 1, /Cannot write \/dev\/full: No space left/],
    [[], 2, /found 0 paths, expected one: TRACE/],
    [["a", "b"], 2, /found 2 paths, expected one: TRACE/],
  ];
  for (const [args, status, message] of cases) {
    const result = await cli(["mmu", "report", ...args]);
    assertEquals([result.status, result.stdout, said(result).length], [status, "", 1]);
    assertMatch(result.stderr, message);
  }
  assert((await Deno.stat("/dev/full")).isCharDevice);
});

/** A page as Chromium has it after its scripts have run. */
async function rendered(folder: string, page: string): Promise<string> {
  const { stdout } = await new Deno.Command("chromium", {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--user-data-dir=${folder}/profile`,
      "--window-size=1100,1900",
      "--dump-dom",
      `file://${page}`,
    ],
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(120_000),
  }).output();
  return new TextDecoder().decode(stdout);
}

/**
 * For the end of the page: reports errors in the title, moves the pointer over a bar and over a cell
 * of the map, and notes what the page says of each.
 */
const PROBE = `<script>
const said = [];
const over = (element, x, y) => {
  element.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: x, clientY: y }));
  const tip = document.getElementById("tip");
  said.push(tip.hidden ? "hidden" : tip.textContent.replaceAll("\\n", "; "));
};
try {
  const bar = document.querySelector(".timeline g .hit").getBoundingClientRect();
  over(document.querySelector(".timeline g .hit"), bar.x + 1, bar.y + 1);
  const hit = document.querySelector("svg.map .hit");
  const box = hit.getBoundingClientRect();
  over(hit, box.x + 3, box.y + 3);
  over(document.querySelector("h1"), 1, 1);
} catch (error) {
  errors.push(error.message);
}
document.title = JSON.stringify({ errors, said });
</script></body>`;

testWith(programs("chromium"), "the page draws itself in a browser without an error", async () => {
  await report(TRACE, async (folder) => {
    const path = `${folder}/trace.jsonl.html`;
    const page = await Deno.readTextFile(path);
    const watched = page
      .replace(
        "<style>",
        "<script>const errors = []; addEventListener('error', (e) => errors.push(e.message));" +
          "addEventListener('securitypolicyviolation', (e) => errors.push(e.blockedURI));" +
          "</script><style>",
      )
      .replace("</body>", () => PROBE);
    await Deno.writeTextFile(path, watched);
    const dom = await rendered(folder, path);
    const title = /<title>(.*?)<\/title>/.exec(dom)?.[1] ?? "";
    const { errors, said } = JSON.parse(title.replaceAll("&quot;", '"'));
    assertEquals(errors, []);
    assertEquals(said.length, 3);
    assertMatch(said[0], /^0 – [\d.]+ µs; 4 KiB: \d+/);
    assertMatch(said[1], /^0x0 – 0x200000; 4 KiB: [\d.]+ [KM]iB$/);
    assertEquals(said[2], "hidden");
    for (const look of ["k4 s1", "m2 s4", "g1 s4", "io s1", "untouched"]) {
      assertMatch(dom, new RegExp(`<path class="${look}" d="M[^"]+z">`), look);
    }
    assert(dom.match(/<g data-tip=/g)!.length > 50, "bars of the timeline");
  });
});
