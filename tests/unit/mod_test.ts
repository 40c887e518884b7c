import { assertEquals } from "@std/assert";

/** The public API. A name may be added; one that is taken away breaks somebody's program. */
const NAMES = [
  "Brand",
  "ClockChoice",
  "ConsoleMatch",
  "Console",
  "DenovisorError",
  "DirtyLog",
  "DirtyRegion",
  "EngineChoice",
  "EngineReport",
  "ErrorCode",
  "ErrorDetails",
  "ErrorMessage",
  "ExitCounts",
  "ExpectOptions",
  "FileRegion",
  "FileSource",
  "Gpa",
  "GuestMemory",
  "GuestMemoryHandle",
  "GuestOutput",
  "MachineOutcome",
  "MemoryOptions",
  "MemoryRegion",
  "MmuChoice",
  "Paging",
  "SharedMemory",
  "Vm",
  "VmMemory",
  "VmOptions",
  "VmOutcome",
  "VmProfile",
  "VmStats",
  "describeOutcome",
  "gpa",
];

Deno.test("the public API has exactly these names", async () => {
  const source = await Deno.readTextFile(new URL("../../src/mod.ts", import.meta.url));
  const exports = source.replace(/\/\*[^]*?\*\//g, "").matchAll(
    /export (?:type )?\{([^}]*)\} from "[^"]+";/g,
  );
  const names = [...exports].flatMap(([, list]) => list.split(",")).map((name) =>
    name.replace(/\btype\b/, "").trim()
  ).filter((name) => name !== "");
  assertEquals(names.sort(), [...NAMES].sort());
});

Deno.test("the public API has these values", async () => {
  const api = await import("../../src/mod.ts");
  const values = [
    "Console",
    "DenovisorError",
    "DirtyLog",
    "GuestMemory",
    "GuestOutput",
    "SharedMemory",
    "Vm",
    "VmMemory",
    "describeOutcome",
    "gpa",
  ];
  assertEquals(Object.keys(api).sort(), values);
});
