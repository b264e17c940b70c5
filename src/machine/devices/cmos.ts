// The real-time clock and its memory, as an MC146818A: the index at port 70H, the data at 71H. The
// clock starts at the same moment in every run and counts virtual time; the memory says how much
// RAM there is, where PC firmware leaves it.

import type { PortDevice, Surroundings } from './device.ts';

export interface CmosState {
  index: number;
  /** What the guest has written, by index. */
  readonly written: Record<number, number>;
}

const Register = {
  SECONDS: 0x00,
  MINUTES: 0x02,
  HOURS: 0x04,
  WEEKDAY: 0x06,
  DAY: 0x07,
  MONTH: 0x08,
  YEAR: 0x09,
  STATUS_A: 0x0a,
  STATUS_B: 0x0b,
  STATUS_C: 0x0c,
  STATUS_D: 0x0d,
  CENTURY: 0x32,
} as const;

const StatusB = { HOURS_24: 0x02, BINARY: 0x04 } as const;

/** 32768 Hz, no update in progress: an update takes no time. */
const STATUS_A_VALUE = 0x26;
/** The battery is good. */
const VALID = 0x80;

/** Every run begins on Saturday, 1 January 2000, at midnight. */
const START = { year: 2000, weekday: 7 } as const;
const SECONDS_PER_DAY = 86400;

export const cmos: PortDevice<CmosState> = {
  initial: () => ({ index: 0, written: {} }),
  read: (state, port, around) => {
    if (port === 0) return null;
    const { index, written } = state;
    const time = clockRegister(index, around.nowNs, statusB(state));
    return time ?? written[index] ?? memorySize(index, around) ?? 0;
  },
  write: (state, port, value) => {
    // Bit 7 masks NMIs, which have no source here.
    if (port === 0) state.index = value & 0x7f;
    else if (CLOCK.includes(state.index)) {
      return { kind: 'notImplemented', what: 'setting the real-time clock' };
    } else if (state.index !== Register.STATUS_C && state.index !== Register.STATUS_D) {
      state.written[state.index] = value;
    }
    return null;
  },
};

function statusB({ written }: CmosState): number {
  return written[Register.STATUS_B] ?? StatusB.HOURS_24;
}

const CLOCK: readonly number[] = [
  Register.SECONDS,
  Register.MINUTES,
  Register.HOURS,
  Register.WEEKDAY,
  Register.DAY,
  Register.MONTH,
  Register.YEAR,
  Register.CENTURY,
];

/** Clock and status registers; null for memory. */
function clockRegister(index: number, nowNs: number, control: number): number | null {
  const value = timeOf(index, Math.floor(nowNs / 1e9));
  if (value !== null) return (control & StatusB.BINARY) !== 0 ? value : toBcd(value);
  switch (index) {
    case Register.STATUS_A:
      return STATUS_A_VALUE;
    case Register.STATUS_B:
      return control;
    case Register.STATUS_C:
      return 0;
    case Register.STATUS_D:
      return VALID;
    default:
      return null;
  }
}

/** No run lasts longer than an hour of virtual time, so the date stands still. */
function timeOf(index: number, seconds: number): number | null {
  const ofDay = seconds % SECONDS_PER_DAY;
  switch (index) {
    case Register.SECONDS:
      return ofDay % 60;
    case Register.MINUTES:
      return Math.floor(ofDay / 60) % 60;
    case Register.HOURS:
      return Math.floor(ofDay / 3600);
    case Register.WEEKDAY:
      return START.weekday;
    case Register.DAY:
    case Register.MONTH:
      return 1;
    case Register.YEAR:
      return START.year % 100;
    case Register.CENTURY:
      return Math.floor(START.year / 100);
    default:
      return null;
  }
}

function toBcd(value: number): number {
  return (Math.floor(value / 10) << 4) | (value % 10);
}

const KIB = 1024;
const MIB = KIB * KIB;

/** Sizes of memory as firmware notes them, in units of 1 KiB or 64 KiB, low byte first. */
function memorySize(index: number, { ramBytes, vcpuCount }: Surroundings): number | null {
  const extended = Math.min((ramBytes - MIB) / KIB, 0xffff);
  const above16 = Math.min(Math.max(0, ramBytes - 16 * MIB) / (64 * KIB), 0xffff);
  switch (index) {
    case 0x15:
      return 640 & 0xff;
    case 0x16:
      return 640 >> 8;
    case 0x17:
    case 0x30:
      return extended & 0xff;
    case 0x18:
    case 0x31:
      return extended >> 8;
    case 0x34:
      return above16 & 0xff;
    case 0x35:
      return above16 >> 8;
    case 0x5f:
      return vcpuCount - 1;
    default:
      return null;
  }
}
