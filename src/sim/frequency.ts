// Conversion between cycles of virtual time and nanoseconds, exact to the last unit: products are
// formed from a quotient and a remainder, so nothing leaves the range of exact doubles.

import { asDouble } from './as-double.ts';

const NS_PER_MS = 1_000_000;

/** A clock rate, with which cycles and nanoseconds are converted. All results round down. */
export class Frequency {
  /** Cycles per millisecond. */
  readonly khz: number;
  /** So that V8 does not expect products that are small integers, as in the first two seconds. */
  private readonly nsPerMs = asDouble(NS_PER_MS);

  constructor(khz: number) {
    this.khz = asDouble(khz);
  }

  /** Nanoseconds that `cycles` take. */
  toNs(cycles: number): number {
    const ms = Math.floor(cycles / this.khz);
    const rest = cycles - ms * this.khz;
    return ms * this.nsPerMs + Math.floor((rest * this.nsPerMs) / this.khz);
  }

  /** Cycles that fit into `ns` nanoseconds. */
  toCycles(ns: number): number {
    const ms = Math.floor(ns / NS_PER_MS);
    const rest = ns - ms * NS_PER_MS;
    return ms * this.khz + Math.floor((rest * this.khz) / NS_PER_MS);
  }

  /** The first cycle at which {@link toNs} has reached `ns`. */
  firstCycleAt(ns: number): number {
    const cycles = this.toCycles(ns);
    return this.toNs(cycles) >= ns ? cycles : cycles + 1;
  }
}

const NS_PER_SECOND = 1e9;

/** Whole periods of a clock of `hz` in a time; exact, whatever the time. */
export function ticksIn(ns: number, hz: number): number {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  const rest = ns - seconds * NS_PER_SECOND;
  return seconds * hz + Math.floor((rest * hz) / NS_PER_SECOND);
}

/** The first nanosecond at which {@link ticksIn} has reached `ticks`. */
export function nsOfTick(ticks: number, hz: number): number {
  const seconds = Math.floor(ticks / hz);
  const rest = Math.floor(((ticks - seconds * hz) * NS_PER_SECOND) / hz);
  const ns = seconds * NS_PER_SECOND + rest;
  return ticksIn(ns, hz) >= ticks ? ns : ns + 1;
}
