/**
 * The walker against the host kernel's own: KVM_TRANSLATE over random tables. It walks as a
 * supervisor's read and sets accessed flags, as the walker does. The host's KVM answers here for
 * 4-level paging; a mode that it does not have is reported as skipped.
 */

import { assert, assertEquals } from "@std/assert";
import { offsetOf } from "../../../src/base/struct.ts";
import { gpa, hex } from "../../../src/base/u64.ts";
import { Cr0, Cr4, Efer, long64State } from "../../../src/cpu/modes.ts";
import { State } from "../../../src/cpu/state.ts";
import { Ioctl } from "../../../src/engine/kvm/ioctls.ts";
import { KvmTranslation } from "../../../src/engine/kvm/kvm_abi.ts";
import { KvmEngine } from "../../../src/engine/kvm/kvm_engine.ts";
import { Scratch } from "../../../src/engine/kvm/scratch.ts";
import { Shim } from "../../../src/engine/kvm/shim.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { Access } from "../../../src/mmu/pferr.ts";
import { PagingMode } from "../../../src/mmu/role.ts";
import { RegionTables, Walker } from "../../../src/mmu/walk/mod.ts";
import { fillTables, randomLinear } from "../../model/mmu/walk/random_tables.ts";
import { roleOf } from "../../support/guest_tables.ts";
import { hostPaging } from "../../support/host_paging.ts";
import { kvmEngine } from "../../support/kvm_guest.ts";
import { Random, seed } from "../../support/random.ts";
import { testWith } from "../../support/requirement.ts";

const FRAMES = 16;
const IMAGES = 400;
const WALKS = 250;

const LINEAR = offsetOf(KvmTranslation, "linear_address");
const PHYSICAL = offsetOf(KvmTranslation, "physical_address");
const VALID = offsetOf(KvmTranslation, "valid");

/** A vCPU whose KVM_TRANSLATE is asked. */
class HostWalker implements Disposable {
  readonly memory = GuestMemory.allocate(FRAMES * 4096);
  readonly #shim = Shim.open();
  readonly #scratch = new Scratch(this.#shim);
  readonly #engine = new KvmEngine({ memory: this.memory, cpus: 1 });

  /** 4-level paging from the tables at `cr3`. */
  load(cr3: number, nxe: boolean, wp: boolean): void {
    const selectors = { cs: 8, ds: 16 };
    const state = long64State({ rip: 0, cr3, gdt: { base: 0, limit: 0 }, selectors });
    state.set(State.EFER, Efer.LME | Efer.LMA | (nxe ? Efer.NXE : 0));
    state.set(State.CR0, Cr0.PE + Cr0.ET + Cr0.NE + Cr0.PG + (wp ? Cr0.WP : 0));
    state.set(State.CR4, Cr4.PAE);
    this.#engine.vcpus[0].writeState(state);
  }

  /** The physical address, or undefined where there is none. */
  translate(linear: bigint): bigint | undefined {
    const { view } = this.#scratch;
    this.#scratch.clear(KvmTranslation.size);
    view.setBigUint64(LINEAR, linear, true);
    const { fd } = this.#engine.vcpus[0];
    this.#scratch.ioctl(fd, Ioctl.TRANSLATE, KvmTranslation.size, "translate");
    return view.getUint8(VALID) === 0 ? undefined : view.getBigUint64(PHYSICAL, true);
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    this.#shim[Symbol.dispose]();
  }
}

testWith(
  kvmEngine,
  `KVM_TRANSLATE and the walker agree on ${IMAGES * WALKS} addresses over random 4-level tables`,
  () => {
    const random = new Random(seed(0x7_a551));
    using host = new HostWalker();
    const features = hostPaging();
    const { memory } = host;
    const ram = memory.view(gpa(0), FRAMES * 4096);
    const walker = new Walker(new RegionTables(memory));
    let reached = 0;
    for (let image = 0; image < IMAGES; image++) {
      fillTables(random, memory, PagingMode.LEVEL4, FRAMES);
      const before = ram.slice();
      const cr3 = random.below(FRAMES) * 4096;
      const [nxe, wp] = [random.oneIn(2), random.oneIn(2)];
      const addresses = Array.from(
        { length: WALKS },
        () => randomLinear(random, PagingMode.LEVEL4),
      );

      host.load(cr3, nxe, wp);
      const expected = addresses.map((linear) => host.translate(linear));
      const flagged = ram.slice();

      ram.set(before);
      walker.setRole(roleOf({ mode: PagingMode.LEVEL4, nxe, wp, ...features }));
      walker.setRoot(cr3, 0);
      addresses.forEach((linear, i) => {
        const found = walk(walker, linear);
        if (found !== expected[i]) {
          const where = `seed ${random.seed}, image ${image}, linear ${hex(linear)}, NXE ${nxe}`;
          assertEquals(show(found), show(expected[i]), where);
        }
        if (found !== undefined) reached++;
      });
      assertEquals(firstDifference(ram, flagged), undefined, `seed ${random.seed}, image ${image}`);
    }
    assert(reached > IMAGES * WALKS / 10, `only ${reached} addresses were translated`);
  },
);

function walk(walker: Walker, linear: bigint): bigint | undefined {
  if (!walker.walk(Number(linear & 0xffff_ffffn), Number(linear >> 32n), Access.READ)) {
    return undefined;
  }
  return BigInt(walker.result.gfn) << 12n | linear & 0xfffn;
}

function show(address: bigint | undefined): string {
  return address === undefined ? "a fault" : hex(address);
}

/** Where accessed flags differ. */
function firstDifference(a: Uint8Array, b: Uint8Array): string | undefined {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? undefined : `byte ${hex(at)}: walker ${hex(a[at])}, host ${hex(b[at])}`;
}
