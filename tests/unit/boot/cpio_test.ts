import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { cpio, type CpioEntry } from "../../../src/boot/cpio.ts";
import { programs, testWith } from "../../support/requirement.ts";

/** Reads an archive back by the format's description. */
function parse(archive: Uint8Array) {
  const text = (from: number, to: number) => new TextDecoder().decode(archive.subarray(from, to));
  const up = (at: number) => Math.ceil(at / 4) * 4;
  const members = [];
  for (let at = 0; at < archive.length;) {
    assertStrictEquals(text(at, at + 6), "070701");
    const fields = Array.from({ length: 13 }, (_, i) => {
      const digits = text(at + 6 + 8 * i, at + 14 + 8 * i);
      assertMatch(digits, /^[0-9a-f]{8}$/);
      return parseInt(digits, 16);
    });
    const [inode, mode, uid, gid, links, mtime, sizeBytes, , , major, minor, nameBytes] = fields;
    const name = text(at + 110, at + 110 + nameBytes - 1);
    const data = up(at + 110 + nameBytes);
    const bytes = archive.subarray(data, data + sizeBytes);
    members.push({ name, inode, mode, uid, gid, links, mtime, major, minor, bytes });
    at = up(data + sizeBytes);
  }
  return members;
}

const ENTRIES: readonly CpioEntry[] = [
  { kind: "directory", path: "bin" },
  { kind: "file", path: "bin/busybox", bytes: new TextEncoder().encode("#!\n"), mode: 0o755 },
  { kind: "symlink", path: "bin/sh", target: "busybox" },
  { kind: "character-device", path: "dev/console", major: 5, minor: 1 },
  { kind: "block-device", path: "dev/vda", major: 254, minor: 0, mode: 0o660 },
  { kind: "file", path: "etc/empty", bytes: new Uint8Array() },
];

Deno.test("cpio writes files, directories, links and devices with their modes", () => {
  const members = parse(cpio(ENTRIES)).map(({ name, mode, links, major, minor, bytes }) => [
    name,
    mode.toString(8),
    links,
    [major, minor].join(),
    new TextDecoder().decode(bytes),
  ]);
  assertEquals(members, [
    ["bin", "40755", 2, "0,0", ""],
    ["bin/busybox", "100755", 1, "0,0", "#!\n"],
    ["bin/sh", "120777", 1, "0,0", "busybox"],
    ["dev", "40755", 2, "0,0", ""],
    ["dev/console", "20600", 1, "5,1", ""],
    ["dev/vda", "60660", 1, "254,0", ""],
    ["etc", "40755", 2, "0,0", ""],
    ["etc/empty", "100644", 1, "0,0", ""],
    ["TRAILER!!!", "0", 1, "0,0", ""],
  ]);
});

Deno.test("cpio archives are whole words, owned by root, without times, with inodes of their own", () => {
  const archive = cpio(ENTRIES);
  const members = parse(archive);
  assertStrictEquals(archive.length % 4, 0);
  assertStrictEquals(new Set(members.map(({ inode }) => inode)).size, members.length);
  assertEquals(members.filter(({ uid, gid, mtime }) => uid + gid + mtime > 0), []);
  assertEquals(cpio(ENTRIES), archive);
});

Deno.test("cpio keeps a directory that is given after what lies in it", () => {
  const archive = cpio([
    { kind: "file", path: "a/b", bytes: new Uint8Array() },
    { kind: "directory", path: "a", mode: 0o700 },
  ]);
  assertEquals(parse(archive).map(({ name }) => name), ["a", "a/b", "TRAILER!!!"]);
  assertStrictEquals(parse(archive)[0].mode, 0o040700);
});

Deno.test("cpio refuses paths that lead elsewhere, and paths given twice", () => {
  for (const path of ["", "/bin", "../etc", "a//b", "a/./b", "a/", "a\0b"]) {
    assertThrows(() => cpio([{ kind: "directory", path }]), TypeError, "Cannot archive");
  }
  const twice: CpioEntry = { kind: "symlink", path: "a", target: "b" };
  assertThrows(() => cpio([twice, twice]), TypeError, "Cannot archive a: given twice");
});

Deno.test("cpio refuses a device number that does not fit its field", () => {
  const device = (minor: number): CpioEntry => ({
    kind: "character-device",
    path: "x",
    major: 1,
    minor,
  });
  assertStrictEquals(parse(cpio([device(0xffff_ffff)]))[0].minor, 0xffff_ffff);
  assertThrows(() => cpio([device(2 ** 32)]), RangeError, "expected 0 to 4294967295");
  assertThrows(() => cpio([device(-1)]), RangeError);
});

testWith(programs("cpio"), "the cpio program lists what cpio wrote", async () => {
  const list = new Deno.Command("cpio", { args: ["-it"], stdin: "piped", stdout: "piped" }).spawn();
  const writer = list.stdin.getWriter();
  await writer.write(cpio(ENTRIES));
  await writer.close();
  const { stdout, success } = await list.output();
  assertStrictEquals(success, true);
  const names = "bin bin/busybox bin/sh dev dev/console dev/vda etc etc/empty".split(" ");
  assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), names);
});
