/**
 * Layouts of C structures, by the rules of the x86-64 psABI §3.1.2: a member is aligned to its own
 * alignment, a structure to that of its widest member. A layout is declared once, with C's names,
 * and a test compares it with what the C compiler says.
 */

/** A type with a fixed size: a number, an array, a structure or a union. */
export interface CType {
  /** In bytes. */
  readonly size: number;
  /** In bytes, a power of two. */
  readonly alignment: number;
  /** Members of a structure or union, in order. */
  readonly members: readonly CMember[];
}

/** A member; an empty name makes a structure or union anonymous: its members are the parent's. */
export interface CMember {
  readonly name: string;
  /** In bytes from the start of the structure. */
  readonly offset: number;
  readonly type: CType;
}

const scalar = (size: number): CType => ({ size, alignment: size, members: [] });

export const u8 = scalar(1);
export const u16 = scalar(2);
export const u32 = scalar(4);
export const u64 = scalar(8);

/** `count` elements one after the other; 0 for a flexible array member. */
export function array(element: CType, count: number): CType {
  return { size: element.size * count, alignment: element.alignment, members: [] };
}

/** A structure with members in the given order. */
export function struct(members: Readonly<Record<string, CType>>): CType {
  return lay(members, (end, type) => padTo(end, type.alignment));
}

/** A structure without padding (`__attribute__((packed))`). */
export function packedStruct(members: Readonly<Record<string, CType>>): CType {
  return { ...lay(members, (end) => end, 1), alignment: 1 };
}

/** A union: every member at offset 0. */
export function union(members: Readonly<Record<string, CType>>): CType {
  return lay(members, () => 0);
}

/**
 * Offset in bytes of a member by its C path, such as `io.data_offset`.
 * @throws RangeError when there is no such member.
 */
export function offsetOf(type: CType, path: string): number {
  return resolve(type, path).offset;
}

/** Size in bytes of a member by its C path. */
export function sizeOf(type: CType, path: string): number {
  return resolve(type, path).type.size;
}

/** Every named member at every depth, with its C path and its offset from the start of `type`. */
export function* membersOf(type: CType, prefix = "", base = 0): Generator<CMember> {
  for (const member of type.members) {
    const name = member.name === ""
      ? prefix
      : prefix === ""
      ? member.name
      : `${prefix}.${member.name}`;
    const offset = base + member.offset;
    if (member.name !== "") yield { name, offset, type: member.type };
    yield* membersOf(member.type, name, offset);
  }
}

function resolve(type: CType, path: string): CMember {
  for (const member of membersOf(type)) if (member.name === path) return member;
  throw new RangeError(`Cannot find member ${path} in the structure`);
}

function lay(
  members: Readonly<Record<string, CType>>,
  place: (end: number, type: CType) => number,
  forcedAlignment?: number,
): CType {
  const placed: CMember[] = [];
  let end = 0;
  let size = 0;
  let alignment = 1;
  for (const [name, type] of Object.entries(members)) {
    const offset = place(end, type);
    placed.push({ name, offset, type });
    end = offset + type.size;
    size = Math.max(size, end);
    alignment = Math.max(alignment, type.alignment);
  }
  return { size: padTo(size, forcedAlignment ?? alignment), alignment, members: placed };
}

/** The smallest multiple of `alignment` that is not below `offset`. */
function padTo(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
