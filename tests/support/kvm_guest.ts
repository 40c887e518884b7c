/** Guests of a few hand-assembled bytes for tests of the KVM engine. */

import { buildShim } from "../../shim/build.ts";
import { alignDown, gpa } from "../../src/base/u64.ts";
import { flat32State, long64State, realModeState } from "../../src/cpu/modes.ts";
import type { CpuState } from "../../src/cpu/state.ts";
import type { MmioBus } from "../../src/engine/cpu_bus.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { KvmEngine, type KvmEngineOptions } from "../../src/engine/kvm/kvm_engine.ts";
import { WasmAssist } from "../../src/engine/wasm/assist.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { all, kvm, programs, type Requirement } from "./requirement.ts";

/** /dev/kvm and a built libkvm-shim. */
export const kvmEngine: Requirement = all(kvm, await builtShim());

/** libkvm-shim alone. */
export const shimLibrary: Requirement = await builtShim();

async function builtShim(): Promise<Requirement> {
  const done = await buildShim();
  if (done.status === "failed") throw new Error(`libkvm-shim: ${done.reason}`);
  return done.status === "no-compiler" ? programs("cc") : { missing: undefined };
}

/** Where the guest's code starts. */
export const CODE = 0x8000;
/** End of the stack. */
export const STACK = 0x7000;
const GDT = 0x500;
const TABLES = 0x1_0000;

/** A guest with `code` at `CODE`. */
export function memoryWith(code: readonly number[], mebibytes = 2): GuestMemory {
  const memory = GuestMemory.allocate(mebibytes * 1024 * 1024);
  memory.write(gpa(CODE), new Uint8Array(code));
  return memory;
}

/** 16-bit real mode at `CODE`. */
export function real16(): CpuState {
  return realModeState({ cs: 0, ip: CODE, ds: 0, ss: 0, sp: STACK });
}

/** 32-bit protected mode without paging at `CODE`; code segment 0x08, data 0x10. */
export function flat32(memory: GuestMemory): CpuState {
  const gdt = { base: GDT, limit: 23 };
  memory.writeU64(gpa(GDT + 8), 0x00cf_9b00_0000_ffffn);
  memory.writeU64(gpa(GDT + 16), 0x00cf_9300_0000_ffffn);
  return flat32State({ eip: CODE, gdt, selectors: { cs: 8, ds: 16 } });
}

/** 64-bit mode at `CODE`, the first 2 MiB mapped to themselves. */
export function long64(memory: GuestMemory): CpuState {
  const gdt = { base: GDT, limit: 23 };
  memory.writeU64(gpa(GDT + 8), 0x00af_9b00_0000_ffffn);
  memory.writeU64(gpa(GDT + 16), 0x00cf_9300_0000_ffffn);
  memory.writeU64(gpa(TABLES), TABLES + 0x1000 + 3);
  memory.writeU64(gpa(TABLES + 0x1000), TABLES + 0x2000 + 3);
  memory.writeU64(gpa(TABLES + 0x2000), 0x83);
  memory.writeU64(gpa(TABLES + 0x2008), TABLES + 0x3000 + 3);
  return long64State({ rip: CODE, cr3: TABLES, gdt, selectors: { cs: 8, ds: 16 } });
}

/** Virtual address of the page that `mapWindow` maps: the first after 2 MiB. */
export const WINDOW = 0x20_0000;

/** Maps the 4 KiB page of guest physical `address` at `WINDOW` of a `long64` guest, uncached. */
export function mapWindow(memory: GuestMemory, address: number): void {
  memory.writeU64(gpa(TABLES + 0x3000), BigInt(alignDown(address, 4096)) + 0x1bn);
}

/** Device memory where nothing is. */
const NO_DEVICES: MmioBus = {
  readMmio: (_vcpu, _gpa, size, into, at) => {
    for (let i = 0; i < size; i++) into.setUint8(at + i, 0xff);
  },
  writeMmio: () => {},
};

/** The assist of an engine: the wasm engine's. */
export function assistFor(
  memory: GuestMemory,
  cpus: number,
  devices: MmioBus = NO_DEVICES,
): KvmEngineOptions["assist"] {
  return (cpuid) => new WasmAssist({ memory, cpus, cpuid, devices });
}

/** An engine with one vCPU in `state`. */
export function engineFor(
  memory: GuestMemory,
  state: CpuState,
  assist?: KvmEngineOptions["assist"],
): KvmEngine {
  const engine = new KvmEngine({ memory, cpus: 1, assist });
  engine.vcpus[0].writeState(state);
  return engine;
}

/** The name of an exit code, for readable assertions. */
export function codeName(code: ExitCode): string {
  return Object.entries(ExitCode).find(([, value]) => value === code)?.[0] ?? String(code);
}

/** Runs to the next exit and says what it was: "PORT_OUT 0x10 1x1 41" (data in memory order). */
export function nextExit(engine: KvmEngine): string {
  const code = engine.run(0);
  const { exit } = engine;
  const where = code === ExitCode.PORT_IN || code === ExitCode.PORT_OUT
    ? `0x${exit.port.toString(16)} ${exit.size}x${exit.count}`
    : code === ExitCode.MMIO_READ || code === ExitCode.MMIO_WRITE
    ? `0x${exit.gpa.toString(16)} ${exit.size}x${exit.count}`
    : exit.reason;
  const bytes = code === ExitCode.PORT_OUT || code === ExitCode.MMIO_WRITE ? exitBytes(engine) : "";
  return [codeName(code), where, bytes].filter((part) => part !== "").join(" ");
}

/** The bytes of the access, in memory order. */
export function exitBytes(engine: KvmEngine): string {
  const { data, offset, size, count } = engine.exit;
  return Array.from(
    { length: size * count },
    (_, i) => data.getUint8(offset + i).toString(16).padStart(2, "0"),
  ).join(" ");
}

/** Answers a read. */
export function answer(engine: KvmEngine, bytes: readonly number[]): void {
  const { data, offset } = engine.exit;
  bytes.forEach((byte, i) => data.setUint8(offset + i, byte));
}

/** Little-endian bytes of `value`. */
export function le(value: number | bigint, size: number): number[] {
  const wide = BigInt.asUintN(64, BigInt(value));
  return Array.from({ length: size }, (_, i) => Number(wide >> BigInt(8 * i) & 0xffn));
}
