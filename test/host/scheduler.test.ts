// Who runs where: shares of a pCPU, starting, waking, pulling and balancing. Expectations:
// kvm-host.md 8.1 (weights), 8.6 and 8.7.

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host, type Thread } from '../../src/host/index.ts';
import * as reference from '../support/cfs-reference.ts';
import {
  compute,
  hostWith,
  MS,
  Script,
  sleep,
  startThread,
  waitForWake,
  wake,
} from '../support/host-world.ts';

/** What a thread has run, in ns. */
function ran({ state }: Thread): number {
  return state.times.host + state.times.guest;
}

const TICK = 4 * MS;

/** The lookahead: so much later everybody has done what was to be done at a time. */
const TURN = 500;

describe('hogs on one pCPU share a second by weight', () => {
  test.each([
    [[0, 0]],
    [[0, 0, 0]],
    [[0, 0, 0, 0, 0]],
    [[0, 5]],
    [[0, 10]],
    [[-5, 0]],
    [[-5, 0, 5]],
    [[-10, -10]],
    [[19, 19]],
  ])('at nice %j', (niceLevels) => {
    const host = hostWith();
    for (const nice of niceLevels) startThread(host, HOG_BODY, { nice });
    // New threads start a slice behind; the second is taken from when all are under way.
    host.run(1000 * MS);
    const before = host.threads.map(ran);
    host.run(2000 * MS);
    const total = niceLevels.reduce((sum, nice) => sum + reference.weight(nice), 0);
    host.threads.forEach((thread, i) => {
      const expected = (1000 * MS * reference.weight(niceLevels[i])) / total;
      const error = Math.abs(ran(thread) - before[i] - expected);
      expect(error, `${thread.name} by ${error / MS} ms`).toBeLessThanOrEqual(TICK);
    });
  });

  test('and none ever waits much longer than a period', () => {
    const host = hostWith();
    for (let i = 0; i < 4; i++) startThread(host, HOG_BODY);
    let longest = 0;
    for (let ms = 100; ms < 1000; ms++) {
      host.run(ms * MS);
      for (const { state } of host.threads) {
        if (state.status === 'runnable') longest = Math.max(longest, ms * MS - state.sinceCycles);
      }
    }
    // Three others, each for its slice of 1.5 ms rounded up to a tick.
    expect(longest).toBeLessThanOrEqual(3 * TICK);
  });
});

describe('a new thread', () => {
  test('starts on the allowed pCPU with the fewest threads, the first among equals', () => {
    const host = hostWith({ pcpuCount: 3 });
    const placed = (affinity: number[]) => startThread(host, HOG_BODY, { affinity }).state.pcpu;
    expect(placed([0, 1, 2])).toBe(0);
    expect(placed([0, 1, 2])).toBe(1);
    expect(placed([0, 1])).toBe(0);
    expect(placed([0, 1])).toBe(1);
    expect(placed([0, 1, 2])).toBe(2);
    expect(placed([1, 2])).toBe(2);
    expect(placed([0])).toBe(0);
  });
});

describe('a woken thread', () => {
  /** t0 has run on pCPU 1 and sleeps; the others have hogs or nothing. Where does it wake up? */
  function wokenOn(hogs: readonly number[], affinity: number[]): number {
    const host = hostWith({ pcpuCount: 4 });
    startThread(host, HOG_BODY, { affinity: [0] });
    const sleeper = new Script([waitForWake, compute(MS)]).startOn(host, { affinity });
    expect(sleeper.state.pcpu).toBe(1);
    host.run(MS);
    for (const pcpu of hogs) startThread(host, HOG_BODY, { affinity: [pcpu] });
    host.run(2 * MS);
    host.scheduler.wake(sleeper, host.pcpus[0]);
    return sleeper.state.pcpu;
  }

  test.each([
    ['where it ran, if that is idle', [], [1, 2, 3], 1],
    ['where it ran, if that is idle, although others are too', [3], [0, 1, 2, 3], 1],
    ['on another idle pCPU, if that is busy', [1], [1, 2, 3], 2],
    ['on an idle pCPU that it may use', [1], [1, 3], 3],
    ['where it ran, if none is idle', [1, 2, 3], [1, 2, 3], 1],
    ['where it ran, if it may not use the idle ones', [1], [1], 1],
  ] as const)('runs %s', (_, hogs, affinity, expected) => {
    expect(wokenOn(hogs, [...affinity])).toBe(expected);
  });

  test('keeps its distance to the minimum when it wakes elsewhere', () => {
    const host = hostWith({ pcpuCount: 2 });
    const sleeper = new Script([waitForWake]).startOn(host);
    host.run(MS);
    const [first, second] = host.pcpus;
    startThread(host, HOG_BODY, { affinity: [0] });
    first.queue.root.line.state.minVruntime = 100 * MS;
    second.queue.root.line.state.minVruntime = 900 * MS;
    // One millisecond ahead of everybody: no sleeper's credit.
    sleeper.state.vruntime = 101 * MS;
    host.scheduler.wake(sleeper, first);
    expect(sleeper.state).toMatchObject({ pcpu: 1, vruntime: 901 * MS });
  });

  test('is not woken a second time', () => {
    const host = hostWith();
    const hog = startThread(host, HOG_BODY);
    const sleeper = new Script([waitForWake]).startOn(host);
    host.run(20 * MS);
    expect(host.scheduler.wake(sleeper, host.pcpus[0])).toBe(true);
    expect(host.scheduler.wake(sleeper, host.pcpus[0])).toBe(false);
    expect(host.scheduler.wake(hog, host.pcpus[0])).toBe(false);
    host.run(40 * MS);
    expect(sleeper.state.status).toBe('exited');
    expect(host.scheduler.wake(sleeper, host.pcpus[0])).toBe(false);
  });

  test('preempts a hog on its own pCPU: its credit exceeds the granularity', () => {
    const host = hostWith();
    startThread(host, HOG_BODY);
    const sleeper = new Script([sleep(20 * MS), compute(MS)]);
    sleeper.startOn(host);
    host.run(50 * MS);
    const [, left, back] = sleeper.switches;
    expect(back.at - left.at).toBe(20 * MS);
  });
});

