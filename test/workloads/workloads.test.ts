// Workloads: that what they report is what they were told to do, by arithmetic that knows nothing
// of them, and that skipping changes nothing.

import { describe, expect, test } from 'vitest';
import { runWorkload, total, type WorkloadSetup } from '../support/workload.ts';

/** Cycles in a millisecond of the machine. */
const KHZ = 2e6;
const MS = 1e6;

describe('jobs', () => {
  test('a round takes as long as its idle, serial and parallel parts', () => {
    const burst = { jobs: 3, block_ns: 0, gap_ns: 0, io_burst_ns: 0, burst_ns: MS, bursts: 40 };
    const round = { ...burst, idle_ns: 5 * MS, serial_ns: 7 * MS, time_ns: 0 };
    const run = runWorkload('workloads/kc35.asm', {
      parameters: round,
      settings: { vcpus: 1, pcpus: 1 },
    });
    const cycles = total(run, 'round_cycles');
    const work = total(run, 'work_cycles');
    expect(total(run, 'bursts')).toBe(40);
    // Forty exponential bursts of 1 ms: their sum is 40 ms, give or take three standard deviations.
    expect(Math.abs(work / KHZ - 47)).toBeLessThan(3 * Math.sqrt(40));
    expect(cycles / (work + 5 * KHZ)).toBeGreaterThan(1);
    expect(cycles / (work + 5 * KHZ)).toBeLessThan(1.01);
  });

  test('rounds follow each other, with all vCPUs, and blocked jobs are woken', () => {
    const parameters = { bursts: 30, rounds: 3, time_ns: 0, burst_ns: 200_000, block_ns: 100_000 };
    const run = runWorkload('workloads/kc412.asm', {
      parameters: { ...parameters, idle_ns: 300_000, serial_ns: 400_000, gap_ns: 20_000 },
      settings: { vcpus: 3, pcpus: 2 },
    });
    expect(run.ending.status).toBe('halted');
    expect(total(run, 'bursts')).toBe(90);
    expect(total(run, 'rounds')).toBe(3);
    for (const bursts of run.report.vms[0].results.bursts) expect(bursts).toBeGreaterThan(5);
  });

  test('locks are taken as often as gaps and holds say, whatever the lock', () => {
    for (const LOCK of ['ticket', 'virt-spin']) {
      const run = runWorkload('workloads/amqp.asm', {
        defines: { LOCK },
        parameters: { time_ns: 30 * MS },
      });
      // One in 41 us of computing.
      const expected = total(run, 'work_cycles') / KHZ / 0.041;
      expect(total(run, 'lock_operations') / expected).toBeGreaterThan(0.93);
      expect(total(run, 'lock_operations') / expected).toBeLessThan(1.07);
      const ends = run.report.vms[0].results.time_cycles.map((end) => Number(end) / KHZ);
      expect(Math.max(...ends)).toBeGreaterThanOrEqual(30);
    }
  });

  test('are done without locks too, and while polling', () => {
    const run = runWorkload('workloads/amqp.asm', {
      parameters: { time_ns: 4 * MS, gap_ns: 0, poll: 1, jobs: 2 },
    });
    expect(total(run, 'lock_operations')).toBe(0);
    expect(total(run, 'bursts')).toBeGreaterThan(1);
    const halts = run.report.exits.find(({ name }) => name === 'HLT');
    expect(halts?.count).toBe(4);
  });

  test.each<[string, WorkloadSetup]>([
    ['kc35', { parameters: { time_ns: 6 * MS }, settings: { hogs: 2, pcpus: 2 } }],
    ['amqp', { parameters: { time_ns: 3 * MS }, settings: { pcpus: 2 } }],
  ])('%s is the same with and without skipping, by either engine', (name, setup) => {
    const hashes = [{}, { skip: 'off' }, { engine: 'interpreter' }].map((how) => {
      const settings = { ...setup.settings, ...how };
      return runWorkload(`workloads/${name}.asm`, { ...setup, settings }).report.stateHash;
    });
    expect(new Set(hashes).size).toBe(1);
  });
});

test.each([
  ['jobs', 256],
  ['locks', 65],
])('more %s than there is room for are refused', (name, count) => {
  for (const program of ['kc35', 'kc412', 'amqp']) {
    const run = (value: number) =>
      runWorkload(`workloads/${program}.asm`, { parameters: { time_ns: MS, [name]: value } });
    const refused = run(count);
    expect([refused.ending.status, refused.ending.exitCode]).toEqual(['exited', 3]);
    expect(refused.report.vms[0].output).toBe('jobs: at most 255; locks: at most 64\n');
    expect(run(count - 1).ending.status).toBe('halted');
  }
});

test('without jobs there is nothing to do', () => {
  const run = runWorkload('workloads/kc412.asm', {
    parameters: { jobs: 0 },
    settings: { vcpus: 2, pcpus: 2, until: '2ms' },
  });
  expect(run.ending.status).toBe('deadlock');
});

test('cyclictest counts every loop once, where its latency is', () => {
  const run = runWorkload('workloads/cyclic.asm', { parameters: { loops: 30, noise: 0 } });
  const bins = run.report.vms[0].histograms.latency.map(Number);
  expect(bins.reduce((sum, count) => sum + count)).toBe(30);
  expect(total(run, 'loops')).toBe(30);
  // Its path alone takes 10,000 cycles, 5 us.
  expect(bins.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
});

test('a hog burns what it is told to', () => {
  const { report } = runWorkload('workloads/hog.asm', {
    parameters: { loops: 2 },
    settings: { until: '3ms' },
  });
  const busy = report.vcpus.filter(({ times }) => times.guestNs > 2.9 * MS);
  expect(busy.map(({ index }) => index)).toEqual([0, 1]);
});
