// The debug console: bytes written to port E9H appear on standard output. Bochs and QEMU
// (isa-debugcon) have it too; a read gives the port's number, by which guests find it.

import type { PortDevice } from './device.ts';

export interface ConsoleState {
  /** Everything that was written. */
  readonly output: number[];
}

const PRESENT = 0xe9;

export const debugConsole: PortDevice<ConsoleState> = {
  initial: () => ({ output: [] }),
  read: () => PRESENT,
  write: ({ output }, _port, value) => {
    output.push(value);
    return null;
  },
};
