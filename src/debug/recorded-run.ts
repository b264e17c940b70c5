// What a run came to, looked at again and again on its way, and the comparison of another run with
// that. Looks are few, however long the run is: when there are too many, every other one is
// dropped, and the next ones are twice as far apart.

import type { Machine, MachineEnding } from '../machine/index.ts';
import { Hash } from '../sim/index.ts';
import { eventOf } from './position.ts';
import {
  halved,
  type RecordedTrace,
  type TraceComparison,
  type TraceDifference,
  type TraceMarker,
} from './recorded-trace.ts';

/** The state at some virtual time. */
export interface Sample {
  /** Cycles. */
  readonly time: number;
  /** As the debugger counts: where `goto` leads. */
  readonly event: number;
  /** Guest instructions completed. */
  readonly instructions: number;
  /** Of the whole state. */
  readonly hash: string;
  /** RIP of each vCPU, in hexadecimal digits. */
  readonly rips: readonly string[];
}

export interface RecordedEnd {
  readonly sample: Sample;
  readonly status: string;
  readonly exitCode: number;
  readonly message: string;
  /** Hash of what the guests printed. */
  readonly output: string;
}

export interface RecordedRun {
  /** In order of time, evenly apart, without the end. */
  readonly samples: readonly Sample[];
  readonly end: RecordedEnd;
  readonly trace: RecordedTrace;
}

/** Intervals of a recording, at most, and cycles of the first ones. */
export const MOST_SAMPLES = 256;
const FIRST_INTERVAL = 4096;

export function sampleOf(machine: Machine): Sample {
  return {
    time: machine.now,
    event: eventOf(machine),
    instructions: machine.instructions,
    hash: machine.stateHash(),
    rips: machine.vcpus.map(({ rip }) => rip.toUnsigned().toString(16)),
  };
}

function endOf(machine: Machine, { status, exitCode, message }: MachineEnding): RecordedEnd {
  return { sample: sampleOf(machine), status, exitCode, message, output: outputHash(machine) };
}

function outputHash({ devices }: Machine): string {
  const hash = new Hash();
  for (const { state } of devices) {
    const printed = [state.console.output, state.com1.sent];
    for (const bytes of printed) hash.number(bytes.length).bytes(Uint8Array.from(bytes));
  }
  return hash.digest();
}

/**
 * Run a new machine to its end and look at it on the way. Yields at every look: the caller may pass
 * on what the guest prints, or give up.
 * @param marker the machine's sink
 */
export function* recordRun(machine: Machine, marker: TraceMarker): Generator<void, RecordedRun> {
  let interval = FIRST_INTERVAL;
  let samples: Sample[] = [];
  for (;;) {
    const time = (samples.length + 1) * interval;
    const ending = machine.run(time);
    if (ending !== null) return { samples, end: endOf(machine, ending), trace: marker.result };
    samples.push({ ...sampleOf(machine), time });
    if (samples.length === MOST_SAMPLES) {
      samples = halved(samples);
      interval *= 2;
    }
    yield;
  }
}

/** Where a run is another one than the recorded one. */
export interface Divergence {
  /** Counted from 1; the last one ends with the run. */
  readonly interval: number;
  readonly intervals: number;
  /** Cycles of virtual time at which both were still the same. */
  readonly from: number;
  /** What was found at the end of the interval; without an end, the run goes on. */
  readonly recorded: Sample;
  readonly now: Sample;
  /** How each ended in this interval, or null if it went on. */
  readonly endings: { readonly recorded: string | null; readonly now: string | null };
  /** Null if nothing in the trace shows it up to there. */
  readonly trace: TraceDifference | null;
}

/**
 * Run a new machine and compare; the first difference, or null. Yields at every look.
 * @param comparison the machine's sink
 */
export function* compareRun(
  machine: Machine,
  { samples, end }: RecordedRun,
  comparison: TraceComparison,
): Generator<void, Divergence | null> {
  let from = 0;
  comparison.eventNow = () => eventOf(machine);
  const divergence = (interval: number, recorded: Sample, now: Sample): Divergence => {
    const { ending } = machine;
    const endings = {
      recorded: recorded === end.sample ? end.message : null,
      now: ending?.message ?? null,
    };
    const { difference: trace } = comparison;
    return { interval, intervals: samples.length + 1, from, recorded, now, endings, trace };
  };
  for (const [i, recorded] of samples.entries()) {
    const ending = machine.run(recorded.time);
    const now = ending === null ? { ...sampleOf(machine), time: recorded.time } : sampleOf(machine);
    if (ending !== null || !areEqual(recorded, now)) return divergence(i + 1, recorded, now);
    from = recorded.time;
    yield;
  }
  // The recorded run was asked to go on for one interval, and ended in it.
  const interval = samples[0]?.time ?? FIRST_INTERVAL;
  const ending = machine.run(from + interval);
  const isSame = ending !== null && areEqual(end, endOf(machine, ending));
  comparison.finish();
  if (isSame && comparison.difference === null) return null;
  return divergence(samples.length + 1, end.sample, sampleOf(machine));
}

/** Both are plain data, whose keys may come in any order. */
function areEqual(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const [left, right] = [a, b] as readonly Readonly<Record<string, unknown>>[];
  const keys = Object.keys(right);
  return (
    keys.length === Object.keys(left).length && keys.every((key) => areEqual(left[key], right[key]))
  );
}
