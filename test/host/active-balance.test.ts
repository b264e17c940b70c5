// Active balancing: who runs is moved where nobody waits. Expectations: packages get equally many
// threads (fair.c, SD_PREFER_SIBLING), after more failures than cache_nice_tries + 2, by
// migration/N.

import { describe, expect, test } from 'vitest';
import {
  BALANCE_RULES,
  type BalanceRule,
  HOG_BODY,
  type HostConfig,
} from '../../src/host/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import { COSTLY, hostWith, MS, startThread } from '../support/host-world.ts';

/** Two packages of two pCPUs, and two hogs, which begin on the first one. */
function world(balanceBy: BalanceRule, more: Partial<HostConfig> = {}, affinity = [0, 1, 2, 3]) {
  const scheduler = { balanceBy, activeBalance: true, ...more.scheduler };
  const host = hostWith({ pcpuCount: 4, packages: 2, ...more, scheduler });
  const hogs = [0, 1].map(() => startThread(host, HOG_BODY, { affinity }));
  host.createStoppers();
  const packages = () => hogs.map(({ state }) => state.pcpu >> 1).sort();
  return { host, hogs, packages };
}

describe.each(BALANCE_RULES)('by %s', (rule) => {
  test('two running threads end up on two packages, and stay there', () => {
    const { host, packages } = world(rule, { costs: COSTLY });
    const records: TraceRecord[] = [];
    host.sink = { record: (record) => records.push(record) };
    expect(packages()).toEqual([0, 0]);
    host.run(2000 * MS);
    expect(packages()).toEqual([0, 1]);
    host.assertConserved();
    const moves = records.filter(({ name }) => name === 'sched_migrate_task');
    expect(moves.map(({ comm, fields }) => [comm, fields])).toEqual([
      ['migration/0', { comm: 't0', pid: 1000, prio: 120, origCpu: 0, destCpu: 2 }],
    ]);
  });

  test('not before balancing has failed five times', () => {
    const { host, packages } = world(rule);
    const failed = () => host.scheduler.balancer.state[2].domains.at(-1)?.failed ?? 0;
    let most = 0;
    for (let at = MS; packages()[1] === 0; at += MS) {
      most = Math.max(most, failed());
      host.run(at);
      expect(at).toBeLessThan(2000 * MS);
    }
    // Twice may cache-warm threads stay in the domain of all packages: cache_nice_tries is 2.
    expect(most).toBeGreaterThanOrEqual(4);
    expect(failed()).toBe(0);
  });

  test('unless it may not run there, or nobody is to be moved', () => {
    for (const [more, affinity] of [
      [{}, [0, 1]],
      [{ scheduler: { activeBalance: false } }, [0, 1, 2, 3]],
    ] as const) {
      const { host, packages } = world(rule, more, [...affinity]);
      host.run(1000 * MS);
      expect(packages()).toEqual([0, 0]);
    }
  });
});

test('is the same paused, and restored from its state at any time', () => {
  const [whole, pieces] = [0, 1].map(() => world('type', { costs: COSTLY }));
  whole.host.run(200 * MS);
  for (let at = 0; at <= 200 * MS; at += 777_777) {
    pieces.host.run(at);
    pieces.host.state = JSON.parse(JSON.stringify(pieces.host.state));
  }
  pieces.host.run(200 * MS);
  expect(pieces.host.state).toEqual(whole.host.state);
});
