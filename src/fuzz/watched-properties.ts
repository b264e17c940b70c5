// Properties where something else than virtual time orders steps: events are told in the order in
// which they happen, and times within which something has to follow mean nothing.

import {
  CheckedRun,
  type Expectations,
  observerFor,
  PropertyChecker,
  stateLines,
  type Violation,
} from '../check/index.ts';
import { type Machine, type MachineEnding, reportOf } from '../machine/index.ts';
import type { TraceRecord, TraceSink } from '../trace/index.ts';
import { type Finding, findingOf, violationFinding } from './finding.ts';

export class WatchedProperties {
  private readonly machine: Machine;
  private readonly expectations: Expectations;
  private readonly checker: PropertyChecker | null;

  /**
   * Look at a machine, which has not run yet, for good.
   * @param sinks are told of all events, too
   */
  constructor(machine: Machine, expectations: Expectations, sinks: readonly TraceSink[]) {
    this.machine = machine;
    this.expectations = expectations;
    const properties = expectations.properties.map(({ property }) => property);
    machine.host.sink = new All(sinks);
    this.checker = properties.length === 0 ? null : new PropertyChecker(properties);
    if (this.checker === null) return;
    machine.host.sink = new All([...sinks, this.checker]);
    observerFor(machine, expectations).begin(this.checker);
  }

  /** What is violated by now, whatever may come; or null. */
  soFar(): Finding | null {
    return this.first(this.checker?.violations ?? []);
  }

  /** The machine has ended: what its ending or a property has wrong, or null. */
  atTheEnd(ending: MachineEnding): Finding | null {
    const { machine, expectations, checker } = this;
    if (expectations.ending !== null) {
      const alone = { ...expectations, directives: [], goldens: [], properties: [] };
      const finding = findingOf(machine, new CheckedRun(alone).judge(machine, ending));
      if (finding !== null) return finding;
    }
    if (checker === null) return null;
    const report = reportOf(machine, ending);
    return this.first(checker.end(report.virtualNs, stateLines(report)));
  }

  private first([violation]: readonly Violation[]): Finding | null {
    if (violation === undefined) return null;
    const stated = this.expectations.properties.find(
      ({ property }) => property === violation.property,
    );
    return violationFinding(violation, stated?.line ?? null);
  }
}

class All implements TraceSink {
  private readonly sinks: readonly TraceSink[];

  constructor(sinks: readonly TraceSink[]) {
    this.sinks = sinks;
  }

  record(record: TraceRecord): void {
    for (const sink of this.sinks) sink.record(record);
  }
}
