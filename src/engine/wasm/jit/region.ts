/** Translated code, as the rest of the engine sees it. */

/** One region: a function of the table. */
export class Region {
  /** Its index in every vCPU's table. */
  readonly index: number;
  readonly batch: Batch;
  /** Numbers of the instructions that it leaves to the interpreter. */
  readonly sites: readonly number[];
  /** `modeOf` of the vCPUs that it is for. */
  readonly mode: number;
  /** V8 has compiled it. */
  isCompiled = false;

  constructor(
    index: number,
    batch: Batch,
    sites: readonly number[],
    mode: number,
  ) {
    this.index = index;
    this.batch = batch;
    this.sites = sites;
    this.mode = mode;
  }
}

/** Regions that were compiled together: a module, which every vCPU instantiates when it gets there. */
export class Batch {
  readonly module: WebAssembly.Module;
  /** Behind the index of its last function. */
  readonly end: number;
  /** By vCPU: its table has the functions. */
  readonly present: boolean[] = [];

  constructor(module: WebAssembly.Module, end: number) {
    this.module = module;
    this.end = end;
  }
}
