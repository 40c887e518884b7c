/**
 * The guest walk once more: slow, in bigints, each paging mode written down by itself from the
 * manual (SDM 3A chapter 4, SDM 3C §28.3, APM 2 chapter 5). It shares no code with src/mmu/; what
 * the two agree on, two readings of the manual agree on.
 */

/** Physical memory as the reference sees it. */
export interface ReferenceMemory {
  /** Little-endian value of `bytes` bytes; undefined where there is no memory. */
  read(address: bigint, bytes: number): bigint | undefined;
  write(address: bigint, bytes: number, value: bigint): void;
  /** False for read-only memory. */
  writable(address: bigint): boolean;
  /**
   * For a nested guest, whose addresses are translated once more: translates that of the page. All
   * the methods throw what they like when that second translation refuses an address.
   */
  translatePage?(address: bigint, kind: ReferenceAccess["kind"]): bigint;
}

/** The control registers and CPUID answers that a translation depends on, by the manual's names. */
export interface ReferenceCpu {
  readonly cr0: { readonly PG: boolean; readonly WP: boolean };
  readonly cr4: {
    readonly PSE: boolean;
    readonly PAE: boolean;
    readonly LA57: boolean;
    readonly SMEP: boolean;
    readonly SMAP: boolean;
    readonly PKE: boolean;
  };
  readonly efer: { readonly LMA: boolean; readonly NXE: boolean };
  readonly cr3: bigint;
  readonly pkru: bigint;
  /** The four PDPTE registers of PAE paging. */
  readonly pdpte: readonly bigint[];
  readonly MAXPHYADDR: bigint;
  readonly page1GB: boolean;
  readonly amd: boolean;
}

/** An EPT pointer and what the VMX capability MSR says. */
export interface ReferenceEpt {
  readonly root: bigint;
  readonly levels: 4 | 5;
  readonly accessedDirty: boolean;
  readonly executeOnly: boolean;
  readonly page1GB: boolean;
  readonly MAXPHYADDR: bigint;
}

/** One access. */
export interface ReferenceAccess {
  readonly kind: "read" | "write" | "fetch";
  readonly cpl: number;
  /** Of a descriptor table or TSS by the CPU itself. */
  readonly implicit: boolean;
  /** EFLAGS.AC. */
  readonly ac: boolean;
}

/** The answer: a physical address, or a page fault's (for EPT, a violation's) error code. */
export type ReferenceAnswer =
  | { readonly address: bigint; readonly pageBits: number }
  | { readonly errorCode: bigint };

/** Bits `last` down to `first` of `value`, moved down to bit 0. */
function bits(value: bigint, last: number, first: number): bigint {
  return (value >> BigInt(first)) & ((1n << BigInt(last - first + 1)) - 1n);
}

function bit(value: bigint, n: number): boolean {
  return bits(value, n, n) === 1n;
}

/** An entry that the translation used: where it is, and what it holds. */
interface Used {
  readonly address: bigint;
  readonly bytes: 4 | 8;
  readonly value: bigint;
}

class PageFault {
  constructor(readonly present: boolean, readonly reserved: boolean, readonly key = false) {}
}

/** The translation of a walk that reached its leaf. */
interface Reached {
  readonly used: readonly Used[];
  readonly address: bigint;
  readonly pageBits: number;
}

/** Translates `linear` and sets the flags that the CPU would set. */
export function referenceWalk(
  cpu: ReferenceCpu,
  memory: ReferenceMemory,
  linear: bigint,
  access: ReferenceAccess,
): ReferenceAnswer {
  if (!cpu.cr0.PG) return { address: bits(linear, 31, 0), pageBits: 32 };
  try {
    const reached = reach(cpu, memory, linear);
    checkRights(cpu, reached.used, access);
    const address = memory.translatePage?.(reached.address, access.kind) ?? reached.address;
    for (const [index, entry] of reached.used.entries()) {
      const leaf = index === reached.used.length - 1;
      let value = entry.value | 1n << 5n; // accessed
      if (leaf && access.kind === "write") value |= 1n << 6n; // dirty
      if (value !== entry.value && memory.writable(entry.address)) {
        memory.write(entry.address, entry.bytes, value);
      }
    }
    return { address, pageBits: reached.pageBits };
  } catch (fault) {
    if (!(fault instanceof PageFault)) throw fault;
    return { errorCode: errorCode(cpu, access, fault) };
  }
}

