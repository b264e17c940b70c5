// What the fair queue picks, and what becomes of buddies. Expectations: kvm-host.md 8.5 and 2.7
// (Linux 6.1 kernel/sched/fair.c, pick_next_entity, set_next_entity, yield_task_fair).

import { describe, expect, test } from 'vitest';
import { QueueBench, type Situation, TUNABLES } from '../support/fair-queue.ts';

const G = TUNABLES.wakeupGranularityNs;

/** Threads a, b, c, ... with these virtual run times. */
const line = (...vruntimes: number[]) =>
  vruntimes.map((vruntime, i) => ({ name: 'abcdefgh'[i], vruntime }));

const CASES: readonly (readonly [string, Situation, string | null])[] = [
  ['nobody', {}, null],
  ['the first in line', { waiting: line(5, 6) }, 'a'],
  ['the running thread if it is behind', { waiting: line(5), running: { name: 'r' } }, 'r'],
  ['the running thread if it is alone', { running: { name: 'r' } }, 'r'],
  ['the waiting one of two equals', { waiting: line(5), running: { name: 'r', vruntime: 5 } }, 'a'],
  ['the next buddy', { waiting: line(0, 1, 2), next: 'c' }, 'c'],
  ['a next buddy at the granularity', { waiting: line(0, G), next: 'b' }, 'b'],
  ['no next buddy beyond it', { waiting: line(0, G + 1), next: 'b' }, 'a'],
  ['the second if the first is skipped', { waiting: line(0, 1, 2), skip: 'a' }, 'b'],
  ['the first if another is skipped', { waiting: line(0, 1, 2), skip: 'b' }, 'a'],
  ['the second at the granularity', { waiting: line(0, G), skip: 'a' }, 'b'],
  ['the skipped one if the second is beyond', { waiting: line(0, G + 1), skip: 'a' }, 'a'],
  ['the skipped one if it is alone', { waiting: line(0), skip: 'a' }, 'a'],
  [
    'the first in line if the running thread is skipped',
    { waiting: line(9, 20), running: { name: 'r', vruntime: 0 }, skip: 'r' },
    'a',
  ],
  [
    'the running thread as the second',
    { waiting: line(0, 9), running: { name: 'r', vruntime: 5 }, skip: 'a' },
    'r',
  ],
  [
    'the successor if the running thread is equal to it',
    { waiting: line(0, 5), running: { name: 'r', vruntime: 5 }, skip: 'a' },
    'b',
  ],
  ['next, although it is skipped too', { waiting: line(0, 1), next: 'a', skip: 'a' }, 'a'],
  ['next rather than the second', { waiting: line(0, 1, 2), next: 'c', skip: 'a' }, 'c'],
  ['the second if next is too far', { waiting: line(0, 1, G + 1), next: 'c', skip: 'a' }, 'b'],
  ['the last buddy', { waiting: line(0, 1, 2), last: 'c' }, 'c'],
  ['no last buddy beyond the granularity', { waiting: line(0, G + 1), last: 'b' }, 'a'],
  ['next rather than last', { waiting: line(0, 1, 2), next: 'b', last: 'c' }, 'b'],
  ['last if next is too far', { waiting: line(0, 1, G + 1), next: 'c', last: 'b' }, 'b'],
  ['last rather than the second', { waiting: line(0, 1, 2), last: 'c', skip: 'a' }, 'c'],
  // The distance counts from the left-most, not from the one that is skipped to.
  ['next by its distance to the first', { waiting: line(0, 1, G), next: 'c', skip: 'a' }, 'c'],
  // gran(left) of a light thread is long: 1 ms at nice 5 is 3.06 ms of virtual time.
  [
    'next within the granularity that the first one has',
    { waiting: [{ name: 'a', nice: 5 }, ...line(0, 3 * G).slice(1)], next: 'b' },
    'b',
  ],
];

test.each(CASES)('picks %s', (_, situation, expected) => {
  expect(new QueueBench(situation).pick()).toBe(expected);
});

