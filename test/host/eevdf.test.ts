// EEVDF: kvm-host.md 8.9 (Linux 6.6 kernel/sched/fair.c: place_entity, update_deadline, pick_eevdf,
// yield_task_fair). Expected numbers are worked out by hand; the property that placement keeps the
// lag is the reason for its formula.

import { describe, expect, test } from 'vitest';
import { EevdfQueue } from '../../src/host/eevdf.ts';
import { type Entity, newEntityState } from '../../src/host/entity.ts';
import { HOG_BODY, type Host, virtualRuntime, weightOfNice } from '../../src/host/index.ts';
import { Prng } from '../../src/sim/index.ts';
import * as reference from '../support/cfs-reference.ts';
import { TUNABLES } from '../support/fair-queue.ts';
import {
  compute,
  hostWith,
  MS,
  Script,
  sleep,
  startThread,
  yieldTo,
} from '../support/host-world.ts';

const SLICE = TUNABLES.minGranularityNs;

interface Spec {
  readonly v?: number;
  readonly deadline?: number;
  readonly nice?: number;
  readonly lag?: number;
}

/** Entities a, b, c, ... that wait, and if `running` says so one that runs. */
function queueOf(waiting: readonly Spec[], running: Spec | null = null) {
  const entities: Entity[] = [...waiting, ...(running === null ? [] : [running])].map(create);
  const queue = new EevdfQueue(TUNABLES, (id) => entities[id]);
  for (const entity of entities.slice(0, waiting.length)) queue.line.insert(entity);
  if (running !== null) queue.line.state.current = waiting.length;
  const vruntimes = entities.map(({ state }) => state.vruntime);
  queue.line.state.minVruntime = vruntimes.length === 0 ? 0 : Math.min(...vruntimes);
  return { queue, entities, running: entities[waiting.length] };
}

function create({ v = 0, deadline = v + SLICE, nice = 0, lag = 0 }: Spec, id: number): Entity {
  const state = { ...newEntityState(), vruntime: v, deadline, lag };
  return {
    id,
    weight: weightOfNice(nice),
    state,
    toVirtual: (ns) => virtualRuntime(ns, nice),
    isIdle: false,
  };
}

describe('the one that runs next', () => {
  // Who waits, with virtual run time and deadline; the index that is picked.
  test.each<[string, readonly Spec[], number]>([
    [
      'has the earliest deadline',
      [
        { v: 0, deadline: 90 },
        { v: 0, deadline: 80 },
      ],
      1,
    ],
    [
      'has not had more than its share, however early its deadline',
      [
        { v: 0, deadline: 90 },
        { v: 10, deadline: 20 },
      ],
      0,
    ],
    [
      'may have had exactly its share',
      [
        { v: 5, deadline: 90 },
        { v: 5, deadline: 20 },
      ],
      1,
    ],
    // The mean is 2.5 with equal weights, 0.53 with the first of nice -10.
    ['counts by weight', [{ v: 0, nice: -10, deadline: 90 }, { v: 1, deadline: 20 }, { v: 9 }], 0],
    [
      'would be another without the weight',
      [{ v: 0, deadline: 90 }, { v: 1, deadline: 20 }, { v: 9 }],
      1,
    ],
    [
      'is the first of those with the same deadline',
      [
        { v: 1, deadline: 9 },
        { v: 0, deadline: 9 },
      ],
      1,
    ],
  ])('%s', (_, waiting, index) => {
    const { queue, entities } = queueOf(waiting);
    expect(queue.pickNext(0, null)).toBe(entities[index]);
  });

  test('is nobody where nobody waits', () => {
    expect(queueOf([]).queue.pickNext(0, null)).toBe(null);
  });

  test('goes on up to its deadline, and then makes way', () => {
    const { queue, running } = queueOf([{ v: 0, deadline: 400_000 }], { v: 0 });
    queue.line.state.pickedDeadline = SLICE;
    const again = () => {
      queue.putPrevious(true);
      return queue.pickNext(0, running);
    };
    expect(again()).toBe(running);
    // The other has an earlier deadline, but this one is in the middle of its slice.
    running.state.deadline = 2 * SLICE;
    expect(again()).not.toBe(running);
  });

  test('is another as soon as it has had more than its share', () => {
    const { queue, entities, running } = queueOf([{ v: 1000 }], { v: 1001 });
    queue.line.state.pickedDeadline = running.state.deadline;
    queue.putPrevious(true);
    expect(queue.pickNext(0, running)).toBe(entities[0]);
  });

  test('is not the next buddy: nobody looks at it', () => {
    const { queue, entities } = queueOf([
      { v: 0, deadline: 20 },
      { v: 0, deadline: 90 },
    ]);
    queue.setNext(entities[1]);
    expect(queue.pickNext(0, null)).toBe(entities[0]);
  });
});

describe('a slice', () => {
  test.each([-5, 0, 5])('is renewed when it is used up, at nice %i', (nice) => {
    const { queue, running } = queueOf([{}], { nice, deadline: reference.vruntime(SLICE, nice) });
    queue.update(SLICE / 2);
    const before = running.state.deadline;
    queue.update(SLICE + 1000);
    expect(running.state.deadline).toBeGreaterThan(before);
    expect(running.state.deadline).toBe(running.state.vruntime + reference.vruntime(SLICE, nice));
    expect([queue.tickPreempts(), queue.tickPreempts()]).toEqual([true, false]);
  });

  test('ends for others only', () => {
    const { queue } = queueOf([], {});
    queue.update(SLICE);
    expect(queue.tickPreempts()).toBe(false);
  });

  test('that is not used up ends nothing', () => {
    const { queue } = queueOf([{}], {});
    queue.update(SLICE - 1);
    expect(queue.tickPreempts()).toBe(false);
  });
});

