/**
 * The ring-3 program that runs a batch: for each case it loads the state, jumps to the case's code
 * and stores the state that comes back, and the ring-0 handlers that send exceptions to it.
 */

import { Assembler } from "./assembler.ts";
import { At, BASE, End, FS_BASE, GS_HIGH, GS_LOW, In, Out, OUT_TOP, Selector } from "./layout.ts";

/** The driver's variables, 8 bytes each: linear addresses. */
const variable = (index: number) => BASE + At.VARIABLES + index * 8;
/** The current case's input, and the top of its output. */
export const IN_POINTER = variable(0);
export const OUT_POINTER = variable(1);
/** Cases left. */
export const COUNT = variable(2);
const RSP = variable(3);
const CODE = variable(4);
/** The address of the driver in 64-bit code for far jumps from other code: offset and selector. */
export const BACK = variable(5);
export const BACK_TAKEN = variable(6);

/** Where exceptions push: from here down SS, RSP, RFLAGS, CS, RIP, error code, vector, RAX, CR2. */
export const STACK_TOP = BASE + At.KERNEL_STACK + 0xff0;
const pushed = (word: number) => STACK_TOP - 8 * word;

export const DONE_PORT = 0xeb;
/** Vectors that have a handler. */
export const VECTORS = 32;
/** Bytes between two handlers. */
export const STUB_BYTES = 16;

/** Vectors that push an error code (SDM 3A table 6-1). */
const WITH_CODE = [8, 10, 11, 12, 13, 14, 17, 21];

/** Driver code that loads a case's state: general registers alone, or x87 and SSE state first. */
export interface Driver {
  readonly code: Uint8Array;
  /** Runs a batch. */
  readonly start: number;
  readonly load: number;
  readonly loadFx: number;
  /** The same for code that is not 64-bit code. */
  readonly loadFar: number;
  readonly loadFxFar: number;
  /** Sets FS and GS bases first; then as `loadFx`. */
  readonly loadBases: number;
  readonly store: number;
  readonly storeFx: number;
  /** Where cases jump to at their end, and from their landing place. */
  readonly back: number;
  readonly backTaken: number;
  /** Where exception handlers return to. */
  readonly fault: number;
}

/** PUSHFQ, then the registers from R15 down; RSP's value comes from memory. */
function pushAll(a: Assembler, rsp: number): void {
  a.emit(0x9c);
  for (let r = 15; r >= 8; r--) a.emit(0x41, 0x50 + r - 8);
  for (let r = 7; r >= 0; r--) {
    if (r === 4) a.rip(rsp, 0xff, 0x35);
    else a.emit(0x50 + r);
  }
  // Flags as the driver wants them: PUSH 2; POPFQ. The stack grows over what is pushed next.
  a.emit(0x6a, 0x02, 0x9d);
}

function popAll(a: Assembler): void {
  for (let r = 0; r < 8; r++) {
    if (r === 4) a.rip(RSP, 0x8f, 0x05);
    else a.emit(0x58 + r);
  }
  for (let r = 8; r < 16; r++) a.emit(0x41, 0x58 + r - 8);
  a.rip(CODE, 0x8f, 0x05);
  a.emit(0x9d); // popfq
  a.rip(RSP, 0x48, 0x8b, 0x25); // mov rsp, [RSP]
}

/** FXRSTOR64 [rsp + FX] */
const loadFx = (a: Assembler) => a.emit(0x48, 0x0f, 0xae, 0x8c, 0x24).emit32(In.FX);

/** FS and GS bases as 64-bit code wants them. */
function loadBases(a: Assembler): void {
  a.emit(0xb8).emit32(FS_BASE); // mov eax
  a.emit(0xf3, 0x48, 0x0f, 0xae, 0xd0); // wrfsbase rax
  a.emit(0x48, 0xb8).emit32(GS_LOW).emit32(GS_HIGH); // mov rax
  a.emit(0xf3, 0x48, 0x0f, 0xae, 0xd8); // wrgsbase rax
}

