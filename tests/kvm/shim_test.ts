import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { offsetOf } from "../../src/base/struct.ts";
import { Errno } from "../../src/engine/kvm/errno.ts";
import { Ioctl, Uffdio } from "../../src/engine/kvm/ioctls.ts";
import { Scratch } from "../../src/engine/kvm/scratch.ts";
import { check, Shim } from "../../src/engine/kvm/shim.ts";
import * as uffd from "../../src/engine/kvm/uffd_abi.ts";
import { buildShim } from "../../shim/build.ts";
import { shimLibrary } from "../support/kvm_guest.ts";
import { all, testWith } from "../support/requirement.ts";

const PAGE = 4096;

testWith(shimLibrary, "a second build finds the library up to date", async () => {
  assertEquals(await buildShim(), { status: "current" });
});

testWith(shimLibrary, "every use of a region is checked against its bounds", () => {
  using shim = Shim.open();
  using region = shim.mapRegion(-1, 2 * PAGE);
  const { symbols } = shim;
  const size = BigInt(region.sizeBytes);
  assert(symbols.kvm_shim_region_address(region.id, 0n, size) > 0n);
  assert(symbols.kvm_shim_region_address(region.id, size, 0n) > 0n);
  const outside = [[0n, size + 1n], [1n, size], [size, 1n], [2n ** 64n - 1n, 2n], [
    2n,
    2n ** 64n - 1n,
  ]];
  for (const [offset, length] of outside) {
    const address = symbols.kvm_shim_region_address(region.id, offset, length);
    assertEquals(address, BigInt(-Errno.EINVAL), `${offset}, ${length}`);
  }
  const beyond = 2 * PAGE - 4;
  assertEquals(symbols.kvm_shim_read(0, region.id, beyond, 5), -Errno.EINVAL);
  assertEquals(symbols.kvm_shim_write(1, region.id, beyond, 5), -Errno.EINVAL);
  assertEquals(symbols.kvm_shim_open(region.id, beyond, 5, 0), -Errno.EINVAL);
  assertEquals(symbols.kvm_shim_ioctl_at(0, 0, region.id, beyond, 5), -Errno.EINVAL);
  assertEquals(symbols.kvm_shim_kick(1, region.id, 2 * PAGE), -Errno.EINVAL);
  assertEquals(symbols.kvm_shim_madvise(region.id, 0n, size + 1n, 0), -Errno.EINVAL);
  assertThrows(() => region.address(0, 2 * PAGE + 1), DenovisorError, "EINVAL");
});

testWith(shimLibrary, "a region that is gone is refused, and its number names no other", () => {
  using shim = Shim.open();
  const gone = shim.mapRegion(-1, PAGE);
  gone[Symbol.dispose]();
  using next = shim.mapRegion(-1, PAGE);
  assertNotEquals(next.id, gone.id);
  assertThrows(() => gone.address(0, 1), DenovisorError);
  assertEquals(shim.symbols.kvm_shim_region_remove(gone.id), -Errno.EINVAL);
  for (const id of [0, 1, -1, 4095, 0x7fff_ffff]) {
    const address = shim.symbols.kvm_shim_region_address(id, 0n, 0n);
    assertEquals(address, BigInt(-Errno.EINVAL), `region ${id}`);
  }
});

testWith(shimLibrary, "a region needs bytes, and a mapping a length", () => {
  using shim = Shim.open();
  assertEquals(shim.symbols.kvm_shim_region_add(new Uint8Array(8), 0n), -Errno.EINVAL);
  assertEquals(shim.symbols.kvm_shim_region_add(new Uint8Array(8), 2n ** 64n - 1n), -Errno.EINVAL);
  assertEquals(shim.symbols.kvm_shim_region_map(-1, 0n, 0n), -Errno.EINVAL);
  assertEquals(shim.symbols.kvm_shim_region_map(9999, 0n, 4096n), -Errno.EBADF);
});

testWith(shimLibrary, "an ioctl's argument is at least as long as its request says", () => {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  assertEquals(scratch.tryIoctl(-1, Ioctl.GET_SREGS, 311), -Errno.EINVAL);
  assertEquals(scratch.tryIoctl(-1, Ioctl.GET_SREGS, 312), -Errno.EBADF);
});

testWith(shimLibrary, "a path without an end is refused and an absent file has its error", () => {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  assertEquals(scratch.tryOpen("/absent", 0), -Errno.ENOENT);
  assertEquals(shim.symbols.kvm_shim_open(scratch.region.id, 0, 4, 0), -Errno.EINVAL);
  const error = assertThrows(() => check(-Errno.EBUSY, "do this"), DenovisorError);
  assertEquals(error.message, "Cannot do this: EBUSY");
  assertEquals(error.details, { errno: Errno.EBUSY });
});

testWith(shimLibrary, "a memory file maps to the same bytes twice", () => {
  using shim = Shim.open();
  const fd = check(shim.symbols.kvm_shim_memfd(8192n), "make a memory file");
  using first = shim.mapRegion(fd, 2 * PAGE);
  using second = shim.mapRegion(fd, 2 * PAGE);
  shim.symbols.kvm_shim_close(fd);
  new Uint8Array(first.buffer)[5000] = 77;
  assertEquals(new Uint8Array(second.buffer)[5000], 77);
});

