// Co-scheduling in scenarios: mistakes with their places, what reports say, what traces show, and
// that runs are the same paused, restored or with nothing left out. The rules themselves:
// test/host/skew.test.ts and coschedule.test.ts.

import { describe, expect, test } from 'vitest';
import {
  checkScenario,
  Machine,
  printPath,
  reportOf,
  reportText,
} from '../../src/machine/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import { assembleText, checkedScenario } from '../support/guest-run.ts';

const MODES = ['strict', 'relaxed'] as const;

/** Each vCPU computes, alone on its pCPU but for the second, which is beside a hog. */
const SPIN = assembleText('bits 64\nspin: jmp spin');

function machineOf(vm: object, more: { readonly host?: object; readonly skip?: string } = {}) {
  const scenario = checkedScenario({
    ...(more.skip === undefined ? {} : { skip: more.skip }),
    host: { pcpus: 3, hz: 1000, ...more.host },
    vms: [{ program: 'spin.asm', vcpus: 3, pin: ['0', '1', '2'], ...vm }],
    hogs: [{ count: 1, pin: '1' }],
    limits: { time: '60ms', instructions: 1e9 },
  });
  const records: TraceRecord[] = [];
  const sink = { record: (record: TraceRecord) => records.push(record) };
  return { machine: new Machine(scenario, { programs: [SPIN], sink }), records };
}

function ended(machine: Machine) {
  const ending = machine.run();
  if (ending === null) throw new Error('it goes on');
  machine.host.assertConserved();
  return reportOf(machine, ending);
}

describe('mistakes', () => {
  const issuesOf = (vm: object, host: object = { pcpus: 3 }): string[] => {
    const vms = [{ program: 'a.asm', coscheduling: 'strict', ...vm }];
    const checked = checkScenario({ host, vms });
    if (!('issues' in checked)) return [];
    return checked.issues.map(({ path, message }) => `${printPath(path)}: ${message}`);
  };

  test.each<readonly [object, string | null]>([
    [{ vcpus: 3 }, null],
    [{ vcpus: 3, pin: ['0-1', '0-2', '0'] }, null],
    [{ vcpus: 4, coscheduling: 'relaxed' }, null],
    [
      { vcpus: 4 },
      'vms[0].coscheduling: strict takes a pCPU for each of 4 vCPUs at once; there are not enough',
    ],
    [
      { vcpus: 3, pin: ['0-1', '1', '0'] },
      'vms[0].coscheduling: strict takes a pCPU for each of 3 vCPUs at once; there are not enough',
    ],
    [{ vcpus: 2, pin: ['0-1'], affinity_changes: [{ at: '5ms', vcpu: 1, pin: '2' }] }, null],
    [
      {
        vcpus: 2,
        pin: ['0', '1'],
        affinity_changes: [
          { at: '9ms', vcpu: 1, pin: '0' },
          { at: '5ms', vcpu: 0, pin: '1-2' },
          { at: '8ms', vcpu: 0, pin: '1' },
        ],
      },
      'vms[0].affinity_changes[2].pin: from then on there is no pCPU for each vCPU at once, as strict takes',
    ],
    [{ vcpus: 2, pin: ['x'] }, "vms[0].pin[0]: expected pCPUs such as 0-3,6, not 'x'"],
    [
      { coscheduling: 'lax' },
      'vms[0].coscheduling: expected one of none, strict, relaxed, not "lax"',
    ],
    [
      { coscheduling_skew: 3 },
      'vms[0].coscheduling_skew: expected a duration such as 10ms, 500us or 2s, not 3',
    ],
  ])('%j', (vm, message) => {
    expect(issuesOf(vm)).toEqual(message === null ? [] : [message]);
  });
});

