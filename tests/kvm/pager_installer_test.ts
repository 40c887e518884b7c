import { assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { PAGE_SIZE } from "../../src/base/u64.ts";
import { Errno } from "../../src/engine/kvm/errno.ts";
import { Installer } from "../../src/engine/kvm/pager/installer.ts";
import type { Userfaultfd } from "../../src/engine/kvm/pager/userfaultfd.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";
import { shimLibrary } from "../support/kvm_guest.ts";
import { testWith } from "../support/requirement.ts";

const LARGE = 512 * PAGE_SIZE;
const AT = 0x4000_0000;
const EXISTS = -Errno.EEXIST;
const AGAIN = -Errno.EAGAIN;

/** A kernel that answers as told (with success once nothing is left to tell), and remembers calls. */
class FakeUserfaultfd {
  canMove = true;
  readonly calls: string[] = [];
  readonly #answers: number[];

  constructor(...answers: readonly number[]) {
    this.#answers = [...answers];
  }

  copy(dst: number, _src: number, bytes: number, protect: boolean): number {
    return this.#answer(protect ? "copy protected" : "copy", dst, bytes, bytes);
  }
  zero(dst: number, bytes: number): number {
    return this.#answer("zero", dst, bytes, bytes);
  }
  move(dst: number, _src: number, bytes: number): number {
    return this.#answer("move", dst, bytes, bytes);
  }
  map(start: number, bytes: number, protect: boolean): number {
    return this.#answer(protect ? "map protected" : "map", start, bytes, bytes);
  }
  writeProtect(start: number, bytes: number, protect: boolean): number {
    return this.#answer(protect ? "protect" : "unprotect", start, bytes, 0);
  }
  wake(start: number, bytes: number): void {
    this.#answer("wake", start, bytes, 0);
  }

  #answer(name: string, at: number, bytes: number, success: number): number {
    this.calls.push(`${name} ${(at - AT) / PAGE_SIZE}+${bytes / PAGE_SIZE}`);
    return this.#answers.shift() ?? success;
  }
}

/** What `use` makes an installer ask of such a kernel. */
function callsOf(fake: FakeUserfaultfd, use: (installer: Installer) => void): string[] {
  using shim = Shim.open();
  using installer = new Installer(shim, fake as unknown as Userfaultfd);
  use(installer);
  return fake.calls;
}

testWith(shimLibrary, "pages come the way that fits their contents, size and rights", () => {
  const zero = (...[bytes, written, writable]: [number, boolean, boolean]) =>
    callsOf(new FakeUserfaultfd(), (installer) => installer.zero(AT, bytes, written, writable));
  assertEquals(zero(PAGE_SIZE, false, true), ["zero 0+1"]);
  assertEquals(zero(PAGE_SIZE, true, true), ["copy 0+1"]);
  assertEquals(zero(PAGE_SIZE, false, false), ["copy protected 0+1"]);
  assertEquals(zero(LARGE, false, true), ["zero 0+512"]);
  assertEquals(zero(LARGE, true, true), ["move 0+512"]);
  assertEquals(zero(LARGE, false, false), ["copy protected 0+512"]);
  const fill = (bytes: number, writable: boolean) =>
    callsOf(new FakeUserfaultfd(), (installer) => installer.fill(AT, bytes, writable));
  assertEquals(fill(PAGE_SIZE, true), ["copy 0+1"]);
  assertEquals(fill(LARGE, true), ["move 0+512"]);
  assertEquals(fill(LARGE, false), ["copy protected 0+512"]);
});

