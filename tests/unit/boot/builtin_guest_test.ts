import { assertMatch, assertStrictEquals } from "@std/assert";
import { builtinGuest } from "../../../src/boot/builtin_guest.ts";
import { load, MIB, Reg } from "../../support/boot.ts";

Deno.test("the built-in guest loads as a Multiboot image in very little memory", () => {
  const loaded = load({ kernel: builtinGuest(), append: "auto" }, 2 * MIB);
  assertMatch(loaded.entry.description, /Multiboot/);
  assertStrictEquals(loaded.reg(Reg.RAX), 0x2bad_b002);
  assertStrictEquals(loaded.text(loaded.u32(loaded.reg(Reg.RBX) + 16)), "built-in guest auto");
});

Deno.test("each call gives bytes of its own", () => {
  const first = builtinGuest();
  first.bytes.fill(0);
  assertStrictEquals(builtinGuest().bytes.some((byte) => byte !== 0), true);
});