describe('reports', () => {
  test('without it say nothing of it', () => {
    const report = ended(machineOf({}).machine);
    expect(report.vcpus.map(({ costops, costopNs }) => costops + costopNs)).toEqual([0, 0, 0]);
    expect(reportText(report).join('\n')).not.toContain('Co-stop');
  });

  test.each(MODES)('%s: stopped time is a part of steal time', (coscheduling) => {
    const report = ended(machineOf({ coscheduling }).machine);
    const [ahead, , beside] = report.vcpus;
    for (const { costopNs, times } of report.vcpus) {
      expect(costopNs).toBeLessThanOrEqual(times.stealNs);
    }
    const all = report.vcpus.reduce((sum, { costopNs }) => sum + costopNs, 0);
    expect(report.vms[0].costopNs).toBe(all);
    // It is alone on its pCPU: nothing but stops, and the way back from them, keep it from running.
    expect(ahead.costops).toBeGreaterThan(1);
    expect(ahead.costopNs).toBeGreaterThan(ahead.times.stealNs - 50_000);
    expect(ahead.times.stealNs).toBeGreaterThan(10e6);
    expect(beside.times.guestNs).toBeCloseTo(ahead.times.guestNs, -6);
    const text = reportText(report).join('\n');
    expect(text).toMatch(/vCPU +Co-stops +Co-stop ms\n +0 +\d+ +[\d.]+\n/);
  });

  test('a larger threshold stops less often', () => {
    const stops = ['1ms', '3ms', '8ms', '40ms'].map((coscheduling_skew) => {
      const { machine } = machineOf({ coscheduling: 'relaxed', coscheduling_skew });
      return ended(machine).vcpus[0].costops;
    });
    expect([...stops].sort((a, b) => b - a)).toEqual(stops);
    expect(stops[0]).toBeGreaterThan(stops[2]);
    expect(stops[3]).toBe(0);
  });
});

test('traces show that all leave their pCPUs, and come back at once', () => {
  const { machine, records } = machineOf({ coscheduling: 'strict' });
  machine.run();
  const names = ['vcpu0', 'vcpu1', 'vcpu2'];
  const switches = records.flatMap((record) => (record.name === 'sched_switch' ? [record] : []));
  // Nobody else is on the pCPUs of the first and the last: their switches are stops and starts.
  const goneAt = switches.filter(({ fields }) => fields.prev.comm === names[0]);
  const backAt = switches.filter(({ fields }) => fields.next.comm === names[0]).slice(1);
  expect(goneAt.length).toBeGreaterThan(1);
  expect(goneAt.map(({ fields }) => fields.prevState)).toEqual(goneAt.map(() => 'R'));
  expect(goneAt.map(({ fields }) => fields.next.comm)).toEqual(goneAt.map(() => 'swapper/0'));
  for (const { timeNs } of backAt) {
    for (const name of names) {
      const near = switches.filter(
        (one) => one.fields.next.comm === name && Math.abs(one.timeNs - timeNs) < 20_000,
      );
      expect(near.map(({ fields }) => fields.next.comm)).toEqual([name]);
    }
  }
});

describe.each(MODES)('%s', (coscheduling) => {
  test('a run is the same from a snapshot in the middle of a stop, and in pieces', () => {
    const whole = machineOf({ coscheduling }).machine;
    whole.run();
    const { machine } = machineOf({ coscheduling });
    const ms = machine.host.frequency.toCycles(1e6);
    const isStopped = () => machine.host.coschedules[0].state.since[0] >= 0;
    for (let at = 1; !isStopped(); at++) machine.run((at * ms) / 4);
    const middle = machine.snapshot();
    const there = machine.stateHash();
    machine.run(50 * ms);
    machine.restore(middle);
    expect(isStopped()).toBe(true);
    expect(machine.stateHash()).toBe(there);
    for (let at = 10; at <= 50; at += 7) {
      machine.run(at * ms);
      machine.saveAndRestore();
    }
    machine.run();
    expect(machine.stateHash()).toBe(whole.stateHash());
  });

  test('a run is the same with nothing left out', () => {
    const hashes = ['on', 'off'].map((skip) =>
      ended(machineOf({ coscheduling }, { skip }).machine),
    );
    expect(hashes[1].stateHash).toBe(hashes[0].stateHash);
  });
});

test('state that nobody asks for is not there', () => {
  expect(machineOf({}).machine.host.state).not.toHaveProperty('coschedules');
  const { coschedules } = machineOf({ coscheduling: 'strict' }).machine.host.state;
  expect(coschedules).toHaveLength(1);
});
