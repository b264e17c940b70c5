// Monitors: each watches the events of a run for one property, in order of time, and says when it
// is violated. What they keep grows with what is pending, not with the run.

import type { TraceRecord } from '../trace/index.ts';
import { type Bindings, type EventPattern, holds, NO_BINDINGS } from './event-pattern.ts';
import type { Claim, Property } from './property.ts';

/** A property did not hold. */
export interface Breach {
  /** A sentence without a full stop. */
  readonly message: string;
  /** Virtual ns at which it was so. */
  readonly timeNs: number;
  /** The event that shows it, or null for the final state. */
  readonly record: TraceRecord | null;
}

export interface Monitor {
  /** Called with each event. */
  readonly see: (record: TraceRecord) => Breach | null;
  /** Called once, at the end. */
  readonly end: (timeNs: number, state: readonly string[]) => Breach | null;
}

type Of<K extends Claim['kind']> = Extract<Claim, { kind: K }>;

export function monitorOf({ claim }: Property): Monitor {
  switch (claim.kind) {
    case 'never':
      return claim.between === null ? neverMonitor(claim) : neverBetweenMonitor(claim);
    case 'always':
      return alwaysMonitor(claim);
    case 'followed':
      return followedMonitor(claim);
    case 'preceded':
      return precededMonitor(claim);
    case 'atMost':
      return atMostMonitor(claim);
    case 'atLeast':
      return atLeastMonitor(claim);
    case 'exclusion':
      return exclusionMonitor(claim);
    case 'finally':
      return finallyMonitor(claim);
  }
}

const nothing = () => null;

function matches(pattern: EventPattern, record: TraceRecord): boolean {
  return pattern.match(record, NO_BINDINGS) !== null;
}

function breach(record: TraceRecord, message: string): Breach {
  return { message, timeNs: record.timeNs, record };
}

function neverMonitor({ event }: Of<'never'>): Monitor {
  const see = (record: TraceRecord) =>
    matches(event, record) ? breach(record, `${event.text} happened`) : null;
  return { see, end: nothing };
}

/** Something that began, by whom, and what its variables are. */
interface Begun {
  readonly record: TraceRecord;
  readonly bindings: Bindings;
}

/** What has begun and not ended, after one more event. */
function stillOpen(
  open: readonly Begun[],
  record: TraceRecord,
  end: EventPattern,
): readonly Begun[] {
  if (open.length === 0) return open;
  return open.filter(({ bindings }) => end.match(record, bindings) === null);
}

function neverBetweenMonitor({ event, between }: Of<'never'>): Monitor {
  if (between === null) return { see: nothing, end: nothing };
  let open: readonly Begun[] = [];
  const see = (record: TraceRecord) => {
    open = stillOpen(open, record, between.end);
    const hit = open.find(({ bindings }) => event.match(record, bindings) !== null);
    const bindings = between.begin.match(record, NO_BINDINGS);
    if (bindings !== null) open = [...open, { record, bindings }];
    if (hit === undefined) return null;
    const since = `${record.timeNs - hit.record.timeNs} ns after ${between.begin.text}`;
    return breach(record, `${event.text} happened ${since}, before ${between.end.text}`);
  };
  return { see, end: nothing };
}

function alwaysMonitor({ event, is }: Of<'always'>): Monitor {
  const see = (record: TraceRecord) => {
    const bindings = event.match(record, NO_BINDINGS);
    if (bindings === null || is.match(record, bindings) !== null) return null;
    return breach(record, `${event.text} without ${is.text}`);
  };
  return { see, end: nothing };
}

function followedMonitor({ event, by, withinNs }: Of<'followed'>): Monitor {
  let open: readonly Begun[] = [];
  const late = (timeNs: number): Breach | null => {
    if (withinNs === null || open.length === 0) return null;
    const { record } = open[0];
    if (timeNs <= record.timeNs + withinNs) return null;
    return breach(record, `${event.text} is not followed by ${by.text} within ${withinNs} ns`);
  };
  const see = (record: TraceRecord) => {
    // In order of time, so the first is the oldest.
    const found = late(record.timeNs);
    if (found !== null) return found;
    open = stillOpen(open, record, by);
    const bindings = event.match(record, NO_BINDINGS);
    if (bindings !== null) open = [...open, { record, bindings }];
    return null;
  };
  const end = (timeNs: number) => {
    const found = late(timeNs);
    if (found !== null || open.length === 0) return found;
    // The time is not up, but nothing more will come.
    return breach(open[0].record, `${event.text} is not followed by ${by.text} before the end`);
  };
  return { see, end };
}

