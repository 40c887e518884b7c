/** Guest memory as the owner of a Vm sees it. */

import { DenovisorError } from "../base/errors.ts";
import type { PagerThread } from "../engine/kvm/pager/pager_thread.ts";
import type { DirtyLog } from "../memory/dirty_log.ts";
import { GuestMemory, type GuestMemoryHandle } from "../memory/guest_memory.ts";

/** Guest RAM by guest physical address, and the log of what was written to it. */
export class VmMemory extends GuestMemory {
  readonly #pager: PagerThread | undefined;

  /** The memory of a Vm, which makes it. */
  constructor(handle: GuestMemoryHandle, pager: PagerThread | undefined) {
    super(handle);
    this.#pager = pager;
  }

  /**
   * Returns which pages were written since the last call (the first time: since the start, the
   * loader's included) and clears the log. Whatever was written before this resolves is in this log
   * or in the next. When the run has ended, one more call gives the rest.
   * @throws DenovisorError `usage` without the option `memory.dirtyLog`, `stopped` when the run has
   * ended and the rest was taken, or what made the run fail.
   */
  async dirtyLog(): Promise<DirtyLog> {
    if (this.#pager === undefined) {
      throw new DenovisorError(
        "usage",
        'Cannot read the dirty log: expected the options memory.paging "mmu" and memory.dirtyLog',
      );
    }
    return await this.#pager.dirtyLog();
  }
}
