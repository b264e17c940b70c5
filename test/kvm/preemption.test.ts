// Where a host's kernel gives up the pCPU of a vCPU: kvm-host.md 1.4 step 6, 1.5 step 11, and the
// note on R and R+ in 9.1.

import { describe, expect, test } from 'vitest';
import type { SchedulerParameters } from '../../src/host/index.ts';
import { assembleText, checkedScenario, runToEnd, tracedMachine } from '../support/guest-run.ts';

type Model = SchedulerParameters['preemption'];

/** Two vCPUs that never give way, on one pCPU: what is between an exit and the switch after it. */
function switches(preemption: Model, kernel = 'linux-6.1') {
  const program = assembleText('bits 64\nagain: inc rax\njmp again');
  const { machine, records } = tracedMachine(
    checkedScenario({
      host: { pcpus: 1, hz: 1000, kernel, scheduler: { preemption } },
      vms: [{ program: 'a.asm', vcpus: 2, memory: '2M' }],
      limits: { time: '40ms' },
    }),
    [program],
  );
  const { report } = runToEnd(machine);
  const found = records.flatMap((record, i) => {
    if (record.name !== 'sched_switch' || record.comm === '<idle>') return [];
    const exit = records.slice(0, i).findLast(({ name }) => name === 'kvm_exit');
    return [{ state: record.fields.prevState, sinceExitNs: record.timeNs - (exit?.timeNs ?? 0) }];
  });
  return { found, report };
}

describe('a vCPU that is preempted by the tick', () => {
  test.each<Model>(['none', 'voluntary'])(
    'calls the scheduler itself with %s preemption',
    (model) => {
      const { found } = switches(model);
      expect(found.length).toBeGreaterThan(2);
      expect(new Set(found.map(({ state }) => state))).toEqual(new Set(['R']));
    },
  );

  // Through cond_resched, a voluntary preemption point.
  test.each(['linux-4.8', 'linux-4.12'])('shows R+ on %s all the same', (kernel) => {
    const { found } = switches('none', kernel);
    expect(new Set(found.map(({ state }) => state))).toEqual(new Set(['R+']));
  });

  // Up to 4.3 sched_switch told of it on kernels with full preemption only.
  test.each<[string, Model, string]>([
    ['linux-3.15', 'voluntary', 'R'],
    ['linux-3.15', 'full', 'R+'],
    ['linux-2.6.35', 'none', 'R'],
  ])('on %s with %s preemption shows %s', (kernel, model, state) => {
    const { found } = switches(model, kernel);
    expect(new Set(found.map((one) => one.state))).toEqual(new Set([state]));
  });

  test('is switched out before its exit is handled with full preemption', () => {
    const { found } = switches('full');
    expect(found.length).toBeGreaterThan(2);
    expect(new Set(found.map(({ state }) => state))).toEqual(new Set(['R+']));
    // The way to the handler takes 250 ns (exitPath), which now comes when it runs again.
    const [full, none] = [found, switches('none').found].map((list) => list[0].sinceExitNs);
    expect(none - full).toBe(250);
  });

  test('is marked as preempted in its steal-time record either way', () => {
    for (const model of ['none', 'full'] as const) {
      const { vcpus } = switches(model).report;
      const marks = vcpus.map(({ statistics }) => statistics.preemption_reported);
      expect(Math.min(...marks), model).toBeGreaterThan(0);
    }
  });
});
