// Ports by which software resets a PC or opens address line 20: 92H (system control port A), CF9H
// (reset control register of the PIIX), and the keyboard controller, 8042, at 60H and 64H, which
// has no keyboard here. Address line 20 is always open.

import type { DeviceRequest, PortDevice } from './device.ts';

const RESET: DeviceRequest = { kind: 'reset' };

const A20_CLOSED: DeviceRequest = {
  kind: 'notImplemented',
  what: 'closing address line 20 (a machine without memory above every odd MiB)',
};

const PortA = { RESET: 0x01, A20: 0x02 } as const;

export interface PortAState {
  value: number;
}

export const systemControlA: PortDevice<PortAState> = {
  initial: () => ({ value: PortA.A20 }),
  read: ({ value }) => value,
  write: (state, _port, value) => {
    if ((value & PortA.RESET) !== 0) return RESET;
    if ((value & PortA.A20) === 0) return A20_CLOSED;
    state.value = value;
    return null;
  },
};

const RESET_CPU = 0x04;

export interface ResetControlState {
  value: number;
}

export const resetControl: PortDevice<ResetControlState> = {
  initial: () => ({ value: 0 }),
  read: ({ value }) => value,
  write: (state, _port, value) => {
    if ((value & RESET_CPU) !== 0) return RESET;
    state.value = value & 0x0a;
    return null;
  },
};

export interface KeyboardControllerState {
  /** What port 60H gives next, or -1. */
  output: number;
  /** The command that the next byte at port 60H belongs to, or 0. */
  awaiting: number;
  /** The command byte. */
  configuration: number;
}

const DATA = 0;

/** Not locked; the last write was a command; tested. */
const STATUS_IDLE = 0x1c;
const OUTPUT_FULL = 0x01;

const Command = {
  READ_CONFIGURATION: 0x20,
  WRITE_CONFIGURATION: 0x60,
  DISABLE_MOUSE: 0xa7,
  ENABLE_MOUSE: 0xa8,
  TEST_CONTROLLER: 0xaa,
  TEST_KEYBOARD_LINE: 0xab,
  DISABLE_KEYBOARD: 0xad,
  ENABLE_KEYBOARD: 0xae,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  DISABLE_A20: 0xdd,
  ENABLE_A20: 0xdf,
  /** F0 to FF pulse the output lines whose bit is 0; line 0 is reset. */
  PULSE: 0xf0,
} as const;

const TEST_PASSED = 0x55;
const LINE_GOOD = 0x00;
const OutputPort = { NOT_RESET: 0x01, A20: 0x02 } as const;
/** Reset not asserted, A20 open, no byte waits for anybody, lines to keyboard and mouse high. */
const OUTPUT_PORT_VALUE = 0xcf;

/** Bits of the command byte that commands of their own set and clear. */
const Configuration = { KEYBOARD_DISABLED: 0x10, MOUSE_DISABLED: 0x20 } as const;

export const keyboardController: PortDevice<KeyboardControllerState> = {
  initial: () => ({ output: -1, awaiting: 0, configuration: 0x61 }),
  read: (state, port) => {
    if (port !== DATA) return STATUS_IDLE | (state.output >= 0 ? OUTPUT_FULL : 0);
    const value = Math.max(state.output, 0);
    state.output = -1;
    return value;
  },
  write: (state, port, value) =>
    port === DATA ? writeData(state, value) : controllerCommand(state, value),
};

/** A byte that no command waits for goes to the keyboard, and there is none to answer. */
function writeData(state: KeyboardControllerState, value: number): DeviceRequest | null {
  const { awaiting } = state;
  state.awaiting = 0;
  if (awaiting === Command.WRITE_CONFIGURATION) state.configuration = value;
  if (awaiting !== Command.WRITE_OUTPUT_PORT) return null;
  if ((value & OutputPort.NOT_RESET) === 0) return RESET;
  return (value & OutputPort.A20) === 0 ? A20_CLOSED : null;
}

function controllerCommand(state: KeyboardControllerState, value: number): DeviceRequest | null {
  state.awaiting = 0;
  if (value >= Command.PULSE) return (value & 1) === 0 ? RESET : null;
  switch (value) {
    case Command.READ_CONFIGURATION:
      state.output = state.configuration;
      return null;
    case Command.TEST_CONTROLLER:
      state.output = TEST_PASSED;
      return null;
    case Command.TEST_KEYBOARD_LINE:
      state.output = LINE_GOOD;
      return null;
    case Command.READ_OUTPUT_PORT:
      state.output = OUTPUT_PORT_VALUE;
      return null;
    case Command.WRITE_CONFIGURATION:
    case Command.WRITE_OUTPUT_PORT:
      state.awaiting = value;
      return null;
    case Command.DISABLE_A20:
      return A20_CLOSED;
    case Command.DISABLE_MOUSE:
      state.configuration |= Configuration.MOUSE_DISABLED;
      return null;
    case Command.ENABLE_MOUSE:
      state.configuration &= ~Configuration.MOUSE_DISABLED;
      return null;
    case Command.DISABLE_KEYBOARD:
      state.configuration |= Configuration.KEYBOARD_DISABLED;
      return null;
    case Command.ENABLE_KEYBOARD:
      state.configuration &= ~Configuration.KEYBOARD_DISABLED;
      return null;
    case Command.ENABLE_A20:
      return null;
    default: {
      const command = value.toString(16).toUpperCase().padStart(2, '0');
      return { kind: 'notImplemented', what: `command ${command}H of the keyboard controller` };
    }
  }
}
