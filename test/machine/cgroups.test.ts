// Control groups in scenarios: the host's groups made of them, mistakes with their places, what
// reports say, and that runs with quotas are the same paused, restored or with nothing left out.

import { describe, expect, test } from 'vitest';
import {
  checkScenario,
  documentOf,
  Machine,
  printPath,
  reportOf,
  reportText,
} from '../../src/machine/index.ts';
import { assembleText, checkedScenario } from '../support/guest-run.ts';

const VM = { program: 'a.asm' };
const SPIN = assembleText('mov ecx, 0xffffffff\nspin: dec ecx\njnz spin\ncli\nhlt');

function issuesOf(cgroups: object, more: object = {}, kernel = 'linux-6.1'): string[] {
  const checked = checkScenario({ host: { kernel, cgroups }, vms: [VM], ...more });
  if (!('issues' in checked)) return [];
  return checked.issues.map(({ path, message }) => `${printPath(path)}: ${message}`);
}

function machineOf(cgroups: object, vm: object = {}, more: object = {}): Machine {
  const host = { cgroups, ...more };
  const limits = { time: '301ms' };
  const scenario = checkedScenario({ host, vms: [{ ...VM, ...vm }], limits });
  return new Machine(scenario, { programs: [SPIN] });
}

describe('groups', () => {
  test('are made with all that is above them', () => {
    const { host } = machineOf({ 'a/b/c': { cpu_shares: 512 }, a: { cpu_weight: 50 }, d: {} });
    const all = host.groups.map(({ name, shares, depth }) => [name, shares, depth]);
    expect(all).toEqual([
      ['a', 512, 0],
      ['a/b', 1024, 1],
      ['a/b/c', 512, 2],
      ['d', 1024, 0],
    ]);
  });

  test('have quotas by the names of either version', () => {
    const { host } = machineOf({
      v1: { cfs_quota_us: 20_000, cfs_period_us: 50_000 },
      v2: { cpu_max: '30000 60000' },
      half: { cpu_max: '40000' },
      none: { cpu_max: 'max' },
    });
    expect(host.bandwidths.map(({ group, config }) => [group.name, config])).toEqual([
      ['v1', { quotaNs: 20e6, periodNs: 50e6 }],
      ['v2', { quotaNs: 30e6, periodNs: 60e6 }],
      ['half', { quotaNs: 40e6, periodNs: 100e6 }],
    ]);
  });

  test('of vCPUs are below that of their machine', () => {
    const vm = { vcpus: 2, cgroup: 'm/vm', cpu_weight: 200, vcpu_cgroups: true };
    const { host } = machineOf({ 'm/vm': {} }, vm);
    const names = host.threads.map(({ group }) => group?.name);
    expect(names).toEqual(['vm/vcpu0', 'vm/vcpu1']);
    expect(host.threads[0].group?.parent).toMatchObject({ shares: 2048, parent: { name: 'm/vm' } });
  });
});