testWith(shimLibrary, "what cannot be moved is copied", () => {
  const old = new FakeUserfaultfd();
  old.canMove = false; // Linux before 6.8
  assertEquals(callsOf(old, (installer) => installer.fill(AT, LARGE, true)), ["copy 0+512"]);
  const refused = new FakeUserfaultfd(-Errno.EBUSY);
  assertEquals(callsOf(refused, (installer) => installer.zero(AT, LARGE, true, true)), [
    "move 0+512",
    "copy 0+512",
  ]);
  const unaligned = new FakeUserfaultfd();
  callsOf(unaligned, (installer) => installer.fill(AT + PAGE_SIZE, LARGE, true));
  assertEquals(unaligned.calls, ["copy 1+512"]);
});

testWith(shimLibrary, "work done in parts goes on where it stopped", () => {
  const fake = new FakeUserfaultfd(3 * PAGE_SIZE, AGAIN, 2 * PAGE_SIZE);
  assertEquals(callsOf(fake, (installer) => installer.zero(AT, LARGE, false, true)), [
    "zero 0+512",
    "zero 3+509",
    "zero 3+509",
    "zero 5+507",
  ]);
});

testWith(shimLibrary, "a page that is there already gets its rights, and wakes who waits", () => {
  const writable = new FakeUserfaultfd(PAGE_SIZE, EXISTS);
  assertEquals(callsOf(writable, (installer) => installer.zero(AT, LARGE, false, true)), [
    "zero 0+512",
    "zero 1+511",
    "unprotect 1+1",
    "zero 2+510",
  ]);
  const readOnly = new FakeUserfaultfd(EXISTS);
  assertEquals(callsOf(readOnly, (installer) => installer.fill(AT, PAGE_SIZE, false)), [
    "copy protected 0+1",
    "wake 0+1",
  ]);
});

testWith(shimLibrary, "a page of shared memory is mapped, or filled where there is none", () => {
  const share = (isThere: boolean, writable: boolean, ...answers: number[]) =>
    callsOf(
      new FakeUserfaultfd(...answers),
      (installer) => installer.share(AT, isThere, writable),
    );
  const GONE = -Errno.EFAULT;
  assertEquals(share(true, true), ["map 0+1"]);
  assertEquals(share(true, false), ["map protected 0+1"]);
  assertEquals(share(false, true), ["copy 0+1"]);
  assertEquals(share(false, false), ["copy protected 0+1"]);
  // Others bring pages in and take them away meanwhile.
  assertEquals(share(false, true, EXISTS), ["copy 0+1", "map 0+1"]);
  assertEquals(share(true, true, GONE), ["map 0+1", "copy 0+1"]);
  assertEquals(share(true, true, AGAIN), ["map 0+1", "map 0+1"]);
  // Another thread met the same fault.
  assertEquals(share(true, true, EXISTS), ["map 0+1", "unprotect 0+1"]);
  assertEquals(share(true, false, EXISTS), ["map protected 0+1", "wake 0+1"]);
  const forEver = Array.from({ length: 5000 }, (_, i) => i % 2 === 0 ? GONE : EXISTS);
  assertThrows(() => share(true, true, ...forEver), DenovisorError, "EAGAIN");
  assertThrows(() => share(true, true, -Errno.EINVAL), DenovisorError, "EINVAL");
});

testWith(
  shimLibrary,
  "a kernel that refuses, or never does it, is an error with the address",
  () => {
    const full = () =>
      callsOf(
        new FakeUserfaultfd(-Errno.ENOMEM),
        (installer) => installer.zero(AT, PAGE_SIZE, true, true),
      );
    assertThrows(full, DenovisorError, "at host address 0x40000000: the kernel answered ENOMEM");
    const never = new FakeUserfaultfd(...Array<number>(5000).fill(AGAIN));
    const copy = () => callsOf(never, (installer) => installer.fill(AT, PAGE_SIZE, true));
    assertThrows(copy, DenovisorError, "EAGAIN");
    const locked = new FakeUserfaultfd(...Array<number>(5000).fill(AGAIN));
    const protect = () => callsOf(locked, (installer) => installer.protect(AT, PAGE_SIZE, true));
    assertThrows(protect, DenovisorError, "EAGAIN");
  },
);