function reach(cpu: ReferenceCpu, memory: ReferenceMemory, linear: bigint): Reached {
  if (!cpu.cr4.PAE) return reach32(cpu, memory, linear);
  if (!cpu.efer.LMA) return reachPae(cpu, memory, linear);
  return reachLong(cpu, memory, linear);
}

/** Reads an entry; one outside memory reads as not present. */
function load(memory: ReferenceMemory, address: bigint, bytes: 4 | 8): Used {
  const value = memory.read(address, bytes);
  if (value === undefined) throw new PageFault(false, false);
  if (!bit(value, 0)) throw new PageFault(false, false);
  return { address, bytes, value };
}

function reserved(value: bigint, last: number, first: number): void {
  if (last >= first && bits(value, last, first) !== 0n) throw new PageFault(true, true);
}

/** 32-bit paging (SDM 3A §4.3, tables 4-3 to 4-6, figures 4-2 and 4-3). */
function reach32(cpu: ReferenceCpu, memory: ReferenceMemory, linear: bigint): Reached {
  // "Bits 31:12 are from CR3. Bits 11:2 are bits 31:22 of the linear address. Bits 1:0 are 0."
  const pde = load(memory, bits(cpu.cr3, 31, 12) << 12n | bits(linear, 31, 22) << 2n, 4);
  if (cpu.cr4.PSE && bit(pde.value, 7)) {
    const M = cpu.MAXPHYADDR < 40n ? Number(cpu.MAXPHYADDR) : 40;
    reserved(pde.value, 21, M - 19);
    // "Bits 39:32 are bits 20:13 of the PDE. Bits 31:22 are bits 31:22 of the PDE. Bits 21:0 are
    // from the original linear address."
    const address = bits(pde.value, 20, 13) << 32n | bits(pde.value, 31, 22) << 22n |
      bits(linear, 21, 0);
    return { used: [pde], address, pageBits: 22 };
  }
  const pte = load(memory, bits(pde.value, 31, 12) << 12n | bits(linear, 21, 12) << 2n, 4);
  const address = bits(pte.value, 31, 12) << 12n | bits(linear, 11, 0);
  return { used: [pde, pte], address, pageBits: 12 };
}

/** PAE paging (SDM 3A §4.4.2, tables 4-9 to 4-11, figures 4-5 and 4-6). */
function reachPae(cpu: ReferenceCpu, memory: ReferenceMemory, linear: bigint): Reached {
  const M = Number(cpu.MAXPHYADDR);
  const pdpte = cpu.pdpte[Number(bits(linear, 31, 30))];
  if (!bit(pdpte, 0)) throw new PageFault(false, false);
  const check = (entry: Used) => {
    reserved(entry.value, 62, M);
    if (!cpu.efer.NXE) reserved(entry.value, 63, 63);
  };
  const pde = load(memory, bits(pdpte, 51, 12) << 12n | bits(linear, 29, 21) << 3n, 8);
  check(pde);
  if (bit(pde.value, 7)) {
    reserved(pde.value, 20, 13);
    const address = bits(pde.value, 51, 21) << 21n | bits(linear, 20, 0);
    return { used: [pde], address, pageBits: 21 };
  }
  const pte = load(memory, bits(pde.value, 51, 12) << 12n | bits(linear, 20, 12) << 3n, 8);
  check(pte);
  const address = bits(pte.value, 51, 12) << 12n | bits(linear, 11, 0);
  return { used: [pde, pte], address, pageBits: 12 };
}

