/**
 * Every error that denovisor raises on purpose. Callers branch on `code`; messages are for people:
 * what was being done, a colon, what was found and what was expected.
 */

/** Stable identifiers. A code may be added, never renamed. */
export type ErrorCode =
  /** The command line or an option is wrong; the process exits with 2. */
  | "usage"
  /** A file cannot be opened, read or written. */
  | "file"
  /** A kernel, initrd, firmware or other image is malformed or does not fit. */
  | "image"
  /** An access outside guest RAM. */
  | "memory-bounds"
  /** Guest memory of the asked size cannot be had. */
  | "memory-size"
  /** A memslot is unaligned, overlaps another or lies outside the guest's address space. */
  | "memslot"
  /** The MMU cannot resolve a fault. */
  | "mmu"
  /** Guest memory cannot be brought in, or is no longer: userfaultfd, or the pager's thread. */
  | "pager"
  /** KVM, the shim or a permission that KVM needs is missing. */
  | "kvm-unavailable"
  /** A KVM ioctl failed. */
  | "kvm"
  /** The network or a mirror did not give what was asked. */
  | "fetch"
  /** `expect` ran out of time. */
  | "expect-timeout"
  /** The guest ended while something waited for it. */
  | "guest-ended"
  /** The Vm has been stopped or disposed. */
  | "stopped"
  /** A defect of denovisor itself. */
  | "internal";

/** What the error is about: file, register, address, found and expected values. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint>>;

/** An error with a stable `code`; `message` is one line. */
export class DenovisorError extends Error {
  /** The class's name, as in every Error. */
  override readonly name = "DenovisorError";
  /** What callers branch on. */
  readonly code: ErrorCode;
  /** The values that the message names. */
  readonly details: ErrorDetails;

  /** An error; `cause` is what was thrown below it. */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  /** A plain object that survives structured cloning between workers. */
  toMessage(): ErrorMessage {
    return { code: this.code, message: this.message, details: this.details };
  }

  /** The inverse of `toMessage`. */
  static fromMessage(wire: ErrorMessage): DenovisorError {
    return new DenovisorError(wire.code, wire.message, wire.details);
  }
}

/** An error on its way between workers. */
export interface ErrorMessage {
  /** As of the error. */
  readonly code: ErrorCode;
  /** As of the error. */
  readonly message: string;
  /** As of the error. */
  readonly details: ErrorDetails;
}

/** Any thrown value as a DenovisorError; what is not one already becomes `internal`. */
export function asDenovisorError(thrown: unknown): DenovisorError {
  if (thrown instanceof DenovisorError) return thrown;
  const text = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
  return new DenovisorError("internal", `Internal error: ${text}`, {}, thrown);
}
