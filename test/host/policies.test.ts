// SCHED_BATCH and SCHED_IDLE. Expectations: kvm-host.md 8.1 (weight 3), 8.4 (credit) and 8.6.

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host, type Policy, type Thread } from '../../src/host/index.ts';
import { compute, hostWith, MS, Script, sleep, startThread } from '../support/host-world.ts';

const ran = ({ state }: Thread) => state.times.host + state.times.guest;

describe.each(['cfs', 'eevdf'] as const)('under %s', (fairClass) => {
  test('a thread of SCHED_IDLE has a weight of 3, whatever its nice level', () => {
    const host = hostWith({ scheduler: { fairClass } });
    const idle = startThread(host, HOG_BODY, { policy: 'idle', nice: -20 });
    startThread(host, HOG_BODY);
    host.run(5000 * MS);
    const before = ran(idle);
    // Its turn comes once in 342 of the other's slices, of which it has a tick.
    host.run(25_000 * MS);
    const share = (ran(idle) - before) / (20_000 * MS);
    expect(Math.abs(share - 3 / 1027)).toBeLessThan(0.001);
  });

  /** A sleeper wakes up while a hog runs: how long after that does it run? */
  function latency(woken: Policy, running: Policy): number {
    const host = hostWith({ scheduler: { fairClass } });
    startThread(host, HOG_BODY, { policy: running });
    const script = new Script([sleep(401 * MS), compute(MS)]);
    script.startOn(host, { policy: woken });
    host.run(2000 * MS);
    const [, second] = script.switches.filter((one) => one.in);
    const [first] = script.switches.filter((one) => !one.in);
    return second.at - first.at - 401 * MS;
  }

  test.each([
    ['normal', 'normal', 'at once'],
    ['normal', 'batch', 'at once'],
    ['normal', 'idle', 'at once'],
    ['batch', 'normal', 'at a tick'],
    ['batch', 'batch', 'at a tick'],
    ['batch', 'idle', 'at once'],
    ['idle', 'normal', 'at a tick'],
    ['idle', 'idle', 'at a tick'],
  ] as const)('woken, %s takes the place of %s %s', (woken, running, when) => {
    const waited = latency(woken, running);
    if (when === 'at once') expect(waited).toBe(0);
    else expect(waited).toBeGreaterThan(0.1 * MS);
  });
});

/** A sleeper of this policy has slept for long: how far behind the minimum it comes back. */
function credit(policy: Policy): number {
  const host = hostWith();
  startThread(host, HOG_BODY);
  const thread = new Script([sleep(200 * MS), compute(MS)]).startOn(host, { policy });
  host.run(100 * MS);
  const { queue } = host.pcpus[0];
  queue.update(host.pcpus[0].nowNs);
  const least = queue.root.line.state.minVruntime;
  thread.state.vruntime = 0;
  queue.enqueue(thread, 'woken');
  return least - thread.state.vruntime;
}

test("a sleeper's credit is half of the latency, of SCHED_IDLE half of the granularity", () => {
  expect(credit('normal')).toBe(3 * MS);
  expect(credit('batch')).toBe(3 * MS);
  expect(credit('idle')).toBe(0.375 * MS);
});

test('a group with cpu.idle is as SCHED_IDLE to its siblings', () => {
  const host = hostWith();
  const group = host.createGroup({ name: 'g', shares: 1024, isIdle: true });
  const inside = startThread(host, HOG_BODY, { group });
  const script = new Script([sleep(100 * MS), compute(MS)], 'forever');
  script.startOn(host);
  const other = startThread(host, HOG_BODY);
  host.run(6000 * MS);
  expect(ran(inside) / ran(other)).toBeLessThan(0.01);
  expect(group.entities[0].weight).toBeLessThanOrEqual(3);
});

test('a pCPU on which only SCHED_IDLE runs is as good as an idle one to who wakes up', () => {
  const placed = (policy: Policy) => {
    const host: Host = hostWith({ pcpuCount: 2 });
    const sleeper = new Script([sleep(10 * MS), compute(MS)]).startOn(host);
    host.run(5 * MS);
    startThread(host, HOG_BODY, { affinity: [0] });
    startThread(host, HOG_BODY, { affinity: [1], policy });
    host.run(20 * MS);
    return sleeper.state.pcpu;
  };
  expect(placed('idle')).toBe(1);
  expect(placed('batch')).toBe(0);
});
