// Control groups: kvm-host.md 8.3 (slices over levels), 8.5, 8.6 and 8.8.

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host, sharesOfWeight, type Thread } from '../../src/host/index.ts';
import { hostWith, MS, startThread } from '../support/host-world.ts';

const ran = ({ state }: Thread) => state.times.host + state.times.guest;

/** Groups of hogs with these shares and sizes, and hogs of no group; what each got of a second. */
function sharesOf(
  host: Host,
  groups: readonly (readonly [shares: number, size: number])[],
  others = 0,
): number[] {
  const members = groups.map(([shares, size], i) => {
    const group = host.createGroup({ name: `g${i}`, shares });
    return Array.from({ length: size }, () => startThread(host, HOG_BODY, { group }));
  });
  for (let i = 0; i < others; i++) members.push([startThread(host, HOG_BODY)]);
  host.run(1000 * MS);
  const sums = () => members.map((threads) => threads.reduce((sum, each) => sum + ran(each), 0));
  const before = sums();
  host.run(3000 * MS);
  host.assertConserved();
  const total = 2000 * MS * host.pcpus.length;
  return sums().map((sum, i) => (sum - before[i]) / total);
}

describe.each(['cfs', 'eevdf'] as const)('groups under %s', (fairClass) => {
  const host = (pcpuCount = 1) => hostWith({ pcpuCount, scheduler: { fairClass } });

  test.each<[string, readonly (readonly [number, number])[], number, readonly number[]]>([
    [
      'of equal shares get the same, whatever their size',
      [
        [1024, 1],
        [1024, 3],
      ],
      0,
      [0.5, 0.5],
    ],
    [
      'get what their shares say',
      [
        [1024, 2],
        [3072, 2],
      ],
      0,
      [0.25, 0.75],
    ],
    ['compete with threads of no group', [[1024, 3]], 1, [0.5, 0.5]],
    [
      'with many shares come before those with few',
      [
        [102400, 1],
        [1024, 1],
      ],
      0,
      [0.99, 0.01],
    ],
  ])('%s', (_, groups, others, expected) => {
    const shares = sharesOf(host(), groups, others);
    shares.forEach((share, i) => {
      expect(Math.abs(share - expected[i])).toBeLessThan(0.02);
    });
  });

  test('divide several pCPUs by shares', () => {
    const shares = sharesOf(host(2), [
      [1024, 2],
      [3072, 2],
    ]);
    expect(Math.abs(shares[0] - 0.25)).toBeLessThan(0.06);
  });
});

describe('the weight of a group on a pCPU', () => {
  test('is the part of its shares that its load there is', () => {
    const host = hostWith({ pcpuCount: 2 });
    const group = host.createGroup({ name: 'g', shares: 1024 });
    for (const pcpu of [0, 0, 1]) startThread(host, HOG_BODY, { group, affinity: [pcpu] });
    host.run(20 * MS);
    // 1024 * 2048 / 3072 and 1024 * 1024 / 3072.
    expect(group.entities.map(({ weight }) => weight)).toEqual([682, 341]);
  });

  test('is between 2 and its shares', () => {
    const host = hostWith({ pcpuCount: 2 });
    const group = host.createGroup({ name: 'g', shares: 2 });
    for (const pcpu of [0, 0, 1]) startThread(host, HOG_BODY, { group, affinity: [pcpu] });
    host.run(20 * MS);
    expect(group.entities.map(({ weight }) => weight)).toEqual([2, 2]);
  });

  // Linux sched_weight_from_cgroup: cpu.weight * 1024 / 100, to the nearest.
  test.each([
    [100, 1024],
    [1, 10],
    [50, 512],
    [10_000, 102_400],
    [33, 338],
  ])('of cpu.weight %i comes from %i shares', (weight, shares) => {
    expect(sharesOfWeight(weight)).toBe(shares);
  });
});

describe('a directed yield to a thread of another group', () => {
  /** Two groups on a pCPU; the running thread yields to the last of the other group. */
  function afterYield(groupAhead: number, threadAhead: number): string {
    const host = hostWith({ pcpuCount: 1 });
    const [own, other] = ['own', 'other'].map((name) => host.createGroup({ name, shares: 1024 }));
    const me = startThread(host, HOG_BODY, { group: own });
    const [first, target] = [0, 1].map(() => startThread(host, HOG_BODY, { group: other }));
    host.run(1000);
    const [pcpu] = host.pcpus;
    expect(pcpu.current).toBe(me);
    const leafMinimum = 0;
    first.state.vruntime = leafMinimum;
    target.state.vruntime = leafMinimum + threadAhead;
    other.entities[0].state.vruntime = own.entities[0].state.vruntime + groupAhead;
    other.entities[0].queue.line.state.queued = [first.id, target.id];
    expect(host.scheduler.yieldTo(pcpu, target)).toBe('yielded');
    pcpu.queue.putPrevious(true);
    const next = pcpu.queue.pickNext(pcpu.nowNs, me);
    return next === target ? 'target' : next === first ? 'first' : 'me';
  }

  const G = MS;

  test.each([
    ['reaches it within the granularity on both levels', G, G, 'target'],
    ['runs another of the group if it is too far ahead there', G, G + 1, 'first'],
    ['does not reach the group if that is too far ahead', 2 * G, 0, 'me'],
  ])('%s', (_, groupAhead, threadAhead, expected) => {
    expect(afterYield(groupAhead, threadAhead)).toBe(expected);
  });
});

test('threads of groups take part in balancing, and keep their distance', () => {
  const host = hostWith({ pcpuCount: 2 });
  const group = host.createGroup({ name: 'g', shares: 1024 });
  for (let i = 0; i < 6; i++)
    startThread(host, HOG_BODY, { group, affinity: i < 4 ? [0, 1] : [1] });
  host.run(500 * MS);
  expect(host.pcpus.map(({ queue }) => queue.runningCount)).toEqual([3, 3]);
  host.assertConserved();
});
