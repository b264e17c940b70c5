// The lock library under stress: every lock, from one vCPU to 64, on fewer pCPUs whose scheduler
// preempts as often as it can, with bounds so low that slow paths are the rule. The counter that
// the lock protects must come out right, and nobody may sleep for ever.

import { describe, expect, test } from 'vitest';
import { LOCK_WAIT_ACTIONS, type LockWaitAction } from '../../src/kvm/index.ts';
import { Machine, type Scenario } from '../../src/machine/index.ts';
import { locksThatNeed } from '../locks/lock-table.ts';
import { exitCounts, type GuestRun, runToEnd } from '../support/guest-run.ts';
import { runWorkload, total, workloadInput } from '../support/workload.ts';

const PLAIN = locksThatNeed('nothing');
const KICKED = locksThatNeed('kicks');
const ASKING = locksThatNeed('lock-wait');
const GRANTED = locksThatNeed('grants');

const ALL = [...PLAIN, ...KICKED, ...ASKING, ...GRANTED];

/** VCPUs, pCPUs, rounds of each vCPU. */
type Size = readonly [vcpus: number, pcpus: number, rounds: number];

const FOUR: Size = [4, 2, 60];
/** Long enough for holders to be preempted. */
const LONG: Size = [4, 2, 1500];
const SIZES: readonly Size[] = [[1, 1, 50], [2, 1, 100], FOUR, [16, 3, 15], [64, 4, 4]];

interface Stress {
  readonly lock: string;
  readonly size: Size;
  readonly action?: LockWaitAction;
  readonly grantNs?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Slices of tens of microseconds, at 10,000 ticks a second. */
function restless(scenario: Scenario, action: LockWaitAction, grantNs: number): Scenario {
  const short = { latency: 100_000, min_granularity: 20_000, wakeup_granularity: 20_000 };
  const { host, vms } = scenario;
  return {
    ...scenario,
    host: { ...host, hz: 10_000, scheduler: { ...host.scheduler, ...short } },
    vms: vms.map((vm) => ({
      ...vm,
      kvm: {
        ...vm.kvm,
        lock_wait: action,
        preempted_flag: 'always' as const,
        preempt_grant_ns: grantNs,
      },
    })),
  };
}

function stress(wanted: Stress): GuestRun {
  const { lock, size, action = 'block+kick', grantNs = 0, settings = {} } = wanted;
  const [vcpus, pcpus, rounds] = size;
  const { scenario, ...options } = workloadInput('workloads/lock-stress.asm', {
    defines: { LOCK: lock, LOCK_SPINS: '4', PENDING_LOOKS: '2' },
    parameters: { rounds, hold: 2000, gap: 500 },
    settings: { vcpus, pcpus, until: '2s', ...settings },
  });
  return runToEnd(new Machine(restless(scenario, action, grantNs), options));
}

function expectRight(run: GuestRun, [vcpus, , rounds]: Size): void {
  expect([run.ending.status, run.report.output]).toEqual(['halted', 'ok']);
  expect(total(run, 'counter')).toBe(vcpus * rounds);
}

describe.each(ALL)('%s', (lock) => {
  test.each(SIZES)('%i vCPUs on %i pCPUs', (...size) => {
    const run = stress({ lock, size });
    expectRight(run, size);
    if (size[0] > 1) expect(total(run, 'contended')).toBeGreaterThan(0);
    else expect(total(run, 'contended')).toBe(0);
  });
});

test.each(KICKED)('%s: waiters halt, and are kicked', (lock) => {
  const exits = exitCounts(stress({ lock, size: FOUR }).report);
  expect(exits.HLT).toBeGreaterThan(10);
  expect(exits.VMCALL).toBeGreaterThan(5);
});

describe.each(ASKING)('%s: whatever the host does', (lock) => {
  test.each(LOCK_WAIT_ACTIONS)('%s', (action) => {
    const run = stress({ lock, size: FOUR, action });
    expectRight(run, FOUR);
    // Each vCPU asks once what the host does; where it does something, locks ask again.
    const calls = exitCounts(run.report).VMCALL ?? 0;
    if (action === 'none') expect(calls).toBe(FOUR[0]);
    else expect(calls).toBeGreaterThan(FOUR[0]);
  });
});

test.each(ALL)('%s goes with jobs', (lock) => {
  const run = runWorkload('workloads/kc412.asm', {
    defines: { LOCK: lock },
    parameters: { time_ns: 300_000, burst_ns: 100_000, jobs: 3 },
    settings: { vcpus: 2, pcpus: 2 },
  });
  expect(run.ending.status).toBe('halted');
  expect(total(run, 'lock_operations')).toBeGreaterThan(0);
});

describe.each(GRANTED)('%s: however long the host waits', (lock) => {
  test.each([1_000, 20_000, 1_000_000])('%i ns', (grantNs) => {
    const run = stress({ lock, size: LONG, grantNs });
    expectRight(run, LONG);
    const grants = run.report.vcpus.map(({ statistics }) => statistics.preempt_grants);
    expect(Math.max(...grants)).toBeGreaterThan(0);
  });
});

test('the state at the end is the same with and without skipping', () => {
  for (const lock of ['pv-qspinlock', 'byte-yield', 'defer']) {
    const [on, off] = ['on', 'off'].map((skip) =>
      stress({ lock, size: FOUR, grantNs: 5_000, settings: { skip } }),
    );
    expect(on.report.stateHash).toBe(off.report.stateHash);
  }
});
