/** Stands for a body while only the interface is there. */
export function unready(..._args: number[]): never {
  throw new Error("Cannot compute: this operation has no body yet");
}