testWith(
  shimLibrary,
  "a memory file takes the place of pages of a region, and never shrinks",
  () => {
    using shim = Shim.open();
    const { symbols } = shim;
    const fd = check(symbols.kvm_shim_memfd(BigInt(2 * PAGE)), "make a memory file");
    using file = shim.mapRegion(fd, 2 * PAGE);
    using region = shim.mapRegion(-1, 4 * PAGE);
    const bytes = new Uint8Array(region.buffer);
    bytes.fill(1);
    new Uint8Array(file.buffer).fill(7);
    const overlay = (offset: number, length: number, from = fd) =>
      symbols.kvm_shim_region_overlay(region.id, BigInt(offset), BigInt(length), from);
    assertEquals(overlay(PAGE, 2 * PAGE), 0);
    assertEquals([0, 1, 2, 3].map((page) => bytes[page * PAGE]), [1, 7, 7, 1]);
    bytes[PAGE] = 9;
    assertEquals(new Uint8Array(file.buffer)[0], 9);
    assertEquals(overlay(3 * PAGE, 2 * PAGE), -Errno.EINVAL, "not all in the region");
    assertEquals(overlay(0, 3 * PAGE), -Errno.EINVAL, "longer than the file");
    assertEquals(overlay(100, PAGE), -Errno.EINVAL, "no whole pages");
    assertThrows(
      () => Deno.truncateSync(`/proc/self/fd/${fd}`, PAGE),
      Deno.errors.PermissionDenied,
    );
    const path = Deno.makeTempFileSync();
    Deno.writeFileSync(path, new Uint8Array(PAGE));
    using scratch = new Scratch(shim);
    const plain = scratch.tryOpen(path, 2);
    assertEquals(overlay(0, PAGE, plain), -Errno.EPERM, "a file that may shrink");
    symbols.kvm_shim_close(plain);
    symbols.kvm_shim_close(fd);
    Deno.removeSync(path);
  },
);

testWith(shimLibrary, "an eventfd counts, and poll tells which descriptor can be read", () => {
  using shim = Shim.open();
  using region = shim.mapRegion(-1, PAGE);
  const { symbols } = shim;
  const view = new DataView(region.buffer);
  const a = check(symbols.kvm_shim_eventfd(0, 0), "make an eventfd");
  const b = check(symbols.kvm_shim_eventfd(3, 0), "make an eventfd");
  assertEquals(symbols.kvm_shim_poll(a, b, 0), 2);
  assertEquals(symbols.kvm_shim_poll(a, -1, 0), 0);
  view.setBigUint64(0, 5n, true);
  assertEquals(symbols.kvm_shim_write(a, region.id, 0, 8), 8);
  assertEquals(symbols.kvm_shim_poll(a, b, -1), 3);
  assertEquals(symbols.kvm_shim_read(b, region.id, 8, 8), 8);
  assertEquals(view.getBigUint64(8, true), 3n);
  symbols.kvm_shim_close(a);
  symbols.kvm_shim_close(b);
});

testWith(shimLibrary, "a kick sets its byte, and tells when there is no such thread", () => {
  using shim = Shim.open();
  using region = shim.mapRegion(-1, PAGE);
  const { symbols } = shim;
  assertEquals(symbols.kvm_shim_kick(symbols.kvm_shim_thread_id(), region.id, 9), 0);
  assertEquals(new Uint8Array(region.buffer)[9], 1);
  assert(symbols.kvm_shim_kick(0x3fff_ffff, region.id, 0) < 0);
});

/** The kernel may keep userfaultfd from ordinary users (vm.unprivileged_userfaultfd). */
const userfaultfd = { missing: whyNoUserfaultfd() };

function whyNoUserfaultfd(): string | undefined {
  if (shimLibrary.missing !== undefined) return shimLibrary.missing;
  using shim = Shim.open();
  const fd = shim.symbols.kvm_shim_userfaultfd(0);
  if (fd < 0) return "userfaultfd is not permitted";
  shim.symbols.kvm_shim_close(fd);
  return undefined;
}

testWith(all(shimLibrary, userfaultfd), "userfaultfd fills a missing page by copy", () => {
  using shim = Shim.open();
  using scratch = new Scratch(shim);
  using target = shim.mapRegion(-1, 4 * PAGE);
  using source = shim.mapRegion(-1, PAGE);
  const fd = check(shim.symbols.kvm_shim_userfaultfd(0), "make a userfaultfd");
  const { view } = scratch;
  const put = (at: number, value: bigint) => view.setBigUint64(at, value, true);
  scratch.clear(uffd.UffdioApi.size);
  put(offsetOf(uffd.UffdioApi, "api"), BigInt(uffd.UFFD_API));
  scratch.ioctl(fd, Uffdio.API, uffd.UffdioApi.size, "agree on the API");
  put(offsetOf(uffd.UffdioRegister, "range.start"), target.address(0, 4 * PAGE));
  put(offsetOf(uffd.UffdioRegister, "range.len"), BigInt(4 * PAGE));
  put(offsetOf(uffd.UffdioRegister, "mode"), BigInt(uffd.UFFDIO_REGISTER_MODE_MISSING));
  scratch.ioctl(fd, Uffdio.REGISTER, uffd.UffdioRegister.size, "register");
  new Uint8Array(source.buffer).fill(0x5a);
  put(offsetOf(uffd.UffdioCopy, "dst"), target.address(2 * PAGE, PAGE));
  put(offsetOf(uffd.UffdioCopy, "src"), source.address(0, PAGE));
  put(offsetOf(uffd.UffdioCopy, "len"), BigInt(PAGE));
  put(offsetOf(uffd.UffdioCopy, "mode"), 0n);
  scratch.ioctl(fd, Uffdio.COPY, uffd.UffdioCopy.size, "copy a page");
  assertEquals(view.getBigInt64(offsetOf(uffd.UffdioCopy, "copy"), true), BigInt(PAGE));
  assertEquals(new Uint8Array(target.buffer)[2 * PAGE + 17], 0x5a);
  shim.symbols.kvm_shim_close(fd);
});
