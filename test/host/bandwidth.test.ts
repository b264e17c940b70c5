// CFS bandwidth control: quotas over time, what is counted, slack, and groups in groups.
// Expectations: the kernel's Documentation/scheduler/sched-bwc.rst (quota, period, slices of 5 ms,
// 1 ms that stays with a pCPU) and kvm-host.md 8.8, worked out by hand.

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host, type Thread, type ThreadGroup } from '../../src/host/index.ts';
import { compute, hostWith, MS, Script, sleep, startThread } from '../support/host-world.ts';

const TICK = 4 * MS;

const ran = ({ state }: Thread) => state.times.host + state.times.guest;

function limited(host: Host, quotaMs: number, periodMs = 100, parent?: ThreadGroup): ThreadGroup {
  const config = { name: `g${host.groups.length}`, shares: 1024, parent };
  return host.createGroup(config, { quotaNs: quotaMs * MS, periodNs: periodMs * MS });
}

const statOf = (host: Host, group: ThreadGroup) => {
  const found = host.bandwidths.find((one) => one.group === group);
  if (found === undefined) throw new Error('no quota');
  return found.state;
};

describe.each(['cfs', 'eevdf'] as const)('under %s', (fairClass) => {
  // [pCPUs, threads, quota and period in ms]; threads may run for quota / period of the time.
  test.each([
    [1, 1, 10, 100],
    [1, 3, 50, 100],
    [2, 2, 150, 100],
    [2, 4, 50, 100],
    [1, 2, 5, 20],
    [4, 8, 30, 10],
  ])('on %i pCPUs %i threads have a quota of %i ms in %i ms', (pcpuCount, size, quota, period) => {
    const host = hostWith({ pcpuCount, scheduler: { fairClass } });
    const group = limited(host, quota, period);
    const threads = Array.from({ length: size }, () => startThread(host, HOG_BODY, { group }));
    const sum = () => threads.reduce((total, thread) => total + ran(thread), 0);
    host.run(500 * MS);
    const before = sum();
    host.run(1500 * MS);
    host.assertConserved();
    // On each pCPU a debt of less than a tick is carried on, and less than a slice lies around.
    const error = Math.abs(sum() - before - (1000 * quota * MS) / period);
    expect(error / MS).toBeLessThan(pcpuCount * 9);
    expect(statOf(host, group).nrPeriods).toBe(1500 / period);
  });
});

test('a thread that never sleeps is throttled in each period, for all the rest of the time', () => {
  const host = hostWith();
  const group = limited(host, 20);
  const hog = startThread(host, HOG_BODY, { group });
  host.run(1001 * MS);
  const stat = statOf(host, group);
  expect(stat).toMatchObject({ nrPeriods: 10, nrThrottled: 10, throttled: [] });
  expect(ran(hog) + stat.throttledTimeNs).toBe(1001 * MS);
  // It is runnable all the time: who waits for a quota has that time stolen.
  expect(hog.state.runDelayNs).toBe(stat.throttledTimeNs);
  expect(hog.state.times.waiting).toBe(stat.throttledTimeNs);
});

test('who needs less than the quota is not throttled', () => {
  const host = hostWith();
  const group = limited(host, 20);
  new Script([compute(9 * MS), sleep(91 * MS)], 'forever').startOn(host, { group });
  host.run(1001 * MS);
  expect(statOf(host, group)).toMatchObject({ nrPeriods: 10, nrThrottled: 0, throttledTimeNs: 0 });
});

test('run time is taken in slices, and what is over but a millisecond is given back', () => {
  const host = hostWith();
  const group = limited(host, 50);
  new Script([compute(2 * MS), sleep(10 * MS), compute(MS)]).startOn(host, { group });
  host.run(MS);
  expect(statOf(host, group).runtimeNs).toBe(45 * MS);
  host.run(3 * MS);
  expect(statOf(host, group).runtimeNs).toBe(47 * MS);
  expect(group.entities[0].state.runtimeNs).toBe(MS);
});

test('without threads, periods end: nothing is left to happen', () => {
  const host = hostWith();
  const group = limited(host, 50);
  new Script([compute(2 * MS)]).startOn(host, { group });
  expect(host.run(1000 * MS)).toBe('idle');
  // The period that it ran in, and one in which nobody took anything.
  expect(statOf(host, group)).toMatchObject({ nrPeriods: 2, periodTimer: 0 });
});

