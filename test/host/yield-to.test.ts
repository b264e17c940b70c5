// Directed yield, case by case. Expectations: kvm-host.md 2.7 (Linux kernel/sched/core.c, yield_to;
// fair.c, yield_to_task_fair).

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host, type Thread } from '../../src/host/index.ts';
import {
  COSTLY,
  compute,
  FREE,
  hostWith,
  MS,
  Script,
  startThread,
  waitForWake,
  yieldTo,
} from '../support/host-world.ts';

/** Hogs pinned to pCPUs, for example [0, 0, 1]; the first on each pCPU runs. */
function hogsOn(pcpus: readonly number[], costs = FREE): Host {
  const host = hostWith({ pcpuCount: 2, costs });
  for (const pcpu of pcpus) startThread(host, HOG_BODY, { affinity: [pcpu] });
  host.run(1000);
  return host;
}

/** A sleeping thread that belongs to a pCPU. */
function sleeperOn(host: Host, pcpu: number): Thread {
  const thread = new Script([waitForWake, compute(MS)]).startOn(host, { affinity: [pcpu] });
  host.run(10 * MS);
  expect(thread.state.status).toBe('blocked');
  return thread;
}

/** Everybody has run equally long, and waits in the order of creation. */
function level(host: Host, vruntime: number): void {
  for (const thread of host.threads) thread.state.vruntime = vruntime;
  for (const { queue } of host.pcpus) queue.root.line.state.queued.sort((a, b) => a - b);
}

const virtualTimes = (host: Host) => host.threads.map(({ state }) => state.vruntime);

describe('the result of yield_to from pCPU 0', () => {
  // Hogs by pCPU, the target, the result.
  test.each([
    ['alone', 'both queues hold one thread', [0, 1], 1],
    ['alone', 'the caller is alone and yields to itself', [0], 0],
    ['refused', 'the target runs, and the caller has company', [0, 1, 0], 1],
    ['refused', 'the target runs, and has company', [0, 1, 1], 1],
    ['refused', 'the caller yields to itself', [0, 0], 0],
    ['yielded', 'the target waits here', [0, 0], 1],
    ['yielded', 'the target waits elsewhere, and the caller has company', [0, 1, 1, 0], 2],
    ['yielded', 'the target waits elsewhere, and the caller is alone', [0, 1, 1], 2],
  ] as const)('is %s if %s', (result, _, pcpus, target) => {
    const host = hogsOn(pcpus);
    expect(host.scheduler.yieldTo(host.pcpus[0], host.threads[target])).toBe(result);
  });

  test('is refused if the target sleeps', () => {
    const host = hogsOn([0, 0]);
    const sleeper = sleeperOn(host, 1);
    expect(host.scheduler.yieldTo(host.pcpus[0], sleeper)).toBe('refused');
  });

  test('is alone if the target sleeps where one thread runs', () => {
    const host = hogsOn([0]);
    const sleeper = sleeperOn(host, 1);
    startThread(host, HOG_BODY, { affinity: [1] });
    host.run(11 * MS);
    expect(host.scheduler.yieldTo(host.pcpus[0], sleeper)).toBe('alone');
  });

  test('is yielded if the target has just been woken and not run yet', () => {
    const host = hostWith({ pcpuCount: 2, costs: COSTLY });
    startThread(host, HOG_BODY, { affinity: [0] });
    startThread(host, HOG_BODY, { affinity: [0] });
    const sleeper = sleeperOn(host, 1);
    host.scheduler.wake(sleeper, host.pcpus[0]);
    expect(host.scheduler.yieldTo(host.pcpus[0], sleeper)).toBe('yielded');
  });
});

test('a refused yield changes nothing', () => {
  for (const pcpus of [[0], [0, 0], [0, 1]]) {
    const host = hogsOn(pcpus);
    const before = host.state;
    host.scheduler.yieldTo(host.pcpus[0], host.threads[0]);
    expect(host.state).toEqual(before);
  }
});

