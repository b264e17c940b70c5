// Which device in user space answers which port: the one table that dispatch and documents follow.
// The interrupt controllers and the interval timer are in the kernel (kvm/irqchip.ts).

import { cmos } from './cmos.ts';
import { debugConsole } from './console.ts';
import type { PortDevice } from './device.ts';
import { exitPort } from './exit-port.ts';
import { fwCfg } from './fw-cfg.ts';
import { PM_TIMER_PORT, pmTimer } from './pm-timer.ts';
import { keyboardController, resetControl, systemControlA } from './system-control.ts';
import { uart } from './uart.ts';

/** Every device, by the name of its part of the state. */
export const DEVICES = {
  console: debugConsole,
  exitPort,
  com1: uart,
  pmTimer,
  keyboardController,
  cmos,
  systemControlA,
  resetControl,
  fwCfg,
} as const;

export type DeviceName = keyof typeof DEVICES;

type StateOf<D> = D extends PortDevice<infer State> ? State : never;

/** Plain data, saved and hashed as it is. */
export type DevicesState = {
  readonly [Name in DeviceName]: StateOf<(typeof DEVICES)[Name]>;
};

export interface PortRange {
  readonly first: number;
  readonly last: number;
  readonly device: DeviceName;
  /** What the device counts its ports from; the first port unless it has several ranges. */
  readonly origin?: number;
  /** An access of any width is one: it is not split into bytes. */
  readonly wide?: true;
  /** What a guest finds there, for the documents. */
  readonly summary: string;
}

export const PORT_RANGES: readonly PortRange[] = [
  {
    first: 0x60,
    last: 0x60,
    device: 'keyboardController',
    summary: 'data of the keyboard controller; there is no keyboard',
  },
  {
    first: 0x64,
    last: 0x64,
    device: 'keyboardController',
    origin: 0x60,
    summary: 'keyboard controller, 8042: self-test, output port; 0xFE resets the machine',
  },
  {
    first: 0x70,
    last: 0x71,
    device: 'cmos',
    summary:
      'real-time clock, from 2000-01-01 on in every run, and CMOS memory with the size of RAM',
  },
  {
    first: 0x92,
    last: 0x92,
    device: 'systemControlA',
    summary: 'bit 0 resets the machine; address line 20 (bit 1) is always open',
  },
  {
    first: 0xe9,
    last: 0xe9,
    device: 'console',
    summary: 'debug console: a byte written appears on standard output; reads give 0xE9',
  },
  {
    first: 0xf4,
    last: 0xf4,
    device: 'exitPort',
    wide: true,
    summary: 'exit: a write ends the run with exit code `(value << 1) \\| 1`',
  },
  {
    first: 0x3f8,
    last: 0x3ff,
    device: 'com1',
    summary: 'COM1, a 16550A at interrupt line 4; what it sends is reported',
  },
  {
    first: 0x510,
    last: 0x511,
    device: 'fwCfg',
    wide: true,
    summary: "QEMU's fw_cfg: signature, id, RAM size, number of processors (items 0, 1, 3, 5, 0xF)",
  },
  {
    first: PM_TIMER_PORT,
    last: PM_TIMER_PORT + 3,
    device: 'pmTimer',
    wide: true,
    summary: 'power-management timer of ACPI: 24 bits at 3.579545 MHz of virtual time',
  },
  {
    first: 0xcf9,
    last: 0xcf9,
    device: 'resetControl',
    summary: 'reset control: bit 2 resets the machine',
  },
];
