// The exit port, F4H: a write of any width ends the run, with QEMU's isa-debug-exit meaning of the
// value.

import type { PortDevice } from './device.ts';

export interface ExitPortState {
  /** What was written, or -1. */
  value: number;
}

export const exitPort: PortDevice<ExitPortState> = {
  initial: () => ({ value: -1 }),
  read: () => 0,
  write: (state, _port, value) => {
    state.value = value;
    return { kind: 'exit' };
  },
};
