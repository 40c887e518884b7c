import { assertEquals } from "@std/assert";
import * as reader from "../../../src/cli/values.ts";

Deno.test("memory takes sizes from 2M to 16G and nothing else", () => {
  const mib = 1024 ** 2;
  assertEquals(reader.memory.read("256M"), 256 * mib);
  assertEquals(reader.memory.read("2m"), 2 * mib);
  assertEquals(reader.memory.read("4096K"), 4 * mib);
  assertEquals(reader.memory.read("16G"), 16 * 1024 * mib);
  for (const bad of ["", "0", "1M", "256X", "1T", "17G", "1024G", "-1M", "1.5G", "M", "0x10M"]) {
    assertEquals(reader.memory.read(bad), undefined, bad);
  }
});

Deno.test("cpus takes whole numbers from 1 to 64", () => {
  assertEquals(reader.cpus.read("1"), 1);
  assertEquals(reader.cpus.read("64"), 64);
  for (const bad of ["", "0", "65", "1.0", "-1", "1e1", "two", "99999999999999999999"]) {
    assertEquals(reader.cpus.read(bad), undefined, bad);
  }
});

Deno.test("seconds takes decimal fractions above 0, as milliseconds", () => {
  assertEquals(reader.seconds.read("10"), 10_000);
  assertEquals(reader.seconds.read("0.5"), 500);
  assertEquals(reader.seconds.read(".25"), 250);
  for (const bad of ["", "0", "0.0", "-1", "1s", "1e3", "Infinity", "NaN", "2147484", "."]) {
    assertEquals(reader.seconds.read(bad), undefined, bad);
  }
});

Deno.test("web addresses have the scheme http or https", () => {
  assertEquals(reader.webAddress.read("https://deb.debian.org/debian")?.host, "deb.debian.org");
  assertEquals(reader.webAddress.read("http://127.0.0.1:8000")?.port, "8000");
  for (const bad of ["", "deb.debian.org", "ftp://deb.debian.org", "file:///etc", "https://"]) {
    assertEquals(reader.webAddress.read(bad), undefined, bad);
  }
});

Deno.test("paths and text have no NUL characters", () => {
  assertEquals(reader.path.read("a b"), "a b");
  assertEquals(reader.path.read("a\0b"), undefined);
  assertEquals(reader.text.read("a\0b"), undefined);
});

Deno.test("one of a few words is taken by its exact spelling", () => {
  const engine = reader.oneOf("auto", "kvm", "wasm");
  assertEquals(engine.expected, "auto, kvm or wasm");
  assertEquals(engine.read("kvm"), "kvm");
  assertEquals(engine.read("KVM"), undefined);
});

Deno.test("what is traced is mmu or jit, with a file or without", () => {
  assertEquals(reader.trace.read("mmu"), { of: "mmu", path: "-" });
  assertEquals(reader.trace.read("mmu=a=b"), { of: "mmu", path: "a=b" });
  assertEquals(reader.trace.read("jit=a"), { of: "jit", path: "a" });
  for (const bad of ["", "mmu=", "MMU", "cpu", "mmu:a", "jit=", "jits", "mmu=a\0b"]) {
    assertEquals(reader.trace.read(bad), undefined, bad);
  }
});