describe('mistakes', () => {
  const QUOTA = { cfs_quota_us: 50_000 };

  test.each<readonly [string, Readonly<Record<string, object>>, string]>([
    [
      'an absolute path',
      { '/a': {} },
      "host.cgroups./a: expected a path such as machine/vm, not '/a'",
    ],
    [
      'weight and shares',
      { a: { cpu_weight: 1, cpu_shares: 2 } },
      'host.cgroups.a.cpu_shares: not together with cpu_weight',
    ],
    [
      'both quotas',
      { a: { ...QUOTA, cpu_max: 'max' } },
      'host.cgroups.a.cfs_quota_us: not together with cpu_max',
    ],
    [
      'no number',
      { a: { cpu_max: '50%' } },
      "host.cgroups.a.cpu_max: expected 'QUOTA PERIOD' in us or 'max', not '50%'",
    ],
    [
      'a short quota',
      { a: { cpu_max: '999' } },
      'host.cgroups.a.cpu_max: expected a quota of 1000 to 1000000000 us, not 999',
    ],
    [
      'a long period',
      { a: { cpu_max: '9999 1000001' } },
      'host.cgroups.a.cpu_max: expected a period of 1000 to 1000000 us, not 1000001',
    ],
    [
      'more than above',
      { a: QUOTA, 'a/b/c': { cfs_quota_us: 60_000 } },
      'host.cgroups.a/b/c.cfs_quota_us: more than a has, which cgroup v1 refuses',
    ],
  ])('%s', (_, cgroups, message) => {
    expect(issuesOf(cgroups)).toEqual([message]);
  });

  test('a group that is not there', () => {
    const hogs = [{ cgroup: 'b' }];
    expect(issuesOf({ 'a/b': {} }, { hogs })).toEqual([
      "hogs[0].cgroup: no cgroup 'b'; there are a, a/b",
    ]);
    expect(issuesOf({}, { hogs })).toEqual(["hogs[0].cgroup: no cgroup 'b'; there are none"]);
  });

  test.each([
    [{ ...QUOTA, cpu_max_burst: 1e6 }, 'linux-6.1', 'expected a burst of no more than the quota'],
    [{ cpu_max_burst: 1000 }, 'linux-6.1', 'expected a burst only beside a quota'],
    [{ ...QUOTA, cpu_max_burst: 1000 }, 'linux-4.12', 'linux-4.12 does not have it, but linux-6.1'],
  ])('a burst that cannot be: %o on %s', (group, kernel, message) => {
    const [issue] = issuesOf({ a: group }, {}, kernel);
    expect(issue).toContain(`host.cgroups.a.cpu_max_burst: ${message}`);
  });

  test('a kernel without quotas', () => {
    expect(issuesOf({ a: QUOTA }, {}, 'linux-2.6.39')).toEqual([
      'host.cgroups.a.cfs_quota_us: linux-2.6.39 does not have it, but linux-3.15 does',
    ]);
    expect(issuesOf({ a: { cpu_idle: true } }, {}, 'linux-4.12')).toHaveLength(1);
  });
});

test('a scenario with groups is written as it was', () => {
  const cgroups = { 'm/vm': { cpu_max: '30000 60000' }, u: { cpu_idle: true } };
  const scenario = checkedScenario({ host: { cgroups }, vms: [{ ...VM, cgroup: 'm/vm' }] });
  expect(checkedScenario(documentOf(scenario))).toEqual(scenario);
});

describe('a machine with a quota', () => {
  const quota = () =>
    machineOf({ vm: { cpu_max: '30000 100000' } }, { cgroup: 'vm', vcpus: 2 }, { pcpus: 2 });

  test('uses that much of each period, as its cpu.stat says', () => {
    const machine = quota();
    const report = reportOf(machine, machine.run() as NonNullable<typeof machine.ending>);
    const [{ name, usageNs, nrPeriods, nrThrottled, throttledNs }] = report.cgroups ?? [];
    expect([name, nrPeriods, nrThrottled]).toEqual(['vm', 3, 3]);
    // Three quotas, and what the last one is overdrawn by on each pCPU: less than a tick.
    expect(usageNs / 1e6).toBeGreaterThan(90);
    expect(usageNs / 1e6).toBeLessThan(100);
    expect(throttledNs / 1e6).toBeGreaterThan(300);
    for (const { times } of report.vcpus) expect(times.stealNs / 1e6).toBeGreaterThan(240);
    expect(reportText(report).join('\n')).toMatch(/vm +9\d\.\d+ +3 +3 +\d+/);
  });

  test('runs the same in pieces, from snapshots, and with nothing left out', () => {
    const whole = quota();
    whole.run();
    const pieces = quota();
    const step = pieces.host.frequency.toCycles(7_300_000);
    for (let at = step; pieces.run(at) === null; at += step) {
      const snapshot = JSON.stringify(pieces.host.state);
      pieces.host.state = JSON.parse(snapshot);
      expect(JSON.stringify(pieces.host.state)).toBe(snapshot);
      pieces.saveAndRestore();
    }
    expect(pieces.stateHash()).toBe(whole.stateHash());
  });
});
