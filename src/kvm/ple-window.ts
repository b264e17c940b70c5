// The PLE window of a vCPU grows with every PAUSE-loop exit and shrinks when it is scheduled in.
// Linux arch/x86/kvm/x86.h, __grow_ple_window and __shrink_ple_window.

import type { KvmParameters } from './parameters.ts';

/** The window after another PAUSE-loop exit. */
export function grownWindow(window: number, parameters: KvmParameters): number {
  const { pleWindow, pleWindowGrow, pleWindowMax } = parameters;
  if (pleWindowGrow < 1) return pleWindow;
  const grown = pleWindowGrow < pleWindow ? window * pleWindowGrow : window + pleWindowGrow;
  return Math.min(grown, pleWindowMax);
}

/** The window after the vCPU was scheduled in. */
export function shrunkWindow(window: number, parameters: KvmParameters): number {
  const { pleWindow, pleWindowShrink } = parameters;
  if (pleWindowShrink < 1) return pleWindow;
  const shrunk =
    pleWindowShrink < pleWindow ? Math.floor(window / pleWindowShrink) : window - pleWindowShrink;
  return Math.max(shrunk, pleWindow);
}
