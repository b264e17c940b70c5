// Traces of whole runs hang together: times, who runs where, entries and exits. And timeline tools
// could read them: every line has ftrace's shape. trace-cmd reads binary files only, so it is not
// asked.

import { describe, expect, test } from 'vitest';
import type { TraceRecord } from '../../src/trace/index.ts';
import {
  exitCounts,
  type GuestSetup,
  guestProgram,
  runToEnd,
  scenarioOf,
  tracedMachine,
  traceText,
} from '../support/guest-run.ts';

type Event = TraceRecord;

const RUNS: readonly (readonly [string, GuestSetup])[] = [
  ['five-exits.asm', { vcpus: 2, pcpus: 2 }],
  ['ipi-pingpong.asm', { vcpus: 2, pcpus: 2 }],
  ['lock-tas.asm', { vcpus: 5, pcpus: 4, hogs: 2, hz: 1000 }],
  ['lock-ticket-pv.asm', { vcpus: 8, pcpus: 3, hz: 1000 }],
  ['lock-ticket.asm', { vcpus: 4, pcpus: 1, hz: 1000 }],
  ['timer-deadline.asm', { hogs: 1 }],
  ['triple-fault.asm', {}],
];

const DEFINES = { ITERATIONS: '20', ROUNDS: '10', TICKS: '12' };

function groupedBy<K>(events: readonly Event[], key: (event: Event) => K): Map<K, Event[]> {
  const groups = new Map<K, Event[]>();
  for (const event of events) {
    const group = groups.get(key(event));
    if (group === undefined) groups.set(key(event), [event]);
    else group.push(event);
  }
  return groups;
}

describe.each(RUNS)('%s %j', (name, setup) => {
  const { machine, records } = tracedMachine(scenarioOf(setup), [guestProgram(name, DEFINES)]);
  const { report } = runToEnd(machine);
  const pcpus = machine.host.pcpus.map(({ index }) => index);
  const onPcpu = groupedBy(records, ({ pcpu }) => pcpu);

  test('time does not run backwards on any pCPU', () => {
    for (const events of onPcpu.values()) {
      const times = events.map(({ timeNs }) => timeNs);
      expect([...times].sort((a, b) => a - b)).toEqual(times);
    }
  });

  // A pCPU may be ahead by a lookahead, and by what it does without looking: an exit, its handling
  // and an entry at the most.
  test('nor across them, but for what a pCPU may be ahead', () => {
    let latest = 0;
    for (const { timeNs } of records) {
      expect(timeNs).toBeGreaterThan(latest - 10_000);
      latest = Math.max(latest, timeNs);
    }
  });

  test('the thread switched from is the one that was switched to before', () => {
    for (const pcpu of pcpus) {
      let running = 0;
      for (const event of onPcpu.get(pcpu) ?? []) {
        expect(event.pid).toBe(running);
        if (event.name !== 'sched_switch') continue;
        const { prev, next } = event.fields;
        expect(prev.pid).toBe(running);
        expect(next.pid).not.toBe(prev.pid);
        running = next.pid;
      }
    }
  });

  test('nobody runs in two places', () => {
    const place = new Map<number, number>();
    for (const event of records) {
      if (event.name !== 'sched_switch') continue;
      const { prev, next } = event.fields;
      if (prev.pid !== 0) place.delete(prev.pid);
      if (next.pid === 0) continue;
      expect(place.get(next.pid)).toBeUndefined();
      place.set(next.pid, event.pcpu);
    }
  });

  test('who slept was woken before it runs again', () => {
    const asleep = new Set<number>();
    for (const event of records) {
      if (event.name === 'sched_wakeup') asleep.delete(event.fields.pid);
      if (event.name !== 'sched_switch') continue;
      const { prev, prevState, next } = event.fields;
      expect(asleep.has(next.pid)).toBe(false);
      if (prevState === 'S') asleep.add(prev.pid);
    }
  });

  test('entries and exits take turns on every vCPU', () => {
    for (const { index } of machine.vcpus) {
      const own = records.filter(
        ({ name, fields }) =>
          /^kvm_(entry|exit)$/.test(name) && 'vcpu' in fields && fields.vcpu === index,
      );
      expect(own.length).toBeGreaterThan(0);
      own.forEach((event, i) => {
        expect(event.name).toBe(i % 2 === 0 ? 'kvm_entry' : 'kvm_exit');
        expect(event.comm).toBe(`vcpu${index}`);
      });
      // Nothing but the end of the run leaves an exit without an entry, or a guest running.
      expect(own.length % 2 === 0 || report.status === 'limit').toBe(true);
    }
  });

  test('a guest goes on where it left, or behind the instruction that exited', () => {
    const left = new Map<number, bigint>();
    const rip = (value: { toString(): string }) => BigInt(value.toString());
    for (const event of records) {
      if (event.name === 'kvm_exit') left.set(event.fields.vcpu, rip(event.fields.rip));
      if (event.name !== 'kvm_entry') continue;
      const from = left.get(event.fields.vcpu);
      if (from === undefined) continue;
      const skipped = Number(rip(event.fields.rip) - from);
      expect(skipped).toBeGreaterThanOrEqual(0);
      expect(skipped).toBeLessThanOrEqual(15);
    }
  });

  test('has as many exits of each reason as the report', () => {
    const counts: Record<string, number> = {};
    for (const event of records) {
      if (event.name !== 'kvm_exit') continue;
      const { reason } = event.fields;
      counts[reason] = (counts[reason] ?? 0) + 1;
    }
    expect(counts).toEqual(exitCounts(report));
  });

  test('has ftrace lines only', () => {
    const shape =
      /^ {1,15}[\w<>-]+-\d{1,7} +\[\d{3}\] [dbD.][Nnp.][ZzHhs.][0-9a-f.]{2} +\d+\.\d{6}: \w+: \S.*$/;
    const lines = traceText(records, pcpus.length).trimEnd().split('\n');
    const events = lines.filter((line) => !line.startsWith('#'));
    expect(events).toHaveLength(records.length);
    expect(events.filter((line) => !shape.test(line))).toEqual([]);
  });

  test('looking changes nothing', () => {
    const unseen = tracedMachine(scenarioOf(setup), [guestProgram(name, DEFINES)]).machine;
    unseen.host.sink = null;
    expect(runToEnd(unseen).report).toEqual(report);
  });
});