function precededMonitor({ event, by, withinNs }: Of<'preceded'>): Monitor {
  let earlier: TraceRecord[] = [];
  const see = (record: TraceRecord) => {
    if (withinNs !== null) {
      earlier = earlier.filter(({ timeNs }) => record.timeNs - timeNs <= withinNs);
    }
    const bindings = event.match(record, NO_BINDINGS);
    const isFine =
      bindings === null || earlier.some((before) => by.match(before, bindings) !== null);
    // Only what differs in what it binds is worth keeping.
    if (matches(by, record) && !repeats(earlier, record, by, withinNs)) earlier.push(record);
    if (isFine) return null;
    const time = withinNs === null ? '' : ` within ${withinNs} ns`;
    return breach(record, `${event.text} is not preceded by ${by.text}${time}`);
  };
  return { see, end: nothing };
}

/** True if an earlier event, kept for good, binds the same as this one. */
function repeats(
  earlier: readonly TraceRecord[],
  record: TraceRecord,
  by: EventPattern,
  withinNs: number | null,
): boolean {
  if (withinNs !== null) return false;
  const key = (one: TraceRecord) => JSON.stringify([one.name, one.fields, one.comm, one.pcpu]);
  const wanted = key(record);
  return earlier.some((before) => key(before) === wanted && matches(by, before));
}

function atMostMonitor({ count, event, withinNs }: Of<'atMost'>): Monitor {
  let times: number[] = [];
  const see = (record: TraceRecord) => {
    if (!matches(event, record)) return null;
    const { timeNs } = record;
    if (withinNs !== null) times = times.filter((time) => timeNs - time <= withinNs);
    times.push(timeNs);
    if (times.length <= count) return null;
    const time = withinNs === null ? '' : ` within ${withinNs} ns`;
    return breach(record, `${times.length} of ${event.text}${time}, at most ${count} allowed`);
  };
  return { see, end: nothing };
}

function atLeastMonitor({ count, event }: Of<'atLeast'>): Monitor {
  let seen = 0;
  const see = (record: TraceRecord) => {
    if (matches(event, record)) seen++;
    return null;
  };
  const end = (timeNs: number) =>
    seen >= count
      ? null
      : { message: `${seen} of ${event.text}, at least ${count} expected`, timeNs, record: null };
  return { see, end };
}

function exclusionMonitor({ count, between }: Of<'exclusion'>): Monitor {
  let inside: readonly Begun[] = [];
  const see = (record: TraceRecord) => {
    inside = inside.filter(
      (begun) =>
        begun.record.comm !== record.comm || between.end.match(record, begun.bindings) === null,
    );
    const bindings = between.begin.match(record, NO_BINDINGS);
    if (bindings === null || inside.some((begun) => begun.record.comm === record.comm)) return null;
    inside = [...inside, { record, bindings }];
    if (inside.length <= count) return null;
    const who = inside.map((begun) => `${begun.record.comm} since ${begun.record.timeNs} ns`);
    const span = `between ${between.begin.text} and ${between.end.text}`;
    return breach(record, `${inside.length} ${span}, at most ${count} allowed: ${who.join(', ')}`);
  };
  return { see, end: nothing };
}

function finallyMonitor({ key, comparison, value }: Of<'finally'>): Monitor {
  const end = (timeNs: number, state: readonly string[]): Breach | null => {
    const line = state.find((candidate) => candidate.startsWith(`${key} `));
    if (line === undefined) {
      return { message: `the final state says nothing of '${key}'`, timeNs, record: null };
    }
    const actual = line.slice(key.length + 1);
    if (holds(actual, comparison, value)) return null;
    return { message: `${key} is ${actual}, not ${comparison} ${value}`, timeNs, record: null };
  };
  return { see: nothing, end };
}
