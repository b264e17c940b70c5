// Checks properties while a run goes on: a sink for its events, in order of time. What was violated
// is kept with the events around it.

import { type TraceRecord, type TraceSink, textLine } from '../trace/index.ts';
import type { Property } from './property.ts';
import { type Breach, type Monitor, monitorOf } from './property-monitor.ts';

export interface Violation extends Omit<Breach, 'record'> {
  readonly property: Property;
  /** Lines of the trace around it, and which of them is the event; -1 if none is. */
  readonly around: readonly string[];
  readonly event: number;
}

/** Events kept from before the latest, and shown from behind a violation. */
const LINES_BEFORE = 200;
const SHOWN_BEFORE = 4;
const SHOWN_AFTER = 3;

interface Open {
  readonly property: Property;
  readonly breach: Breach;
  readonly records: TraceRecord[];
  readonly event: number;
  /** How many more events to show. */
  missing: number;
}

export class PropertyChecker implements TraceSink {
  /** Those that have not been violated yet. */
  private watching: readonly (readonly [Property, Monitor])[];
  private readonly recent: TraceRecord[] = [];
  private readonly found: Open[] = [];

  constructor(properties: readonly Property[]) {
    this.watching = properties.map((property) => [property, monitorOf(property)]);
  }

  record(record: TraceRecord): void {
    for (const open of this.found) {
      if (open.missing > 0) open.records.push(record);
      open.missing--;
    }
    this.recent.push(record);
    if (this.recent.length > 2 * LINES_BEFORE) this.recent.splice(0, LINES_BEFORE);
    let isViolated = false;
    for (const [property, monitor] of this.watching) {
      const breach = monitor.see(record);
      if (breach === null) continue;
      isViolated = true;
      this.keep(property, breach);
    }
    if (isViolated) this.forgetViolated();
  }

  /**
   * The run has ended: everything that was violated, in order of time. The first violation of each
   * property, that is; what comes after it follows from it as often as not.
   */
  end(timeNs: number, state: readonly string[]): Violation[] {
    for (const [property, monitor] of this.watching) {
      const breach = monitor.end(timeNs, state);
      if (breach !== null) this.keep(property, breach);
    }
    this.watching = [];
    return this.violations;
  }

  /** What was violated so far, whatever may come. */
  get violations(): Violation[] {
    return this.found
      .map(({ property, breach: { message, timeNs: at }, records, event }) => ({
        property,
        message,
        timeNs: at,
        around: records.map((record) => textLine(record).trimStart()),
        event,
      }))
      .sort((a, b) => a.timeNs - b.timeNs);
  }

  private keep(property: Property, breach: Breach): void {
    const at = breach.record === null ? -1 : this.recent.indexOf(breach.record);
    if (breach.record !== null && at < 0) {
      // Long ago: the events around it are forgotten.
      this.found.push({ property, breach, records: [breach.record], event: 0, missing: 0 });
      return;
    }
    const middle = at < 0 ? this.recent.length : at;
    const first = Math.max(0, middle - SHOWN_BEFORE);
    const records = this.recent.slice(first, middle + SHOWN_AFTER + 1);
    const behind = records.length - 1 - (middle - first);
    const missing = at < 0 ? 0 : SHOWN_AFTER - behind;
    this.found.push({ property, breach, records, event: at < 0 ? -1 : middle - first, missing });
  }

  private forgetViolated(): void {
    const violated = new Set(this.found.map(({ property }) => property));
    this.watching = this.watching.filter(([property]) => !violated.has(property));
  }
}
