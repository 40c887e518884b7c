/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** In the place of a pager: its thread goes away without a word while others wait for it. */

import { PagerControl, PagerState } from "../../src/engine/kvm/pager/control.ts";
import type { PagerStart } from "../../src/engine/kvm/pager/pager_thread.ts";
import { Shim } from "../../src/engine/kvm/shim.ts";

self.onmessage = ({ data }: MessageEvent<PagerStart>) => {
  using shim = Shim.open();
  const control = new PagerControl(data.control);
  control.thread = shim.symbols.kvm_shim_thread_id();
  control.state = PagerState.RUNNING;
  self.close();
};