describe('a yield to a thread that waits on the same pCPU', () => {
  /** t0 yields to t3 after a millisecond; t0 has run all that time, the others not at all. */
  function yieldAmong(): { host: Host; script: Script } {
    const host = hostWith();
    const script = new Script([compute(MS), yieldTo(3), compute(50 * MS)]);
    script.startOn(host);
    for (let i = 0; i < 3; i++) startThread(host, HOG_BODY);
    level(host, 0);
    host.run(MS - 1);
    return { host, script };
  }

  test('gives it the pCPU at once, before those in front of it', () => {
    const { host, script } = yieldAmong();
    expect(host.pcpus[0].current?.name).toBe('t0');
    host.run(MS + 1);
    expect(host.pcpus[0].current?.name).toBe('t3');
    expect(script.yields).toEqual([{ at: MS, result: 'yielded' }]);
  });

  test('charges the caller what it has run, and changes no other virtual run time', () => {
    const { host } = yieldAmong();
    host.run(MS + 1);
    expect(virtualTimes(host)).toEqual([MS, 0, 0, 0]);
  });

  test('is ignored if the target is further behind than the granularity', () => {
    const { host } = yieldAmong();
    host.threads[3].state.vruntime = MS + 1;
    host.run(MS + 1);
    expect(host.pcpus[0].current?.name).toBe('t1');
  });

  test('lets the caller go on if everybody else is further behind than the granularity', () => {
    const host = hostWith();
    const script = new Script([compute(1000), yieldTo(1), compute(50 * MS)]);
    script.startOn(host);
    startThread(host, HOG_BODY);
    // A new thread starts a slice behind, 6 ms; the granularity is 1 ms.
    host.run(2000);
    expect(script.yields).toEqual([{ at: 1000, result: 'yielded' }]);
    expect(host.pcpus[0].current?.name).toBe('t0');
  });
});

describe('a yield to a thread that waits on another pCPU', () => {
  /** t0 on pCPU 0; t1 runs and t2 and t3 wait on pCPU 1, all equally far. */
  function yieldAcross(costs = FREE): Host {
    const host = hogsOn([0, 1, 1, 1], costs);
    level(host, 1000);
    expect(host.pcpus[1].current?.name).toBe('t1');
    expect(host.scheduler.yieldTo(host.pcpus[0], host.threads[3])).toBe('yielded');
    return host;
  }

  test('makes it run there, before those in front of it', () => {
    const host = yieldAcross();
    host.run(2000);
    expect(host.pcpus[1].current?.name).toBe('t3');
  });

  test('interrupts that pCPU', () => {
    const host = yieldAcross(COSTLY);
    expect(host.pcpus[1].needResched).toBe(true);
    const sent = host.pcpus[0].now;
    expect(host.pendingEvents).toContainEqual(
      expect.objectContaining({ kind: 'ipi', target: 1, time: sent + COSTLY.ipiLatency }),
    );
  });

  test('moves nobody', () => {
    const host = yieldAcross();
    host.run(2000);
    expect(host.threads.map(({ state }) => state.pcpu)).toEqual([0, 1, 1, 1]);
  });

  test('leaves the caller running if it is alone there', () => {
    const host = hostWith({ pcpuCount: 2 });
    const script = new Script([compute(MS), yieldTo(2), compute(50 * MS)]);
    script.startOn(host, { affinity: [0] });
    for (let i = 0; i < 2; i++) startThread(host, HOG_BODY, { affinity: [1] });
    host.run(2 * MS);
    expect(script.yields).toEqual([{ at: MS, result: 'yielded' }]);
    expect(script.switches).toEqual([{ at: 0, pcpu: 0, in: true }]);
  });

  test('holds although a thread is woken there before that pCPU has looked', () => {
    // fair.c, check_preempt_wakeup: nothing to do if need_resched is set already.
    const host = hogsOn([0, 1, 1]);
    const sleeper = sleeperOn(host, 1);
    const [waiting] = host.pcpus[1].queue.waiting;
    expect(host.scheduler.yieldTo(host.pcpus[0], waiting)).toBe('yielded');
    host.scheduler.wake(sleeper, host.pcpus[0]);
    expect(host.pcpus[1].queue.root.line.state.next).toBe(waiting.id);
  });
});
