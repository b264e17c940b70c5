// One of the two 8259A interrupt controllers: it can be initialised, masked and read back. No
// device here raises a line, so nothing is ever requested or in service. After the 8259A data
// sheet, "Programming the 8259A"; the edge/level control registers as in the PIIX4.

import type { DeviceRequest, PortDevice } from './device.ts';

export interface PicState {
  mask: number;
  /** Vector of the first line, ICW2. */
  base: number;
  /** The initialisation word that the next write to the odd port is, or 0 for the mask. */
  expects: 0 | 2 | 3 | 4;
  /** ICW1 announced an ICW4. */
  hasIcw4: boolean;
  /** ICW1 said that there is no other controller, so no ICW3 follows. */
  isSingle: boolean;
  automaticEnd: boolean;
}

const Icw1 = { IC4: 0x01, SINGLE: 0x02, LEVEL: 0x08, INITIALISE: 0x10 } as const;
const Icw4 = { AUTOMATIC_END: 0x02 } as const;
const OCW3 = 0x08;
const POLL = 0x04;

export const pic: PortDevice<PicState> = {
  initial: () => ({
    mask: 0,
    base: 0,
    expects: 0,
    hasIcw4: false,
    isSingle: false,
    automaticEnd: false,
  }),
  // The even port shows the request or the in-service register: both are empty.
  read: (state, port) => (port === 1 ? state.mask : 0),
  write: (state, port, value) => {
    if (port === 1) writeOdd(state, value);
    else if ((value & Icw1.INITIALISE) !== 0) initialise(state, value);
    else return command(value);
    return null;
  },
};

function initialise(state: PicState, value: number): void {
  state.mask = 0;
  state.automaticEnd = false;
  state.hasIcw4 = (value & Icw1.IC4) !== 0;
  state.isSingle = (value & Icw1.SINGLE) !== 0;
  state.expects = 2;
}

function writeOdd(state: PicState, value: number): void {
  const afterThird = state.hasIcw4 ? 4 : 0;
  switch (state.expects) {
    case 0:
      state.mask = value;
      return;
    case 2:
      state.base = value & 0xf8;
      state.expects = state.isSingle ? afterThird : 3;
      return;
    case 3:
      state.expects = afterThird;
      return;
    case 4:
      state.automaticEnd = (value & Icw4.AUTOMATIC_END) !== 0;
      state.expects = 0;
  }
}

/** End of interrupt, priorities, which register to show: all without effect while nothing comes. */
function command(value: number): DeviceRequest | null {
  if ((value & OCW3) === 0 || (value & POLL) === 0) return null;
  return { kind: 'notImplemented', what: 'the poll command of the 8259A' };
}

export interface EdgeLevelState {
  /** A bit for each line that is level-triggered. */
  readonly lines: number[];
}

/** Lines that are always edge-triggered: timer, keyboard, cascade; clock and coprocessor. */
const FIXED_EDGE = [0x07, 0x21];

export const edgeLevelControl: PortDevice<EdgeLevelState> = {
  initial: () => ({ lines: [0, 0] }),
  read: ({ lines }, port) => lines[port],
  write: ({ lines }, port, value) => {
    lines[port] = value & ~FIXED_EDGE[port];
    return null;
  },
};