describe('buddies', () => {
  const buddies = (bench: QueueBench) =>
    (['next', 'last', 'skip'] as const).map((kind) => bench.buddy(kind));

  test('of the thread that starts to run are cleared, those of others stay', () => {
    const waiting = line(0, 1);
    const own = afterPick({ waiting, next: 'a', last: 'a', skip: 'a' });
    expect(buddies(own)).toEqual([null, null, null]);
    expect(buddies(afterPick({ waiting, skip: 'b' }))).toEqual([null, null, 'b']);
    const far = line(0, G + 1);
    expect(buddies(afterPick({ waiting: far, next: 'b' }))).toEqual(['b', null, null]);
  });

  test('of a thread that is picked again are not cleared', () => {
    const bench = afterPick({ running: { name: 'r' }, waiting: line(G + 1), skip: 'r' });
    expect(bench.buddy('skip')).toBe('r');
  });

  test('of a thread that blocks or moves away are cleared', () => {
    const blocking = new QueueBench({ running: { name: 'r' }, next: 'r', last: 'r', skip: 'r' });
    blocking.queue.putPrevious(false);
    expect(buddies(blocking)).toEqual([null, null, null]);
    const moving = new QueueBench({ waiting: line(0), next: 'a', last: 'a', skip: 'a' });
    moving.queue.takeForMove(moving.thread('a'));
    expect(buddies(moving)).toEqual([null, null, null]);
  });

  test('are set for waiting threads only', () => {
    const bench = new QueueBench({
      ...{ running: { name: 'r' }, waiting: line(0), elsewhere: [{ name: 'e' }] },
    });
    expect(bench.queue.setNextBuddy(bench.thread('e'))).toBe(false);
    expect(bench.queue.setNextBuddy(bench.thread('r'))).toBe(false);
    expect(bench.buddy('next')).toBe(null);
    expect(bench.queue.setNextBuddy(bench.thread('a'))).toBe(true);
    expect(bench.buddy('next')).toBe('a');
  });

  function afterPick(situation: Situation): QueueBench {
    const bench = new QueueBench(situation);
    bench.pick();
    return bench;
  }
});

describe('a yield', () => {
  test('charges the caller, clears its buddies and has it skipped', () => {
    const bench = new QueueBench({ running: { name: 'r' }, waiting: line(0), next: 'r' });
    bench.queue.yieldCurrent(1000);
    expect(bench.thread('r').state).toMatchObject({ vruntime: 1000, sumExecNs: 1000 });
    expect([bench.buddy('next'), bench.buddy('skip')]).toEqual([null, 'r']);
  });

  test('does nothing if the caller is alone', () => {
    const bench = new QueueBench({ running: { name: 'r' }, next: 'r' });
    bench.queue.yieldCurrent(1000);
    expect(bench.thread('r').state.vruntime).toBe(0);
    expect([bench.buddy('next'), bench.buddy('skip')]).toEqual(['r', null]);
  });

  test('changes no virtual run time of others', () => {
    const bench = new QueueBench({ running: { name: 'r' }, waiting: line(10, 20, 30) });
    bench.queue.setNextBuddy(bench.thread('c'));
    bench.queue.yieldCurrent(1000);
    const others = ['a', 'b', 'c'].map((name) => bench.thread(name).state.vruntime);
    expect(others).toEqual([10, 20, 30]);
  });
});

describe('a turn', () => {
  test('begins anew for a thread that starts to run, and goes on for one picked again', () => {
    const bench = new QueueBench({ running: { name: 'r' }, waiting: line(500) });
    for (const name of ['r', 'a']) {
      Object.assign(bench.thread(name).state, { sumExecNs: 100, prevSumExecNs: 40 });
    }
    expect(bench.pick()).toBe('r');
    expect(bench.thread('r').state.prevSumExecNs).toBe(40);
    bench.thread('r').state.vruntime = 501;
    expect(bench.pick()).toBe('a');
    expect(bench.thread('a').state.prevSumExecNs).toBe(100);
  });
});
