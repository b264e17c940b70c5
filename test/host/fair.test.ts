// The fair queue: accounting, placement and preemption. Expectations: kvm-host.md 8.3, 8.4, 8.6
// (Linux kernel/sched/fair.c of 6.1), slices by test/support/cfs-reference.ts.

import { describe, expect, test } from 'vitest';
import { fairTunables, RunQueue } from '../../src/host/index.ts';
import * as reference from '../support/cfs-reference.ts';
import { QueueBench, TUNABLES } from '../support/fair-queue.ts';

const { latencyNs, minGranularityNs, wakeupGranularityNs } = TUNABLES;

describe('accounting', () => {
  test.each([-20, -3, 0, 4, 13, 19])('charges virtual run time at nice %i', (nice) => {
    const bench = new QueueBench({ running: { name: 'a', vruntime: 500, nice } });
    const { state } = bench.thread('a');
    state.execStartNs = 1000;
    expect(bench.queue.update(1_001_000)).toBe(1_000_000);
    expect(state.sumExecNs).toBe(1_000_000);
    expect(state.vruntime).toBe(500 + reference.vruntime(1_000_000, nice));
    expect(state.execStartNs).toBe(1_001_000);
  });

  test.each([0, -1])('charges nothing if the clock has moved by %i', (delta) => {
    const bench = new QueueBench({ running: { name: 'a', vruntime: 500 } });
    bench.thread('a').state.execStartNs = 1000;
    expect(bench.queue.update(1000 + delta)).toBe(0);
    expect(bench.thread('a').state).toMatchObject({ vruntime: 500, execStartNs: 1000 });
  });

  test('moves the minimum with the earlier of running and first waiting, never back', () => {
    const bench = new QueueBench({
      running: { name: 'a', vruntime: 100 },
      waiting: [{ name: 'b', vruntime: 150 }],
      elsewhere: [{ name: 'c', vruntime: 20 }],
    });
    const { queue } = bench;
    queue.update(30);
    expect(queue.root.line.state.minVruntime).toBe(130);
    queue.update(80);
    expect(queue.root.line.state.minVruntime).toBe(150);
    queue.enqueue(bench.thread('c'), 'woken');
    expect(bench.thread('c').state.vruntime).toBe(20);
    expect(queue.root.line.state.minVruntime).toBe(150);
    queue.putPrevious(false);
    expect(queue.root.line.state.minVruntime).toBe(150);
  });
});

describe('placement', () => {
  const SITUATION = {
    running: { name: 'a', vruntime: 50e6 },
    waiting: [{ name: 'b', vruntime: 51e6, nice: 5 }],
  } as const;

  test.each([-5, 0, 5])('puts a new thread of nice %i one virtual slice later', (nice) => {
    const bench = new QueueBench({ ...SITUATION, elsewhere: [{ name: 'n', nice }] });
    bench.queue.enqueue(bench.thread('n'), 'new');
    const slice = reference.slice(nice, [0, 5, nice], TUNABLES);
    expect(bench.thread('n').state.vruntime).toBe(50e6 + reference.vruntime(slice, nice));
  });

  test('counts the newcomer when it stretches the period', () => {
    const waiting = Array.from({ length: 8 }, (_, i) => ({ name: `w${i}` }));
    const bench = new QueueBench({ waiting, elsewhere: [{ name: 'n' }] });
    bench.queue.enqueue(bench.thread('n'), 'new');
    const all = Array.from({ length: 9 }, () => 0);
    expect(bench.thread('n').state.vruntime).toBe(reference.slice(0, all, TUNABLES));
  });

  test('does not put a new thread before what it has run already', () => {
    const bench = new QueueBench({ ...SITUATION, elsewhere: [{ name: 'n', vruntime: 90e6 }] });
    bench.queue.enqueue(bench.thread('n'), 'new');
    expect(bench.thread('n').state.vruntime).toBe(90e6);
  });

  // Half of the latency is the credit of a sleeper.
  test.each([
    ['long ago', 10e6, 50e6 - latencyNs / 2],
    ['exactly the credit ago', 50e6 - latencyNs / 2, 50e6 - latencyNs / 2],
    ['just within the credit', 50e6 - latencyNs / 2 + 1, 50e6 - latencyNs / 2 + 1],
    ['ahead of the others', 60e6, 60e6],
  ])('of a thread that fell asleep %s', (_, vruntime, expected) => {
    const bench = new QueueBench({ ...SITUATION, elsewhere: [{ name: 's', vruntime }] });
    bench.queue.enqueue(bench.thread('s'), 'woken');
    expect(bench.thread('s').state.vruntime).toBe(expected);
  });

  test('keeps the distance to the minimum when a thread moves to another queue', () => {
    const bench = new QueueBench(SITUATION);
    const other = new RunQueue('cfs', TUNABLES, bench.threads);
    other.root.line.state.minVruntime = 7e6;
    bench.queue.takeForMove(bench.thread('b'));
    expect(bench.waiting).toEqual([]);
    other.enqueue(bench.thread('b'), 'moved');
    expect(bench.thread('b').state.vruntime).toBe(8e6);
  });

  test('puts a newcomer right of those with the same virtual run time', () => {
    const waiting = ['a', 'b', 'c'].map((name, i) => ({ name, vruntime: 10 * i }));
    const bench = new QueueBench({ waiting, elsewhere: [{ name: 'n', vruntime: 10 }] });
    bench.queue.enqueue(bench.thread('n'), 'woken');
    expect(bench.waiting).toEqual(['a', 'b', 'n', 'c']);
  });

  test('puts a preempted thread right of those with the same virtual run time', () => {
    const bench = new QueueBench({
      running: { name: 'r', vruntime: 10 },
      waiting: [
        { name: 'a', vruntime: 10 },
        { name: 'b', vruntime: 11 },
      ],
    });
    bench.queue.putPrevious(true);
    expect(bench.waiting).toEqual(['a', 'r', 'b']);
  });
});