/** Assembles the driver. */
export function driver(): Driver {
  const a = new Assembler(BASE + At.DRIVER);
  a.label("start");
  a.rip(IN_POINTER, 0x48, 0x8b, 0x25); // mov rsp, [IN_POINTER]
  a.emit(0xff, 0xa4, 0x24).emit32(In.LOAD); // jmp [rsp + LOAD]

  a.label("loadBases");
  loadBases(a);
  a.label("loadFx");
  loadFx(a);
  a.label("load");
  popAll(a);
  a.rip(CODE, 0xff, 0x25); // jmp [CODE]

  a.label("loadFxFar");
  loadFx(a);
  a.label("loadFar");
  popAll(a);
  a.rip(CODE, 0xff, 0x2d); // jmp far [CODE]

  for (const [label, end] of [["back", End.FALLEN_THROUGH], ["backTaken", End.TAKEN]] as const) {
    a.label(label);
    a.rip(RSP, 0x48, 0x89, 0x25); // mov [RSP], rsp
    a.rip(OUT_POINTER, 0x48, 0x8b, 0x25); // mov rsp, [OUT_POINTER]
    pushAll(a, RSP);
    a.emit(0x6a, end); // push
    a.to("stored", 0xe9);
  }

  a.label("fault");
  a.rip(OUT_POINTER, 0x48, 0x8b, 0x25);
  pushAll(a, pushed(2));
  a.emit(0x6a, End.EXCEPTION);
  for (const word of [3, 4, 5, 6, 7, 9]) a.rip(pushed(word), 0xff, 0x35); // push [...]

  a.label("stored");
  a.rip(IN_POINTER, 0x4c, 0x8b, 0x35); // mov r14, [IN_POINTER]
  a.rip(OUT_POINTER, 0x4c, 0x8b, 0x3d); // mov r15, [OUT_POINTER]
  a.emit(0x41, 0xff, 0xa6).emit32(In.STORE); // jmp [r14 + STORE]
  a.label("storeFx");
  a.emit(0x49, 0x0f, 0xae, 0x87).emit32(Out.FX - OUT_TOP); // fxsave64 [r15 + FX]
  a.emit(0xf3, 0x48, 0x0f, 0xae, 0xc0); // rdfsbase rax
  a.emit(0x49, 0x89, 0x87).emit32(Out.FS_BASE - OUT_TOP); // mov [r15 + FS_BASE], rax
  a.emit(0xf3, 0x48, 0x0f, 0xae, 0xc8); // rdgsbase rax
  a.emit(0x49, 0x89, 0x87).emit32(Out.GS_BASE - OUT_TOP);
  a.label("store");
  a.emit(0x49, 0x81, 0xc6).emit32(In.SIZE); // add r14
  a.emit(0x49, 0x81, 0xc7).emit32(Out.SIZE); // add r15
  a.rip(IN_POINTER, 0x4c, 0x89, 0x35);
  a.rip(OUT_POINTER, 0x4c, 0x89, 0x3d);
  a.rip(COUNT, 0x48, 0xff, 0x0d); // dec qword [COUNT]
  a.to("start", 0x0f, 0x85); // jnz
  a.emit(0x0f, 0x0b); // ud2, with no cases left: the end
  const at = (label: string) => a.address(label);
  return {
    code: a.finish(),
    start: at("start"),
    load: at("load"),
    loadFx: at("loadFx"),
    loadFar: at("loadFar"),
    loadFxFar: at("loadFxFar"),
    loadBases: at("loadBases"),
    store: at("store"),
    storeFx: at("storeFx"),
    back: at("back"),
    backTaken: at("backTaken"),
    fault: at("fault"),
  };
}

/**
 * The ring-0 handlers, `STUB_BYTES` apart. They leave the processor's frame, error code, vector and
 * CR2 on the stack, where ring 3 reads them, and return to `fault` with the registers as they were.
 */
export function stubs(fault: number): Uint8Array {
  const code = new Uint8Array(VECTORS * STUB_BYTES + 64);
  const common = BASE + At.STUBS + VECTORS * STUB_BYTES;
  for (let vector = 0; vector < VECTORS; vector++) {
    const stub = new Assembler(BASE + At.STUBS + vector * STUB_BYTES);
    if (!WITH_CODE.includes(vector)) stub.emit(0x6a, 0);
    stub.emit(0x6a, vector);
    stub.rip(common, 0xe9);
    code.set(stub.finish(), vector * STUB_BYTES);
  }
  const a = new Assembler(common);
  a.emit(0x50); // push rax
  a.emit(0x0f, 0x20, 0xd0); // mov rax, cr2
  a.emit(0x50);
  a.rip(COUNT, 0x48, 0x8b, 0x05); // mov rax, [COUNT]
  a.emit(0x48, 0x85, 0xc0); // test rax, rax
  a.to("done", 0x0f, 0x84);
  a.emit(0x48, 0x8b, 0x44, 0x24, 0x08); // mov rax, [rsp + 8]
  a.emit(0x6a, Selector.USER_DATA);
  a.emit(0x6a, 0); // RSP: the driver takes its own
  a.emit(0x68).emit32(0x202);
  a.emit(0x6a, Selector.USER_CODE64);
  a.emit(0x68).emit32(fault);
  a.emit(0x48, 0xcf); // iretq
  a.label("done");
  a.emit(0xe6, DONE_PORT, 0xf4); // out; hlt
  code.set(a.finish(), VECTORS * STUB_BYTES);
  return code;
}