/** 4-level and 5-level paging (SDM 3A §4.5.4, tables 4-14 to 4-20, figures 4-8 to 4-10). */
function reachLong(cpu: ReferenceCpu, memory: ReferenceMemory, linear: bigint): Reached {
  const M = Number(cpu.MAXPHYADDR);
  const used: Used[] = [];
  const next = (table: bigint, last: number, first: number): bigint => {
    const entry = load(memory, table | bits(linear, last, first) << 3n, 8);
    reserved(entry.value, 51, M);
    if (!cpu.efer.NXE) reserved(entry.value, 63, 63);
    used.push(entry);
    return entry.value;
  };
  const table = (entry: bigint) => bits(entry, 51, 12) << 12n;
  let root = bits(cpu.cr3, 51, 12) << 12n;
  if (cpu.cr4.LA57) {
    const pml5e = next(root, 56, 48);
    reserved(pml5e, 7, 7);
    if (cpu.amd) reserved(pml5e, 8, 8); // APM 2 §5.3.3: must be zero
    root = table(pml5e);
  }
  const pml4e = next(root, 47, 39);
  reserved(pml4e, 7, 7);
  if (cpu.amd) reserved(pml4e, 8, 8);
  const pdpte = next(table(pml4e), 38, 30);
  if (bit(pdpte, 7)) {
    if (!cpu.page1GB) throw new PageFault(true, true);
    reserved(pdpte, 29, 13);
    return { used, address: bits(pdpte, 51, 30) << 30n | bits(linear, 29, 0), pageBits: 30 };
  }
  const pde = next(table(pdpte), 29, 21);
  if (bit(pde, 7)) {
    reserved(pde, 20, 13);
    return { used, address: bits(pde, 51, 21) << 21n | bits(linear, 20, 0), pageBits: 21 };
  }
  const pte = next(table(pde), 20, 12);
  return { used, address: bits(pte, 51, 12) << 12n | bits(linear, 11, 0), pageBits: 12 };
}

/** Access rights (SDM 3A §4.6.1) and protection keys (§4.6.2); throws the fault. */
function checkRights(cpu: ReferenceCpu, used: readonly Used[], access: ReferenceAccess): void {
  const userMode = access.cpl === 3 && !access.implicit;
  const userAddress = used.every(({ value }) => bit(value, 2));
  const writable = used.every(({ value }) => bit(value, 1));
  const executable = !used.some(({ bytes, value }) => bytes === 8 && bit(value, 63));
  const WP = cpu.cr0.WP;
  const explicitWithAc = !access.implicit && access.ac;
  let allowed: boolean;
  if (!userMode) {
    switch (access.kind) {
      case "read":
        // "Data may be read (implicitly or explicitly) from any supervisor-mode address."
        if (!userAddress) allowed = true;
        else allowed = !cpu.cr4.SMAP || explicitWithAc;
        break;
      case "write":
        if (!userAddress) allowed = !WP || writable;
        else if (!cpu.cr4.SMAP || explicitWithAc) allowed = !WP || writable;
        else allowed = false;
        break;
      case "fetch":
        if (!userAddress) allowed = !cpu.efer.NXE || executable;
        else if (cpu.cr4.SMEP) allowed = false;
        else allowed = !cpu.efer.NXE || executable;
        break;
    }
  } else {
    switch (access.kind) {
      case "read":
        allowed = userAddress;
        break;
      case "write":
        allowed = userAddress && writable;
        break;
      case "fetch":
        allowed = userAddress && (!cpu.efer.NXE || executable);
        break;
    }
  }
  let keyRefuses = false;
  if (cpu.cr4.PKE && cpu.efer.LMA && userAddress && access.kind !== "fetch") {
    const key = Number(bits(used[used.length - 1].value, 62, 59));
    const AD = bit(cpu.pkru, 2 * key);
    const WD = bit(cpu.pkru, 2 * key + 1);
    // "If ADi = 1, no data accesses are permitted. If WDi = 1, permission may be denied to certain
    // data write accesses: user-mode write accesses are not permitted; supervisor-mode write
    // accesses are not permitted if CR0.WP = 1."
    keyRefuses = AD || WD && access.kind === "write" && (userMode || WP);
  }
  if (!allowed || keyRefuses) throw new PageFault(true, false, keyRefuses);
}

/** The error code (SDM 3A §4.7, figure 4-12). */
function errorCode(cpu: ReferenceCpu, access: ReferenceAccess, fault: PageFault): bigint {
  const nxInUse = cpu.cr4.PAE && cpu.efer.NXE;
  let code = 0n;
  if (fault.present) code |= 1n << 0n;
  if (access.kind === "write") code |= 1n << 1n;
  if (access.cpl === 3 && !access.implicit) code |= 1n << 2n;
  if (fault.reserved) code |= 1n << 3n;
  if (access.kind === "fetch" && (cpu.cr4.SMEP || nxInUse)) code |= 1n << 4n;
  if (fault.key) code |= 1n << 5n;
  return code;
}

