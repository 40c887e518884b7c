/**
 * The CPUID table as data, and the parts of it that are the same on every engine: the topology of
 * `--cpus` and the hypervisor's leaves. Leaves cite SDM 2A "CPUID" and APM 3 appendix E.
 */

/** What CPUID returns for one leaf (and subleaf, where `indexed`). */
export interface CpuidLeaf {
  readonly leaf: number;
  readonly subleaf: number;
  /** ECX selects among subleaves. */
  readonly indexed: boolean;
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** The entry for `leaf` and `subleaf`, or undefined. */
export function findLeaf(
  table: readonly CpuidLeaf[],
  leaf: number,
  subleaf = 0,
): CpuidLeaf | undefined {
  return table.find((e) => e.leaf === leaf && (!e.indexed || e.subleaf === subleaf));
}

/** A copy of `table` that describes vCPU `index` of `cpus`: one package, one thread a core. */
export function withTopology(
  table: readonly CpuidLeaf[],
  index: number,
  cpus: number,
): CpuidLeaf[] {
  const maxBasic = findLeaf(table, 0)?.eax ?? 0;
  const copy = table.filter((e) => e.leaf !== 0xb && e.leaf !== 0x1f).map((e) => ({ ...e }));
  /** Bits of an APIC id that number the cores. */
  const idBits = Math.ceil(Math.log2(cpus));
  const ids = 1 << idBits;
  const amd = isAmd(table);
  for (const entry of copy) {
    switch (entry.leaf) {
      case 0x1: // EBX 31:24 initial APIC id, 23:16 addressable ids in the package; EDX 28 HTT
        entry.ebx = (entry.ebx & 0xffff | Math.min(ids, 0xff) << 16 | (index & 0xff) << 24) >>> 0;
        entry.edx = setBit(entry.edx, 28, cpus > 1);
        break;
      case 0x4: // Intel's caches: EAX 31:26 core ids in the package - 1, 25:14 ids sharing it - 1
        if ((entry.eax & 0x1f) !== 0) {
          const cores = Math.min(ids, 64) - 1;
          entry.eax = (entry.eax & 0x3fff | sharers(entry, ids) << 14 | cores << 26) >>> 0;
        }
        break;
      case 0x8000_0001: // ECX 1 CmpLegacy: HTT means cores
        if (amd) entry.ecx = setBit(entry.ecx, 1, cpus > 1);
        break;
      case 0x8000_0008: // ECX 7:0 cores - 1, 15:12 bits of the APIC id that number them
        if (amd) entry.ecx = (entry.ecx & 0xffff_0f00 | (cpus - 1) & 0xff | idBits << 12) >>> 0;
        break;
      case 0x8000_001d: // AMD's caches: EAX 25:14 cores sharing it - 1
        if ((entry.eax & 0x1f) !== 0) {
          entry.eax = (entry.eax & 0xfc00_3fff | sharers(entry, cpus) << 14) >>> 0;
        }
        break;
      case 0x8000_001e: // EAX extended APIC id, EBX core id and threads a core - 1, ECX node
        entry.eax = index;
        entry.ebx = index & 0xff;
        entry.ecx = 0;
        break;
    }
  }
  for (const leaf of [0xb, 0x1f]) {
    if (maxBasic >= leaf) copy.push(...extendedTopology(leaf, index, cpus, idBits));
  }
  return copy;
}

/** What a hypervisor tells its guest about itself. */
export interface HypervisorInfo {
  /** 12 characters, in EBX, ECX, EDX of leaf 0x40000000. */
  readonly signature: string;
  /** EAX of leaf 0x40000001: paravirtual features, by the signature's conventions. */
  readonly features: number;
  /** EDX of leaf 0x40000001: hints. */
  readonly hints: number;
  /** Frequency of the time-stamp counter, in kHz; 0 when it is not known. */
  readonly tscKhz: number;
  /** Frequency of the local APIC timer, in kHz. */
  readonly apicKhz: number;
}

/**
 * The hypervisor's leaves. 0x40000010 holds the TSC's and the APIC timer's frequency by a convention
 * that VMware began and Linux, FreeBSD and QEMU share; with it a guest need not calibrate.
 */
export function hypervisorLeaves(info: HypervisorInfo): CpuidLeaf[] {
  const name = new DataView(new TextEncoder().encode(info.signature.padEnd(12, "\0")).buffer);
  const leaf = (number: number, eax: number, ebx = 0, ecx = 0, edx = 0): CpuidLeaf => ({
    ...{ leaf: number, subleaf: 0, indexed: false, eax, ebx, ecx, edx },
  });
  const words = [0, 4, 8].map((at) => name.getUint32(at, true));
  const features = leaf(0x4000_0001, info.features, 0, 0, info.hints);
  if (info.tscKhz === 0) return [leaf(0x4000_0000, features.leaf, ...words), features];
  const frequencies = leaf(0x4000_0010, info.tscKhz, info.apicKhz);
  return [leaf(0x4000_0000, frequencies.leaf, ...words), features, frequencies];
}

/** Leaves 0xB and 0x1F: level 0 is a thread (type 1), level 1 a core (type 2), level 2 ends the list. */
function extendedTopology(leaf: number, id: number, cpus: number, idBits: number): CpuidLeaf[] {
  const level = (subleaf: number, eax: number, ebx: number, type: number): CpuidLeaf => ({
    ...{ leaf, subleaf, indexed: true, eax, ebx, ecx: type << 8 | subleaf, edx: id },
  });
  return [level(0, 0, 1, 1), level(1, idBits, cpus, 2), level(2, 0, 0, 0)];
}

/** Ids that share a cache, less one: level 3 serves the package, the others one core. */
function sharers(entry: CpuidLeaf, ids: number): number {
  return (entry.eax >>> 5 & 7) >= 3 ? Math.min(ids - 1, 0xfff) : 0;
}

function isAmd(table: readonly CpuidLeaf[]): boolean {
  const ebx = findLeaf(table, 0)?.ebx;
  return ebx === 0x6874_7541 || ebx === 0x6f67_7948; // "Auth", "Hygo"
}

function setBit(value: number, bit: number, on: boolean): number {
  return (on ? value | 1 << bit : value & ~(1 << bit)) >>> 0;
}