describe('the tick', () => {
  /** A running thread and others, all with virtual run time 0 unless told otherwise. */
  function runningFor(ranNs: number, others: readonly number[], ahead = 0): QueueBench {
    const waiting = others.map((nice, i) => ({ name: `w${i}`, nice }));
    const bench = new QueueBench({ running: { name: 'r', vruntime: ahead }, waiting });
    Object.assign(bench.thread('r').state, { sumExecNs: 5e9 + ranNs, prevSumExecNs: 5e9 });
    return bench;
  }

  const QUEUES: readonly (readonly [string, readonly number[]])[] = [
    ['one equal thread', [0]],
    ['two equal threads', [0, 0]],
    ['a heavier thread', [-10]],
    ['a lighter thread', [10]],
    ['seven equal threads', [0, 0, 0, 0, 0, 0, 0]],
    ['eight, which stretch the period', [0, 0, 0, 0, 0, 0, 0, 0]],
  ];

  test.each(QUEUES)('ends a slice shared with %s, not before it is over', (_, others) => {
    const slice = reference.slice(0, [0, ...others], TUNABLES);
    expect(runningFor(slice, others).queue.tickPreempts()).toBe(false);
    expect(runningFor(slice + 1, others).queue.tickPreempts()).toBe(true);
  });

  test('uses the slices of the reference on four pCPUs', () => {
    for (const [others, slice] of [
      [[0], 8_999_995],
      [[0, 0], 5_999_998],
    ] as const) {
      for (const [ran, expected] of [
        [slice, false],
        [slice + 1, true],
      ] as const) {
        const waiting = others.map((nice, i) => ({ name: `w${i}`, nice }));
        const bench = new QueueBench({ running: { name: 'r' }, waiting }, fairTunables(4, 250));
        bench.thread('r').state.sumExecNs = ran;
        expect(bench.queue.tickPreempts()).toBe(expected);
      }
    }
  });

  test('keeps a thread that has not run for the minimal granularity', () => {
    const ahead = 1e9;
    expect(runningFor(minGranularityNs - 1, [0], ahead).queue.tickPreempts()).toBe(false);
    expect(runningFor(minGranularityNs, [0], ahead).queue.tickPreempts()).toBe(true);
  });

  test('ends a turn early if the thread is more than a slice ahead of the first in line', () => {
    const slice = reference.slice(0, [0, 0], TUNABLES);
    expect(runningFor(minGranularityNs, [0], slice).queue.tickPreempts()).toBe(false);
    expect(runningFor(minGranularityNs, [0], slice + 1).queue.tickPreempts()).toBe(true);
  });

  test('leaves a thread alone that is alone', () => {
    expect(runningFor(1e12, [], 1e12).queue.tickPreempts()).toBe(false);
  });

  test('clears the own buddies of a thread whose slice is over, not those of others', () => {
    const bench = runningFor(1e9, [0]);
    bench.queue.root.line.state.next = bench.thread('r').id;
    bench.queue.root.line.state.skip = bench.thread('w0').id;
    bench.queue.tickPreempts();
    expect([bench.buddy('next'), bench.buddy('skip')]).toEqual([null, 'w0']);
  });
});

describe('a wake-up', () => {
  function wakeUp(ahead: number, nice: number, others = 0): QueueBench {
    const others_ = Array.from({ length: others }, (_, i) => ({ name: `o${i}`, vruntime: 1e12 }));
    return new QueueBench({
      running: { name: 'r', vruntime: 1e9 + ahead },
      waiting: [{ name: 'w', vruntime: 1e9, nice }, ...others_],
    });
  }

  test.each([-20, -5, 0, 5, 19])('preempts beyond the granularity of nice %i', (nice) => {
    const granularity = reference.vruntime(wakeupGranularityNs, nice);
    const equal = wakeUp(granularity, nice);
    expect(equal.queue.wakeupPreempts(equal.thread('w'))).toBe(false);
    expect(equal.buddy('next')).toBe(null);
    const more = wakeUp(granularity + 1, nice);
    expect(more.queue.wakeupPreempts(more.thread('w'))).toBe(true);
    expect(more.buddy('next')).toBe('w');
  });

  test('does not preempt a thread that is behind', () => {
    const bench = wakeUp(-1, 0);
    expect(bench.queue.wakeupPreempts(bench.thread('w'))).toBe(false);
  });

  // The woken thread counts.
  test.each([
    [7, null],
    [8, 'r'],
    [9, 'r'],
  ])('of %i threads makes the preempted one the last buddy: %s', (count, last) => {
    const bench = wakeUp(1e9, 0, count - 2);
    expect(bench.queue.runningCount).toBe(count);
    bench.queue.wakeupPreempts(bench.thread('w'));
    expect(bench.buddy('last')).toBe(last);
  });

  test('of a long sleeper preempts: its credit is more than the granularity', () => {
    const bench = new QueueBench({
      running: { name: 'r', vruntime: 1e9 },
      elsewhere: [{ name: 's' }],
    });
    bench.queue.enqueue(bench.thread('s'), 'woken');
    expect(bench.queue.wakeupPreempts(bench.thread('s'))).toBe(true);
    expect(bench.pick()).toBe('s');
  });
});
