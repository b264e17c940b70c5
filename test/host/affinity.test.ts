// Affinity that changes: who may not be where it is goes at once, by the stopper if it runs. Linux
// kernel/sched/core.c, __set_cpus_allowed_ptr.

import { expect, test } from 'vitest';
import { HOG_BODY } from '../../src/host/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import {
  COSTLY,
  compute,
  hostWith,
  MS,
  Script,
  sleep,
  startThread,
} from '../support/host-world.ts';

function world() {
  const host = hostWith({ pcpuCount: 4, costs: COSTLY });
  const records: TraceRecord[] = [];
  host.sink = { record: (record) => records.push(record) };
  const events = (...names: string[]) => records.filter(({ name }) => names.includes(name));
  return { host, events };
}

test('who runs is moved by migration/N, which takes the pCPU', () => {
  const { host, events } = world();
  const hog = startThread(host, HOG_BODY, { affinity: [0] });
  host.run(10 * MS);
  host.scheduler.setAffinity(hog, [2, 3], host.pcpus[1]);
  host.run(11 * MS);
  expect([hog.state.status, hog.state.pcpu]).toEqual(['running', 2]);
  const [to, back] = events('sched_switch')
    .filter(({ pcpu }) => pcpu === 0)
    .slice(1);
  expect(to.fields).toMatchObject({ prev: { comm: 't0' }, next: { comm: 'migration/0', prio: 0 } });
  expect(back.fields).toMatchObject({ prev: { comm: 'migration/0' }, next: { pid: 0 } });
  const [move] = events('sched_migrate_task');
  expect(move).toMatchObject({ comm: 'migration/0', fields: { origCpu: 0, destCpu: 2 } });
  expect(move.timeNs - 10 * MS).toBeLessThan(MS / 10);
  host.run(100 * MS);
  expect(hog.state.pcpu).toBe(2);
  host.assertConserved();
});

test('who waits is moved without it, and who may stay stays', () => {
  const { host, events } = world();
  const hogs = [0, 1].map(() => startThread(host, HOG_BODY, { affinity: [0] }));
  host.run(10 * MS);
  const waiting = hogs.find(({ state }) => state.status === 'runnable');
  const running = hogs.find(({ state }) => state.status === 'running');
  if (waiting === undefined || running === undefined) throw new Error('one of each expected');
  host.scheduler.setAffinity(running, [0, 3], host.pcpus[1]);
  host.scheduler.setAffinity(waiting, [3], host.pcpus[1]);
  expect(waiting.state.pcpu).toBe(3);
  host.run(20 * MS);
  expect(hogs.map(({ state }) => state.status)).toEqual(['running', 'running']);
  expect(events('sched_switch').map(({ comm }) => comm)).not.toContain('migration/0');
  host.assertConserved();
});

test('who sleeps is woken where it may run, and balancing keeps to it', () => {
  const { host } = world();
  const script = new Script([compute(MS), sleep(10 * MS), compute(20 * MS)]);
  const thread = script.startOn(host, { affinity: [1] });
  host.run(5 * MS);
  host.scheduler.setAffinity(thread, [2], host.pcpus[0]);
  expect([thread.state.status, thread.state.pcpu]).toEqual(['blocked', 1]);
  host.run(15 * MS);
  expect([thread.state.status, thread.state.pcpu]).toEqual(['running', 2]);
  host.assertConserved();
});

test('it is state: who goes back in time finds the affinity of then', () => {
  const { host } = world();
  const hog = startThread(host, HOG_BODY, { affinity: [0] });
  host.createStoppers();
  host.run(5 * MS);
  const before = JSON.parse(JSON.stringify(host.state));
  host.scheduler.setAffinity(hog, [2], host.pcpus[1]);
  host.run(10 * MS);
  expect(hog.affinity).toEqual([2]);
  host.state = before;
  expect([hog.affinity, hog.state.pcpu]).toEqual([[0], 0]);
});
