// Donated time: how long a thread waits behind its yields, up to the end of its slice. On one pCPU
// without costs, so that all numbers are exact; worked out by hand. Slices are the latency of 6 ms
// divided by the threads (CFS), or the base slice of 0.75 ms (EEVDF).

import { describe, expect, test } from 'vitest';
import { donatedUpTo, HOG_BODY, type SchedulerParameters } from '../../src/host/index.ts';
import {
  compute,
  hostWith,
  MS,
  Script,
  type Step,
  sleep,
  startThread,
  yieldTo,
} from '../support/host-world.ts';

/** A slice is computed with inverse weights, and may be some ns short. */
const NS = 5;

/** The first of these threads yields; it runs first, from 0 on. */
function world(
  steps: readonly (readonly Step[])[],
  scheduler: Partial<SchedulerParameters> = {},
  pcpuCount = 1,
) {
  const host = hostWith({ hz: 1000, pcpuCount, scheduler });
  const scripts = steps.map((one) => new Script(one));
  const [thread] = scripts.map((script) => script.startOn(host, { affinity: [0] }));
  // Nobody is in front of anybody: a buddy counts only where it is not far behind.
  for (const { state } of host.threads) state.vruntime = 0;
  host.pcpus[0].queue.root.line.state.minVruntime = 0;
  return { host, thread, script: scripts[0] };
}

const LONG = compute(1000 * MS);

describe('under CFS with a slice of 3 ms', () => {
  test.each([
    // Who yields after 1 ms has 2 ms left.
    ['the other runs for longer', [compute(MS), yieldTo(1), LONG], [LONG], 2],
    ['the other sleeps sooner', [compute(MS), yieldTo(1), LONG], [compute(MS / 2), sleep(MS)], 0.5],
    ['at the end of the slice', [compute(2.75 * MS), yieldTo(1), LONG], [LONG], 0.25],
    [
      'the second yield is refused',
      [compute(MS), yieldTo(1), yieldTo(1), LONG],
      [compute(MS / 2), sleep(40 * MS)],
      0.5,
    ],
    [
      'two yields, of which each counts',
      [compute(MS), yieldTo(1), compute(MS), yieldTo(1), LONG],
      // Awake again after 0.1 ms, it has too little less to preempt.
      [compute(0.5 * MS), sleep(0.1 * MS), compute(0.25 * MS), sleep(90 * MS)],
      0.75,
    ],
    ['it never yields', [compute(MS), LONG], [LONG], 0],
    ['it yields to itself', [compute(MS), yieldTo(0), LONG], [LONG], 0],
  ] as const)('%s', (_, first, second, donatedMs) => {
    const { host, thread } = world([first, second]);
    host.run(50 * MS);
    host.assertConserved();
    expect(Math.abs(donatedUpTo(host.now, thread) - donatedMs * MS)).toBeLessThan(NS);
    expect(thread.state.donation === undefined).toBe(donatedMs === 0);
  });

  test('nothing is under way that is not counted, and nothing is counted twice', () => {
    const { host, thread } = world([[compute(MS), yieldTo(1), LONG], [LONG]]);
    const seen = [0.5, 1, 1.5, 2.5, 3, 3.5, 20, 40].map((at) => {
      host.run(at * MS);
      const saved = host.state;
      host.state = saved;
      return donatedUpTo(host.now, thread) / MS;
    });
    expect(seen.map((ms) => Math.round(ms * 1000) / 1000)).toEqual([0, 0, 0.5, 1.5, 2, 2, 2, 2]);
  });

  test('three threads have a slice of 2 ms each', () => {
    const { host, thread } = world([[compute(MS), yieldTo(1), LONG], [LONG], [LONG]]);
    host.run(50 * MS);
    expect(Math.abs(donatedUpTo(host.now, thread) - MS)).toBeLessThan(NS);
  });

  test('who is chosen again at once gives nothing', () => {
    // The target waits elsewhere, and nobody waits here.
    const { host, thread, script } = world([[compute(MS), yieldTo(2), LONG]], {}, 2);
    for (let i = 0; i < 2; i++) startThread(host, HOG_BODY, { affinity: [1] });
    host.run(20 * MS);
    expect(script.yields).toMatchObject([{ result: 'yielded' }]);
    expect(thread.state.donation).toEqual({ cycles: 0, rest: 0 });
  });

  test('to go last is to yield as well', () => {
    const { host, thread } = world([[LONG], [LONG]], { fairClass: 'cfs-no-skip' });
    host.run(1.5 * MS);
    const [pcpu] = host.pcpus;
    host.scheduler.yieldToLast(pcpu);
    host.scheduler.schedule(pcpu, 'yield');
    host.run(40 * MS);
    expect(Math.abs(donatedUpTo(host.now, thread) - 1.5 * MS)).toBeLessThan(NS);
  });
});

test('under EEVDF what is left is what is left until the deadline', () => {
  const steps = [[compute(0.2 * MS), yieldTo(1), LONG], [LONG]];
  const { host, thread } = world(steps, { fairClass: 'eevdf' });
  // The first deadline of a new thread is half a slice away; it yields after 0.2 ms of that.
  thread.state.deadline = 0.375 * MS;
  host.run(50 * MS);
  expect(donatedUpTo(host.now, thread)).toBe(0.175 * MS);
});