/** PDPTEs as MOV to CR3 loads them (SDM 3A §4.4.1); undefined when it raises #GP. */
export function referencePdptes(
  cr3: bigint,
  memory: ReferenceMemory,
  MAXPHYADDR: bigint,
): bigint[] | undefined {
  const pdptes: bigint[] = [];
  for (let i = 0n; i < 4n; i++) {
    const value = memory.read((bits(cr3, 31, 5) << 5n) + i * 8n, 8);
    if (value === undefined) return undefined;
    if (bit(value, 0)) {
      const wide = bits(value, 63, Number(MAXPHYADDR)) !== 0n;
      if (wide || bits(value, 8, 5) !== 0n || bits(value, 2, 1) !== 0n) return undefined;
    }
    pdptes.push(value);
  }
  return pdptes;
}

/**
 * Translates a guest physical address through EPT (SDM 3C §28.3.2, tables 28-1 to 28-6, and
 * §28.3.3). A misconfiguration is told as error code 9 with the access, a violation as 0 or 1 with it.
 */
export function referenceEptWalk(
  ept: ReferenceEpt,
  memory: ReferenceMemory,
  guest: bigint,
  kind: ReferenceAccess["kind"],
): ReferenceAnswer {
  const code = (present: boolean, misconfigured: boolean): ReferenceAnswer => ({
    errorCode: (present ? 1n : 0n) | (misconfigured ? 8n : 0n) |
      (kind === "write" ? 2n : 0n) | (kind === "fetch" ? 16n : 0n),
  });
  if (bits(guest, 63, ept.levels === 4 ? 48 : 57) !== 0n) return code(false, false);
  const used: Used[] = [];
  let table = bits(ept.root, 51, 12) << 12n;
  let answer: { address: bigint; pageBits: number } | undefined;
  for (let level = ept.levels as number; answer === undefined; level--) {
    const first = 12 + 9 * (level - 1);
    const address = table | bits(guest, first + 8, first) << 3n;
    const value = memory.read(address, 8);
    if (value === undefined || bits(value, 2, 0) === 0n) return code(false, false);
    if (isMisconfigured(ept, value, level)) return code(true, true);
    used.push({ address, bytes: 8, value });
    const leaf = level === 1 || level <= 3 && bit(value, 7);
    if (leaf) {
      const page = bits(value, 51, first) << BigInt(first);
      answer = { address: page | bits(guest, first - 1, 0), pageBits: first };
    } else table = bits(value, 51, 12) << 12n;
  }
  const right = kind === "read" ? 0 : kind === "write" ? 1 : 2;
  if (!used.every(({ value }) => bit(value, right))) return code(true, false);
  if (ept.accessedDirty) {
    for (const [index, entry] of used.entries()) {
      let value = entry.value | 1n << 8n;
      if (index === used.length - 1 && kind === "write") value |= 1n << 9n;
      if (value !== entry.value && memory.writable(entry.address)) {
        memory.write(entry.address, 8, value);
      }
    }
  }
  return answer;
}

/** EPT misconfigurations (SDM 3C §28.3.3.1) and the reserved bits of the tables of §28.3.2. */
function isMisconfigured(ept: ReferenceEpt, value: bigint, level: number): boolean {
  const [R, W, X] = [bit(value, 0), bit(value, 1), bit(value, 2)];
  if (!R && W) return true; // write-only, or write and execute
  if (!R && X && !ept.executeOnly) return true;
  const M = Number(ept.MAXPHYADDR);
  if (M < 52 && bits(value, 51, M) !== 0n) return true;
  const leaf = level === 1 || level <= 3 && bit(value, 7);
  if (leaf) {
    if ([2n, 3n, 7n].includes(bits(value, 5, 3))) return true;
    if (level === 3 && !ept.page1GB) return true;
    if (level === 3 && bits(value, 29, 12) !== 0n) return true;
    if (level === 2 && bits(value, 20, 12) !== 0n) return true;
    return false;
  }
  return bits(value, level >= 4 ? 7 : 6, 3) !== 0n;
}