describe('an idle pCPU', () => {
  test('pulls a thread that waits elsewhere, at once', () => {
    const host = hostWith({ pcpuCount: 2 });
    const others = [0, 1].map(() => new Script([compute(5 * MS)]).startOn(host, { affinity: [1] }));
    const hogs = [0, 1].map(() => startThread(host, HOG_BODY));
    expect(hogs.map(({ state }) => state.pcpu)).toEqual([0, 0]);
    host.run(10 * MS);
    const waiting = hogs.find(({ state }) => state.status === 'runnable');
    host.run(10 * MS + TURN);
    expect(others.map(({ state }) => state.status)).toEqual(['exited', 'exited']);
    expect(host.pcpus[1].current).toBe(waiting);
  });

  // kernel/sched/fair.c, nohz_balancer_kick: an idle pCPU has no tick of its own to look around.
  test('is called by the tick of another on which somebody waits', () => {
    const host = hostWith({ pcpuCount: 2 });
    startThread(host, HOG_BODY, { affinity: [0] });
    new Script([compute(10 * MS)]).startOn(host, { affinity: [1] });
    const free = startThread(host, HOG_BODY);
    // The free hog runs when pCPU 1 becomes idle: there is nobody to pull then.
    host.run(10 * MS + TURN);
    expect([free.state.status, free.state.pcpu]).toEqual(['running', 0]);
    expect(host.pcpus[1].isIdle).toBe(true);
    host.run(10 * MS + 3 * TICK);
    expect([free.state.status, free.state.pcpu]).toEqual(['running', 1]);
  });

  test('does not pull a thread that runs, nor one that may not move', () => {
    const host = hostWith({ pcpuCount: 2 });
    for (let i = 0; i < 3; i++) startThread(host, HOG_BODY, { affinity: [0] });
    new Script([compute(10 * MS)]).startOn(host, { affinity: [1] });
    host.run(30 * MS);
    expect(host.pcpus[1].isIdle).toBe(true);
    expect(host.threads.slice(0, 3).map(({ state }) => state.pcpu)).toEqual([0, 0, 0]);
  });
});

describe('balancing at the tick', () => {
  /** Hogs that may run on both pCPUs, all on pCPU 0, and `pinned` hogs on pCPU 1. */
  function unbalanced(free: number, pinned: number): Host {
    const host = hostWith({ pcpuCount: 2 });
    const others: Thread[] = [];
    for (let i = 0; i < free; i++) {
      others.push(new Script([compute(10 * MS)]).startOn(host, { affinity: [1] }));
    }
    for (let i = 0; i < pinned; i++) startThread(host, HOG_BODY, { affinity: [1] });
    for (let i = 0; i < free; i++) startThread(host, HOG_BODY);
    return host;
  }

  const counts = (host: Host) => host.pcpus.map(({ queue }) => queue.runningCount);

  test('moves threads from a pCPU with two more, one at a time', () => {
    const host = unbalanced(5, 1);
    host.run(200 * MS);
    expect(counts(host)).toEqual([3, 3]);
  });

  test('keeps the distance of a moved thread to the minimum', () => {
    const host = hostWith({ pcpuCount: 2 });
    for (let i = 0; i < 4; i++) startThread(host, HOG_BODY);
    host.run(500 * MS);
    for (const { queue } of host.pcpus) {
      for (const { state } of queue.waiting) {
        expect(Math.abs(state.vruntime - queue.root.line.state.minVruntime)).toBeLessThan(30 * MS);
      }
    }
  });
});

test('threads that wake each other take turns across pCPUs', () => {
  const host = hostWith({ pcpuCount: 2 });
  const ping = new Script([compute(1000), wake(1), waitForWake], 'forever');
  const pong = new Script([waitForWake, compute(1000), wake(0)], 'forever');
  ping.startOn(host, { affinity: [0] });
  pong.startOn(host, { affinity: [1] });
  host.run(MS);
  // Half of the time each, in turns of 1000 ns.
  expect(ran(host.threads[0])).toBe(MS / 2);
  expect(ran(host.threads[1])).toBe(MS / 2);
  host.assertConserved();
});

test('a wake-up from a pCPU whose clock is behind does not turn back time', () => {
  const host = hostWith({ pcpuCount: 2, lookahead: 20_000 });
  const sleeper = new Script([compute(10_000), waitForWake, compute(1000)]);
  sleeper.startOn(host, { affinity: [0] });
  new Script([compute(100), wake(0), compute(MS)]).startOn(host, { affinity: [1] });
  host.run(50_000);
  expect(sleeper.switches.map(({ at }) => at)).toEqual([0, 10_000, 10_000, 11_000]);
  expect(host.threads[0].state.times.blocked).toBe(0);
  host.assertConserved();
});
