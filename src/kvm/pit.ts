// The 8254 interval timer, three counters at 1.193182 MHz of virtual time, and the port 61H that
// gates and shows the third. Interrupts of the first are in pit-timer.ts. After the 8254 data
// sheet, "Mode Definitions", and for port 61H the PIIX4's; Linux arch/x86/kvm/i8254.c.

import { ticksIn } from '../sim/index.ts';

export interface CounterState {
  mode: number;
  /** Counts four decimal digits. */
  bcd: boolean;
  /** Bytes that an access of the count takes: 1 low, 2 high, 3 both. */
  access: number;
  /** 1 to 65536, or to 10000 in decimal digits; 0 before the first count is written, when nothing counts. */
  reload: number;
  /** Time counted up to `sinceNs`, and when that was; null while the gate holds the counter. */
  countedNs: number;
  sinceNs: number | null;
  gate: boolean;
  /** The low byte of a count whose high byte has still to be written, or -1. */
  pendingLow: number;
  /** The next read gives the high byte. */
  readsHigh: boolean;
  /** Latched count and status, or -1. */
  latchedCount: number;
  latchedStatus: number;
}

export interface PitState {
  readonly counters: CounterState[];
  /** Bits 3:1 of port 61H, which have no effect here: speaker, parity and channel checks. */
  speaker: number;
}

/** Rate of the counters. */
export const PIT_HZ = 1_193_182;

const CONTROL = 3;
/** Port 61H, from the first port on. */
const PORT_B = 0x21;
const PortB = { GATE_2: 0x01, KEPT: 0x0e, REFRESH: 0x10, OUT_2: 0x20 } as const;
/** Memory refresh toggles a bit every 15.085 us. */
const REFRESH_HZ = 66_288;

const ACCESS_BOTH = 3;
const READ_BACK = 3;

const newCounter = (gate: boolean): CounterState => ({
  mode: 0,
  bcd: false,
  access: ACCESS_BOTH,
  reload: 0,
  countedNs: 0,
  sinceNs: null,
  gate,
  pendingLow: -1,
  readsHigh: false,
  latchedCount: -1,
  latchedStatus: -1,
});

/** KVM's mode of a counter that nothing was written to. */
export const PIT_UNSET_MODE = 0xff;

const unsetCounter = (gate: boolean): CounterState => ({
  ...newCounter(gate),
  mode: PIT_UNSET_MODE,
});

/** Only the third counter's gate can be closed; it is at first. */
export function newPit(): PitState {
  return { counters: [unsetCounter(true), unsetCounter(true), unsetCounter(false)], speaker: 0 };
}

/** Read a port, counted from the first; null if nobody answers there. */
export function readPit(state: PitState, port: number, nowNs: number): number | null {
  if (port === PORT_B) return readPortB(state, nowNs);
  return port === CONTROL ? null : readCounter(state.counters[port], nowNs);
}

/** Write to a port, counted from the first: the counter that begins anew or stops, or -1. */
export function writePit(state: PitState, port: number, value: number, nowNs: number): number {
  if (port === PORT_B) {
    state.speaker = value & PortB.KEPT;
    setGate(state.counters[2], (value & PortB.GATE_2) !== 0, nowNs);
    return -1;
  }
  if (port === CONTROL) return writeControl(state, value, nowNs);
  return writeCount(state.counters[port], value, nowNs) ? port : -1;
}

function readPortB(state: PitState, nowNs: number): number {
  const [, , third] = state.counters;
  const refresh = ticksIn(nowNs, REFRESH_HZ) % 2 === 0 ? 0 : PortB.REFRESH;
  const gate = third.gate ? PortB.GATE_2 : 0;
  return state.speaker | gate | refresh | (output(third, nowNs) ? PortB.OUT_2 : 0);
}

function writeControl(state: PitState, value: number, nowNs: number): number {
  const selected = value >> 6;
  const access = (value >> 4) & 3;
  if (selected === READ_BACK) {
    for (const [i, counter] of state.counters.entries()) {
      if ((value & (2 << i)) === 0) continue;
      if ((value & 0x10) === 0 && counter.latchedStatus < 0) latchStatus(counter, nowNs);
      if ((value & 0x20) === 0) latchCount(counter, nowNs);
    }
    return -1;
  }
  const counter = state.counters[selected];
  if (access === 0) {
    latchCount(counter, nowNs);
    return -1;
  }
  // Modes 6 and 7 are other names of 2 and 3.
  const mode = (value >> 1) & 7;
  const { gate } = counter;
  const bcd = (value & 1) !== 0;
  Object.assign(counter, newCounter(gate), { access, bcd, mode: mode > 5 ? mode - 4 : mode });
  return selected;
}

