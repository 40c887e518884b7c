/** Puts a WebAssembly module together (WebAssembly core 2.0 §5.5). */

import { PRIVATE_PAGES } from "../tlb.ts";
import { CodeWriter } from "./code_writer.ts";
import { Type } from "./opcodes.ts";

/** Section numbers. */
const Section = {
  CUSTOM: 0,
  TYPE: 1,
  IMPORT: 2,
  FUNCTION: 3,
  EXPORT: 7,
  ELEMENT: 9,
  CODE: 10,
} as const;
/** Kinds of imports and exports. */
const Kind = { FUNCTION: 0, TABLE: 1, MEMORY: 2 } as const;
const FUNCTION_TYPE = 0x60;
const FUNCREF = 0x70;
/** A branch hint. */
const UNLIKELY = 0;
/** Limits of a memory: a maximum follows; it is shared. */
const BOUNDED = 1;
const SHARED = 2;
/** Pages at most of a 32-bit memory. */
const MAX_PAGES = 65536;

/** A function's type. */
export interface Signature {
  readonly params: readonly Type[];
  readonly results: readonly Type[];
}

/** A function's code. */
export interface FunctionCode {
  /** Index of its type. */
  readonly type: number;
  /** Local variables beside the parameters: runs of one type. */
  readonly locals: readonly (readonly [count: number, type: Type])[];
  /** Instructions, with their last END. */
  readonly code: Uint8Array;
  /** Positions in it of the IFs whose condition hardly ever holds, in rising order. */
  readonly unlikely?: readonly number[];
  /** Exported by this name. */
  readonly name?: string;
}

/** What a module of the translator's consists of. All import the same memories and the table. */
export interface ModuleParts {
  readonly types: readonly Signature[];
  /** Imported functions: names and indices of their types. */
  readonly imports: readonly (readonly [name: string, type: number])[];
  readonly functions: readonly FunctionCode[];
  /** Where the functions go in the table; undefined: nowhere. */
  readonly tableBase?: number;
}

/** Name of the namespace of all imports. */
export const NAMESPACE = "e";
/** Names of the imported memories and of the table of functions. */
export const PRIVATE_NAME = "private";
export const RAM_NAME = "ram";
export const TABLE_NAME = "table";

/** The bytes of a module. */
export function writeModule(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const { types, imports, functions, tableBase } = parts;
  return new ModuleWriter(types, imports).write(functions, tableBase);
}

/** Writes modules of the same types and imports. */
export class ModuleWriter {
  /** What all of them begin with. */
  readonly #head: Uint8Array;
  readonly #imported: number;

  constructor(types: ModuleParts["types"], imports: ModuleParts["imports"]) {
    const out = new CodeWriter();
    out.append(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    writeTypes(out, types);
    writeImports(out, imports);
    this.#head = out.finish();
    this.#imported = imports.length;
  }

  /** The bytes of a module with these functions; see `ModuleParts`. */
  write(functions: readonly FunctionCode[], tableBase?: number): Uint8Array<ArrayBuffer> {
    const imported = this.#imported;
    const out = new CodeWriter();
    out.append(this.#head);
    section(out, Section.FUNCTION, functions, (into, { type }) => into.unsigned(type));
    const exported = functions.flatMap((code, index) =>
      code.name === undefined ? [] : [{ code, index }]
    );
    section(out, Section.EXPORT, exported, (into, { code, index }) => {
      name(into, code.name!);
      into.byte(Kind.FUNCTION);
      into.unsigned(imported + index);
    });
    if (tableBase !== undefined) {
      section(out, Section.ELEMENT, [tableBase], (into, base) => {
        into.byte(0);
        into.i32(base);
        into.end();
        into.unsigned(functions.length);
        for (let i = 0; i < functions.length; i++) into.unsigned(imported + i);
      });
    }
    const locals = functions.map(localsOf);
    branchHints(out, functions, locals, imported);
    section(out, Section.CODE, functions, (into, { code }, i) => {
      into.unsigned(locals[i].length + code.length);
      into.append(locals[i]);
      into.append(code);
    });
    return out.finish();
  }
}

function writeTypes(out: CodeWriter, types: ModuleParts["types"]): void {
  section(out, Section.TYPE, types, (into, { params, results }) => {
    into.byte(FUNCTION_TYPE);
    into.sized(new Uint8Array(params));
    into.sized(new Uint8Array(results));
  });
}

/** The memories, the table, and functions. */
function writeImports(out: CodeWriter, imports: ModuleParts["imports"]): void {
  const fixed: ((into: CodeWriter) => void)[] = [
    (into) => {
      name(into, PRIVATE_NAME);
      // V8 checks no access at a fixed place that each such memory has.
      into.append(new Uint8Array([Kind.MEMORY, BOUNDED]));
      into.unsigned(PRIVATE_PAGES);
      into.unsigned(PRIVATE_PAGES);
    },
    (into) => {
      name(into, RAM_NAME);
      into.append(new Uint8Array([Kind.MEMORY, BOUNDED | SHARED, 1]));
      into.unsigned(MAX_PAGES);
    },
    (into) => {
      name(into, TABLE_NAME);
      into.append(new Uint8Array([Kind.TABLE, FUNCREF, 0, 0]));
    },
  ];
  const entries = [
    ...fixed,
    ...imports.map(([text, type]) => (into: CodeWriter) => {
      name(into, text);
      into.byte(Kind.FUNCTION);
      into.unsigned(type);
    }),
  ];
  section(out, Section.IMPORT, entries, (into, write) => {
    name(into, NAMESPACE);
    write(into);
  });
}

/** The declarations of local variables. */
function localsOf({ locals }: FunctionCode): Uint8Array {
  const into = new CodeWriter();
  into.unsigned(locals.length);
  for (const [count, type] of locals) {
    into.unsigned(count);
    into.byte(type);
  }
  return into.finish();
}

/** Which branches are not likely to be taken (WebAssembly branch hinting, "Binary Format"). */
function branchHints(
  out: CodeWriter,
  functions: readonly FunctionCode[],
  locals: readonly Uint8Array[],
  firstIndex: number,
): void {
  const body = new CodeWriter();
  name(body, "metadata.code.branch_hint");
  body.unsigned(functions.length);
  functions.forEach(({ unlikely = [] }, i) => {
    body.unsigned(firstIndex + i);
    body.unsigned(unlikely.length);
    for (const position of unlikely) {
      // Positions count from the declarations of local variables on.
      body.unsigned(locals[i].length + position);
      body.byte(1); // bytes of a hint
      body.byte(UNLIKELY);
    }
  });
  out.byte(Section.CUSTOM);
  out.section(body);
}

/** A section that is a list. */
function section<T>(
  out: CodeWriter,
  number: number,
  items: readonly T[],
  write: (into: CodeWriter, item: T, position: number) => void,
): void {
  if (items.length === 0) return;
  const body = new CodeWriter();
  body.unsigned(items.length);
  items.forEach((item, position) => write(body, item, position));
  out.byte(number);
  out.section(body);
}

const encoder = new TextEncoder();

function name(into: CodeWriter, text: string): void {
  into.sized(encoder.encode(text));
}
