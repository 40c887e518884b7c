import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../../src/base/errors.ts";
import { findPackage, followDependency } from "../../../../src/cli/debian/packages.ts";

const HASH = "0123456789abcdef".repeat(4);

function stanza(name: string, version: string, fields: Record<string, string> = {}): string {
  const all = {
    Package: name,
    Version: version,
    Filename: `pool/${name}_${version}.deb`,
    Size: "5",
    SHA256: HASH,
    ...fields,
  };
  return Object.entries(all).map(([key, text]) => `${key}: ${text}\n`).join("");
}

Deno.test("a package is found by its exact name, at the start, in the middle and at the end", () => {
  const index = [stanza("a", "1"), stanza("ab", "2"), stanza("b", "1:3-4~5+b1")].join("\n");
  assertEquals(findPackage(index, "a").version, "1");
  assertEquals(findPackage(index, "ab").path, "pool/ab_2.deb");
  assertEquals(findPackage(index, "b"), {
    name: "b",
    version: "1:3-4~5+b1",
    depends: "",
    path: "pool/b_1:3-4~5+b1.deb",
    sha256: HASH,
    sizeBytes: 5,
  });
});

Deno.test("a name inside another field is not taken for a package", () => {
  const index = [stanza("x", "1", { Description: "Package: a" }), stanza("a", "2")].join("\n");
  assertEquals(findPackage(index, "a").version, "2");
});

Deno.test("of several versions the asked one is found", () => {
  const index = [stanza("a", "1"), stanza("a", "2"), stanza("a", "3")].join("\n");
  assertEquals(findPackage(index, "a", "2").version, "2");
  const error = assertThrows(() => findPackage(index, "a", "4"), DenovisorError);
  assertStringIncludes(error.message, "package a 4");
});

Deno.test("a meta package leads to the version of the image it depends on", () => {
  const meta = stanza("linux-image-cloud-amd64", "6.1.176-1", {
    Depends: "base (>= 2), linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1)",
  });
  const index = [
    meta,
    stanza("linux-image-6.1.0-50-cloud-amd64", "6.1.175-1"),
    stanza("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1"),
  ].join("\n");
  const image = followDependency(
    index,
    findPackage(index, "linux-image-cloud-amd64"),
    /^linux-image-\d/,
  );
  assertEquals([image.name, image.version], ["linux-image-6.1.0-50-cloud-amd64", "6.1.176-1"]);
});

Deno.test("a meta package without a fitting dependency is refused", () => {
  const index = stanza("meta", "1", { Depends: "other" });
  const error = assertThrows(
    () => followDependency(index, findPackage(index, "meta"), /^linux-image-/),
    DenovisorError,
  );
  assertStringIncludes(error.message, 'found the dependencies "other"');
});

Deno.test("stanzas with fields that are missing, malformed or lead out of the mirror are refused", () => {
  const bad: Record<string, string>[] = [
    { SHA256: "" },
    { SHA256: "xyz" },
    { Size: "many" },
    { Filename: "" },
    { Filename: "../../etc/passwd" },
    { Filename: "pool/a b" },
    { Version: "1/../2" },
    { Version: "" },
  ];
  for (const fields of bad) {
    const error = assertThrows(
      () => findPackage(stanza("a", "1", fields), "a"),
      DenovisorError,
      "malformed",
      JSON.stringify(fields),
    );
    assertEquals(error.code, "fetch");
  }
});