describe('a newcomer', () => {
  const others = [{ v: 100 }, { v: 300 }];

  test('starts at the mean, with half a slice', () => {
    const { queue, entities } = queueOf([...others, {}]);
    queue.line.state.queued = [0, 1];
    queue.enqueue(entities[2], 'new');
    expect(entities[2].state).toMatchObject({ vruntime: 200, deadline: 200 + SLICE / 2 });
  });

  test('that was away has the lag that it left with', () => {
    // 60 of lag among 2048, stretched by 3072 / 2048: 90 behind the mean of 200.
    const { queue, entities } = queueOf([...others, { lag: 60 }]);
    queue.line.state.queued = [0, 1];
    queue.enqueue(entities[2], 'woken');
    expect(entities[2].state).toMatchObject({ vruntime: 110, deadline: 110 + SLICE });
  });

  test('that finds nobody has no lag', () => {
    const { queue, entities } = queueOf([{ lag: 60 }]);
    queue.line.state.queued = [];
    queue.line.state.minVruntime = 500;
    queue.enqueue(entities[0], 'woken');
    expect(entities[0].state.vruntime).toBe(500);
  });

  test.each([1, 2, 3, 4, 5])('keeps its lag when it leaves and comes back (%i)', (seed) => {
    const prng = new Prng(seed);
    const specs = Array.from({ length: 6 }, () => ({
      v: prng.below(SLICE),
      nice: prng.below(11) - 5,
    }));
    const { queue, entities } = queueOf(specs);
    const [leaver] = entities;
    queue.dequeue(leaver);
    const { lag } = leaver.state;
    queue.enqueue(leaver, 'woken');
    queue.dequeue(leaver);
    expect(Math.abs(leaver.state.lag - lag)).toBeLessThanOrEqual(2);
  });

  test.each([
    [1e12, 4_000_000],
    [-1e12, -4_000_000],
  ])('was not further from the mean than a tick when it left (%d)', (distance, lag) => {
    // Two base slices are less than a tick of 250 Hz.
    const { queue, entities } = queueOf([{ v: 0 }, { v: distance }]);
    queue.dequeue(entities[0]);
    expect(entities[0].state.lag).toBe(lag);
  });
});

describe('a wake-up', () => {
  test('preempts if the woken one would be picked', () => {
    const { queue, entities } = queueOf([{ v: 0, deadline: 10 }], { v: 1000, deadline: 2000 });
    expect(queue.wakeupPreempts(entities[0])).toBe(true);
  });

  test('does not end a slice that has begun, while its owner has not had its share', () => {
    const { queue, entities } = queueOf([{ v: 100, deadline: 110 }], { v: 0, deadline: 2000 });
    queue.line.state.pickedDeadline = 2000;
    expect(queue.wakeupPreempts(entities[0])).toBe(false);
  });
});

describe('a yield', () => {
  test('moves the own deadline by a slice, and nothing else', () => {
    const { queue, running } = queueOf([{ v: 50 }], { v: 0, deadline: SLICE });
    queue.yieldCurrent(100);
    expect(running.state).toMatchObject({ vruntime: 100, deadline: 2 * SLICE });
    expect(queue.line.state.skip).toBe(-1);
  });
});

/** What a thread has run, in ns. */
const ran = ({ state }: Host['threads'][number]) => state.times.host + state.times.guest;

describe('on a host', () => {
  const scheduler = { fairClass: 'eevdf' } as const;

  test.each([[[0, 0]], [[0, 0, 0]], [[0, 5]], [[-5, 0, 5]], [[-10, -10]]])(
    'hogs at nice %j share a second by weight',
    (niceLevels) => {
      const host = hostWith({ scheduler });
      for (const nice of niceLevels) startThread(host, HOG_BODY, { nice });
      host.run(1000 * MS);
      const before = host.threads.map(ran);
      host.run(2000 * MS);
      const total = niceLevels.reduce((sum, nice) => sum + reference.weight(nice), 0);
      host.threads.forEach((thread, i) => {
        const expected = (1000 * MS * reference.weight(niceLevels[i])) / total;
        // Twice what a lag can be: a tick.
        expect(Math.abs(ran(thread) - before[i] - expected)).toBeLessThanOrEqual(8 * MS);
      });
    },
  );

  test('who sleeps gets its share when it runs, no more', () => {
    const host = hostWith({ scheduler });
    startThread(host, HOG_BODY);
    new Script([compute(2 * MS), sleep(2 * MS)], 'forever').startOn(host);
    host.run(2000 * MS);
    host.assertConserved();
    const share = ran(host.threads[1]) / (2000 * MS);
    expect(share).toBeGreaterThan(0.25);
    expect(share).toBeLessThan(0.51);
  });

  test('yield_to moves the caller back, and does not prefer the target', () => {
    const caller = [compute(MS / 10), yieldTo(3), compute(50 * MS)];
    const firstAfter = (fairClass: 'cfs' | 'eevdf') => {
      const host = hostWith({ scheduler: { fairClass } });
      const script = new Script(caller);
      script.startOn(host);
      const hogs = [0, 1, 2].map(() => startThread(host, HOG_BODY));
      for (const [i, { state }] of hogs.entries()) {
        Object.assign(state, { vruntime: i, deadline: 1000 + i });
      }
      host.run(MS / 10 + 1000);
      expect(script.yields).toMatchObject([{ result: 'yielded' }]);
      return hogs.indexOf(host.pcpus[0].current as (typeof hogs)[number]);
    };
    expect(firstAfter('cfs')).toBe(2);
    expect(firstAfter('eevdf')).toBe(0);
  });
});
