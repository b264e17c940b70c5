// Control groups: kvm-host.md 8.3 (slices over levels), 8.5, 8.6 and 8.8.

import { describe, expect, test } from 'vitest';
import {
  HOG_BODY,
  type Host,
  sharesOfWeight,
  type Thread,
  type ThreadGroup,
} from '../../src/host/index.ts';
import { GroupEntity } from '../../src/host/thread-group.ts';
import { createThread, hostWith, MS, startThread } from '../support/host-world.ts';

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

describe('groups in groups', () => {
  test.each(['cfs', 'eevdf'] as const)('divide what the one above has, under %s', (fairClass) => {
    const host = hostWith({ scheduler: { fairClass } });
    const group = (name: string, shares: number, parent?: ThreadGroup) =>
      host.createGroup({ name, shares, parent });
    const a = group('a', 1024);
    const groups = [group('a1', 1024, a), group('a2', 3072, a), group('b', 1024)];
    const deep = group('deep', 1024, groups[1]);
    const threads = [groups[0], groups[2], deep].map((one) =>
      startThread(host, HOG_BODY, { group: one }),
    );
    host.run(1000 * MS);
    const before = threads.map(ran);
    host.run(3000 * MS);
    host.assertConserved();
    const shares = threads.map((thread, i) => (ran(thread) - before[i]) / (2000 * MS));
    [0.125, 0.5, 0.375].forEach((expected, i) => {
      expect(Math.abs(shares[i] - expected)).toBeLessThan(0.01);
    });
  });

  /** A thread of `woken` wakes up 1 ms after one of `running` has begun. Does it preempt? */
  function preempts(depths: readonly [number, number], ahead: number): boolean {
    const host = hostWith();
    const [own, other] = depths.map((depth, i) => {
      let parent: ThreadGroup | undefined;
      for (let level = 0; level < depth; level++) {
        parent = host.createGroup({ name: `${i}.${level}`, shares: 1024, parent });
      }
      return parent;
    });
    const running = startThread(host, HOG_BODY, { group: own });
    host.run(MS);
    const woken = createThread(host, HOG_BODY, { group: other });
    const [pcpu] = host.pcpus;
    pcpu.queue.update(pcpu.nowNs);
    pcpu.queue.enqueue(woken, 'woken');
    const top = (thread: Thread) => {
      let entity = thread.group?.entities[0] ?? thread;
      while (entity instanceof GroupEntity && entity.parent !== null) entity = entity.parent;
      return entity;
    };
    top(woken).state.vruntime = top(running).state.vruntime - ahead;
    return pcpu.queue.wakeupPreempts(woken);
  }

  test.each<readonly [number, number]>([
    [0, 0],
    [2, 0],
    [0, 3],
    [1, 3],
    [3, 1],
    [2, 2],
  ])('at levels %i and %i, preempt on the level that they share', (...depths) => {
    expect(preempts(depths, MS + 1)).toBe(true);
    expect(preempts(depths, MS)).toBe(false);
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
