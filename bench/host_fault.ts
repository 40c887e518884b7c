/**
 * A fault of our MMU against the host KVM's own for the same work: a 4 KiB page that the host has
 * and the guest touches for the first time. The guest reads in ring 3, which runs on the processor
 * on every host; a second pass over the same pages, which no longer faults, is taken off.
 */

import process from "node:process";
import { gpa, PAGE_SIZE } from "../src/base/u64.ts";
import { long64State } from "../src/cpu/modes.ts";
import { type CpuState, Reg, Seg, State } from "../src/cpu/state.ts";
import { ExitCode } from "../src/engine/engine.ts";
import { KvmEngine } from "../src/engine/kvm/kvm_engine.ts";
import { Shim } from "../src/engine/kvm/shim.ts";
import { GuestMemory } from "../src/memory/guest_memory.ts";
import { Faults } from "./mmu/faults.ts";
import { type BenchResult, median } from "./result.ts";

const TURNS = 7;
const PAGES = 16384;
const FIRST_PAGE = 0x100_0000;
const RAM_BYTES = FIRST_PAGE + PAGES * PAGE_SIZE;
/** madvise(2): pages of 4 KiB only. */
const MADV_NOHUGEPAGE = 15;

const PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, CODE = 0x1_0000, TSS = 0x2_0000;
const USER_CODE = 0x23, USER_DATA = 0x1b;
/** Ring 3: `mov al, [rdi]; add rdi, 4096; dec ecx; jnz` back; then `out 0x10, al`. */
const TOUCH = [0x8a, 0x07, 0x48, 0x81, 0xc7, 0, 0x10, 0, 0, 0xff, 0xc9, 0x75, 0xf3, 0xe6, 0x10];

export async function run(): Promise<BenchResult[]> {
  const faults = new Faults("map4k");
  for (let i = 0; i < 4; i++) faults.measure(cpuNs);
  const [own, host]: number[][] = [[], []];
  for (let turn = 0; turn < TURNS; turn++) {
    own.push(faults.measure(cpuNs));
    host.push(hostFaultNs());
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return [
    { name: "stage-2 fault that maps 4 KiB, ours", value: median(own), unit: "ns" },
    { name: "stage-2 fault that maps 4 KiB, the host KVM's", value: median(host), unit: "ns" },
    {
      name: "stage-2 fault, ours / the host KVM's",
      value: median(own.map((ns, turn) => ns / host[turn])),
      unit: "",
      promise: { atMost: 0.25 },
    },
  ];
}

/** Nanoseconds of CPU time that this process has used. */
function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

/** What the first touch of a page costs beyond the second, in a fresh guest. */
function hostFaultNs(): number {
  const memory = GuestMemory.allocate(RAM_BYTES);
  makePresent(memory);
  buildTables(memory);
  memory.write(gpa(CODE), Uint8Array.from(TOUCH));
  using engine = new KvmEngine({ memory, cpus: 1 });
  const state = ring3State();
  return (touchAll(engine, state) - touchAll(engine, state)) / PAGES;
}

function makePresent(memory: GuestMemory): void {
  using shim = Shim.open();
  const bytes = memory.view(gpa(0), RAM_BYTES);
  using region = shim.addRegion(bytes);
  shim.symbols.kvm_shim_madvise(region.id, 0n, BigInt(RAM_BYTES), MADV_NOHUGEPAGE);
  bytes.fill(1);
}

/** 2 MiB pages, mapped to themselves: present, writable, user, accessed, dirty (SDM 3A §4.5). */
function buildTables(memory: GuestMemory): void {
  memory.fill(gpa(PML4), 3 * PAGE_SIZE, 0);
  memory.fill(gpa(TSS), PAGE_SIZE, 0); // its I/O bitmap allows the port where IOPL is not looked at
  memory.writeU64(gpa(PML4), PDPT + 0x27);
  memory.writeU64(gpa(PDPT), PD + 0x27);
  for (let page = 0; page < 512; page++) memory.writeU64(gpa(PD + page * 8), page * 2 ** 21 + 0xe7);
}

function ring3State(): CpuState {
  const selectors = { cs: USER_CODE, ds: USER_DATA };
  const state = long64State({ rip: CODE, cr3: PML4, gdt: { base: 0, limit: 0 }, selectors });
  const flat = { base: 0, limit: 0xffff_ffff };
  state.setSegment(Seg.CS, { ...flat, selector: USER_CODE, attributes: 0xa0fb });
  for (const seg of [Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS]) {
    state.setSegment(seg, { ...flat, selector: USER_DATA, attributes: 0xc0f3 });
  }
  state.setSegment(Seg.TR, { base: TSS, limit: 0x67, selector: 0x28, attributes: 0x8b });
  state.set(State.RFLAGS, 0x3002); // IOPL 3: the code may use ports
  state.setGpr(Reg.RDI, FIRST_PAGE);
  state.setGpr(Reg.RCX, PAGES);
  return state;
}

/** Nanoseconds of one pass over all pages. */
function touchAll(engine: KvmEngine, state: CpuState): number {
  engine.vcpus[0].writeState(state);
  const start = cpuNs();
  if (engine.run(0) !== ExitCode.PORT_OUT) {
    throw new Error(`The guest ended: ${engine.exit.reason}`);
  }
  return cpuNs() - start;
}