test('what others give back is handed out 5 ms later, before the period ends', () => {
  const host = hostWith({ pcpuCount: 5 });
  const group = limited(host, 95, 1000);
  const on = (index: number) => ({ group, affinity: [index] });
  const hog = startThread(host, HOG_BODY, on(0));
  for (const index of [1, 2, 3, 4]) {
    new Script([compute(16.1 * MS)]).startOn(host, on(index));
  }
  host.run(200 * MS);
  // Five want four slices each, and there are 19. Of their last slices those that are done give
  // back 2.9 ms each, with which the one goes on that got none.
  const all = host.threads.reduce((sum, thread) => sum + ran(thread), 0);
  expect(all / MS).toBeGreaterThan(88);
  expect(all / MS).toBeLessThan(95 + 5);
  expect(hog.state.status).toBe('runnable');
  expect(statOf(host, group).throttled).toEqual([0]);
});

describe('a quota of a group above', () => {
  test('limits all below it, and shares say who gets what of it', () => {
    const host = hostWith();
    const top = limited(host, 50);
    const [small, large] = [1024, 3072].map((shares) =>
      host.createGroup({ name: String(shares), shares, parent: top }),
    );
    const threads = [small, large].map((group) => startThread(host, HOG_BODY, { group }));
    host.run(500 * MS);
    const before = threads.map(ran);
    host.run(2500 * MS);
    const shares = threads.map((thread, i) => (ran(thread) - before[i]) / (1000 * MS));
    expect(shares[0]).toBeCloseTo(0.25, 1);
    expect(shares[1]).toBeCloseTo(0.75, 1);
    expect(ran(threads[0]) + ran(threads[1])).toBeLessThan(1250 * MS + TICK);
  });

  test('leaves a smaller one below it in force', () => {
    const host = hostWith();
    const inner = limited(host, 10, 100, limited(host, 50));
    const hog = startThread(host, HOG_BODY, { group: inner });
    host.run(2000 * MS);
    expect(Math.abs(ran(hog) - 200 * MS)).toBeLessThan(TICK + 5 * MS);
  });

  test('lets others have the pCPU meanwhile', () => {
    const host = hostWith();
    startThread(host, HOG_BODY, { group: limited(host, 10) });
    const other = startThread(host, HOG_BODY);
    host.run(1000 * MS);
    expect(ran(other)).toBeGreaterThan(890 * MS);
    expect(host.pcpus[0].state.times.idle).toBe(0);
  });
});

describe('a throttled thread', () => {
  function throttledWorld() {
    const host = hostWith();
    const group = limited(host, 5);
    const thread = startThread(host, HOG_BODY, { group });
    host.run(50 * MS);
    expect(group.entities[0].state.isThrottled).toBe(true);
    return { host, group, thread };
  }

  test('does not count as running, and is nobody to yield to', () => {
    const { host, thread } = throttledWorld();
    const [pcpu] = host.pcpus;
    expect(pcpu.queue.runningCount).toBe(0);
    expect(pcpu.isIdle).toBe(true);
    startThread(host, HOG_BODY);
    startThread(host, HOG_BODY);
    host.run(60 * MS);
    expect(host.scheduler.yieldTo(pcpu, thread)).toBe('refused');
  });

  test('does not come back when another one of its group wakes up', () => {
    const { host, group, thread } = throttledWorld();
    const before = ran(thread);
    const other = new Script([sleep(MS), compute(10 * MS)]).startOn(host, { group });
    host.run(99 * MS);
    expect([ran(thread), ran(other)]).toEqual([before, 0]);
    host.run(130 * MS);
    expect(ran(thread) + ran(other)).toBeGreaterThan(before);
  });
});

describe('a burst', () => {
  /** On one pCPU: idle for a while, then computing all the time. */
  function bursting(burstMs: number) {
    const host = hostWith();
    const config = { quotaNs: 20 * MS, periodNs: 100 * MS, burstNs: burstMs * MS };
    const group = host.createGroup({ name: 'g', shares: 1024, parent: undefined }, config);
    new Script([compute(MS), sleep(349 * MS), compute(500 * MS)]).startOn(host, { group });
    host.run(1001 * MS);
    host.assertConserved();
    return { state: statOf(host, group), host };
  }

  test('is what was not used of quotas before, as much as may be kept', () => {
    // In the period from 300 ms on 35 ms are there: the quota, and the burst; less the 5 ms slice
    // of the beginning, of which 1 ms stays on the pCPU.
    const { state } = bursting(15);
    expect([state.nrBursts, state.snapNs]).toEqual([1, 20 * MS]);
    // Up to a tick late, and what is owed then comes from the quotas behind.
    expect(state.burstTimeNs).toBe(15 * MS);
  });

  test('of nothing is none', () => {
    expect(bursting(0).state).not.toHaveProperty('nrBursts');
  });

  test('lets a group run that much longer', () => {
    const throttled = (burstMs: number) => bursting(burstMs).state.throttledTimeNs / MS;
    // Once 15 ms, but for a tick of 4 ms.
    const difference = throttled(0) - throttled(15);
    expect(difference).toBeGreaterThan(11);
    expect(difference).toBeLessThan(19);
  });
});