function latchCount(counter: CounterState, nowNs: number): void {
  if (counter.latchedCount < 0) counter.latchedCount = count(counter, nowNs);
}

const STATUS_OUT = 0x80;
const STATUS_NULL_COUNT = 0x40;

function latchStatus(counter: CounterState, nowNs: number): void {
  const out = output(counter, nowNs) ? STATUS_OUT : 0;
  const isNull = counter.reload === 0 ? STATUS_NULL_COUNT : 0;
  counter.latchedStatus = out | isNull | (counter.access << 4) | ((counter.mode & 7) << 1);
}

function readCounter(counter: CounterState, nowNs: number): number {
  if (counter.latchedStatus >= 0) {
    const status = counter.latchedStatus;
    counter.latchedStatus = -1;
    return status;
  }
  const value = counter.latchedCount >= 0 ? counter.latchedCount : count(counter, nowNs);
  const isHigh = counter.access === 2 || (counter.access === ACCESS_BOTH && counter.readsHigh);
  if (counter.access === ACCESS_BOTH) counter.readsHigh = !counter.readsHigh;
  // A latched count stays until all of it has been read.
  if (!counter.readsHigh) counter.latchedCount = -1;
  return isHigh ? value >> 8 : value & 0xff;
}

/** True if the count is complete. */
function writeCount(counter: CounterState, value: number, nowNs: number): boolean {
  if (counter.access === ACCESS_BOTH && counter.pendingLow < 0) {
    counter.pendingLow = value;
    return false;
  }
  const low = counter.access === ACCESS_BOTH ? counter.pendingLow : value;
  const whole =
    counter.access === 1 ? value : counter.access === 2 ? value << 8 : low | (value << 8);
  counter.pendingLow = -1;
  const number = counter.bcd ? ofDecimalDigits(whole) : whole;
  counter.reload = number === 0 ? modulus(counter) : number;
  counter.countedNs = 0;
  // Modes 1 and 5 wait for the gate to open.
  const waits = counter.mode === 1 || counter.mode === 5;
  counter.sinceNs = counter.gate && !waits ? nowNs : null;
  return true;
}

/** Opening the gate starts modes 1, 2, 3 and 5 anew; closing it stops all but 1 and 5. */
function setGate(counter: CounterState, open: boolean, nowNs: number): void {
  if (open === counter.gate) return;
  counter.gate = open;
  const isTriggered = counter.mode === 1 || counter.mode === 5;
  if (open) {
    const restarts = isTriggered || counter.mode === 2 || counter.mode === 3;
    if (restarts) counter.countedNs = 0;
    counter.sinceNs = nowNs;
  } else if (!isTriggered) {
    counter.countedNs = elapsed(counter, nowNs);
    counter.sinceNs = null;
  }
}

/** Time that the counter has counted; another pCPU may have been a little further. */
function elapsed({ countedNs, sinceNs }: CounterState, nowNs: number): number {
  return countedNs + (sinceNs === null ? 0 : Math.max(0, nowNs - sinceNs));
}

const modulus = ({ bcd }: CounterState) => (bcd ? 10_000 : 0x10000);

function ofDecimalDigits(digits: number): number {
  return [12, 8, 4, 0].reduce((number, shift) => 10 * number + ((digits >> shift) & 15), 0);
}

function toDecimalDigits(number: number): number {
  return Number.parseInt(String(number), 16);
}

/** The counting element, 16 bits. */
function count(counter: CounterState, nowNs: number): number {
  const number = countedDown(counter, nowNs);
  const whole = modulus(counter);
  const wrapped = ((number % whole) + whole) % whole;
  return counter.bcd ? toDecimalDigits(wrapped) : wrapped;
}

/** The same before it wraps around. */
function countedDown(counter: CounterState, nowNs: number): number {
  const { mode, reload } = counter;
  if (reload === 0) return 0;
  const ticks = ticksIn(elapsed(counter, nowNs), PIT_HZ);
  if (mode === 2) return reload - (ticks % reload);
  // The square wave counts down by two.
  if (mode === 3) return (reload - ((2 * ticks) % reload)) & ~1;
  return reload - ticks;
}

/** The OUT pin. */
function output(counter: CounterState, nowNs: number): boolean {
  const { mode, reload, gate } = counter;
  if (reload === 0) return mode !== 0 && mode !== PIT_UNSET_MODE;
  const ticks = ticksIn(elapsed(counter, nowNs), PIT_HZ);
  switch (mode) {
    case 0:
      return ticks >= reload;
    case 1:
      // Low from the trigger on.
      return counter.sinceNs === null || ticks >= reload;
    case 2:
      return !gate || ticks % reload !== reload - 1;
    case 3:
      return !gate || ticks % reload < Math.ceil(reload / 2);
    default:
      return ticks !== reload;
  }
}
